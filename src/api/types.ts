import type { DeliveryOrder, LeaveReason, LocalAddress, NatVector, PathKind } from '../core/io.ts'

/** What untyped use gives: everything fits. */
// biome-ignore lint/suspicious/noExplicitAny: a programme without a Schema stays loose (DESIGN §10).
export type Loose = any

/**
 * Types a subcluster: `events` by name, the `presence` value, `rpc` functions by name.
 * `type Chat = { events: { news: { text: string } }; rpc: { add(x: number[]): number } }`
 */
export interface Schema {
  readonly events?: object
  readonly presence?: unknown
  readonly rpc?: object
}

export type EventsOf<S> = S extends { events: infer E extends object } ? E : Record<string, Loose>
export type PresenceOf<S> = S extends { presence: infer P } ? P : Loose
export type RpcOf<S> = S extends { rpc: infer R extends object }
  ? R
  : Record<string, (argument: Loose) => Loose>
export type EventName<S> = keyof EventsOf<S> & string
export type RpcName<S> = keyof RpcOf<S> & string
export type RpcArgument<S, K extends RpcName<S>> = RpcOf<S>[K] extends (...list: infer A) => unknown
  ? A extends []
    ? undefined
    : A[0]
  : never
export type RpcResult<S, K extends RpcName<S>> = RpcOf<S>[K] extends (...list: never) => infer R
  ? Awaited<R>
  : never

/** Ends what `on`, `handle` or `subscribe` began. */
export type Off = (() => void) & Disposable

export interface ListenOptions {
  readonly signal?: AbortSignal
}

/** A packet that others keep: published to every member, or sealed to one that was away. */
export interface PublishedPacket {
  /** 64 hex digits, the same at everyone who gets it. */
  readonly id: string
  readonly author: string
  /** The packets its author had seen last: the first 32 hex digits of their ids. */
  readonly previous: readonly string[]
  /** The author's clock, in milliseconds since 1970; may be wrong by hours. */
  readonly timestamp: number
  /** Greater than that of every packet it follows. */
  readonly lamport: number
  /** Milliseconds that peers keep it. */
  readonly ttl: number
  readonly via: 'direct' | 'relayed' | 'cache' | 'self'
  /** A packet that this one follows has not arrived. */
  readonly gap: boolean
}

/** What comes with a value that nobody keeps: 'live', 'lossy', or from one peer straight to another. */
export interface DirectPacket {
  readonly id: undefined
  readonly author: string
  readonly previous: readonly []
  /** The clock of the peer that holds this object, when the value came or went. */
  readonly timestamp: number
  readonly lamport: 0
  readonly ttl: 0
  readonly via: 'direct' | 'relayed' | 'self'
  readonly gap: false
}

/** What is not authentic is never delivered: `author` is proved. */
export type Packet = PublishedPacket | DirectPacket

export interface EmitOptions {
  /**
   * 'durable' (default) is published and kept for members that are offline, 'live' reaches the
   * members present, 'lossy' is one datagram without retry, for positions and cursors.
   */
  readonly delivery?: 'durable' | 'live' | 'lossy'
  /** Milliseconds to keep it: up to 7 days, which is the default. */
  readonly ttl?: number
  readonly signal?: AbortSignal
}

export interface RequestOptions {
  /** Milliseconds; 30,000 without. */
  readonly timeout?: number
  readonly signal?: AbortSignal
}

export interface PeerStream {
  readonly name: string
  /** A byte stream. Bytes not yet read hold the other side back. */
  readonly readable: ReadableStream<Uint8Array>
  /** Takes Uint8Array. A write waits until the other side reads. */
  readonly writable: WritableStream<Uint8Array>
  /** Resolves when both directions ended, rejects when the stream broke. */
  readonly closed: Promise<void>
  /** Gives up both directions at once. */
  abort(reason?: unknown): void
}

export interface PeerEvents<S> {
  '#stream': [stream: PeerStream, peer: RemotePeer<S>]
}

/**
 * Another member. The one that '#join' and `peers` give is one stay of it: its listeners end when it
 * leaves, and a peer that came back is a new object. The one that `subcluster.peer()` gives is the
 * peer whether it is here or not: its listeners end when we leave.
 */
export interface RemotePeer<S = Schema> {
  readonly peerId: string
  /** Undefined while it was not here since this object was made. */
  readonly path: PathKind | undefined
  /** Milliseconds; undefined until it was measured. */
  readonly rtt: number | undefined
  /** What this peer set as its presence. */
  readonly presence: PresenceOf<S> | undefined
  on<K extends keyof PeerEvents<S> | EventName<S>>(
    event: K,
    listener: (...args: ArgumentsOf<S, PeerEvents<S>, K>) => unknown,
    options?: ListenOptions,
  ): Off
  once<K extends keyof PeerEvents<S> | EventName<S>>(
    event: K,
    listener: (...args: ArgumentsOf<S, PeerEvents<S>, K>) => unknown,
    options?: ListenOptions,
  ): Off
  off(event: keyof PeerEvents<S> | EventName<S>, listener: (...args: never[]) => unknown): void
  /**
   * Sends to this peer alone; waits while queues are full. Resolves when the other side has it, or,
   * for a peer that is away, when others keep it: then the packet has an `id`.
   */
  emit<K extends EventName<S>>(
    event: K,
    value: EventsOf<S>[K],
    options?: { readonly signal?: AbortSignal },
  ): Promise<Packet>
  /** Calls what the other side gave to `handle(name, …)`. */
  request<K extends RpcName<S>>(
    name: K,
    argument: RpcArgument<S, K>,
    options?: RequestOptions,
  ): Promise<RpcResult<S, K>>
  openStream(name: string, options?: { readonly signal?: AbortSignal }): Promise<PeerStream>
}

export interface SubclusterEvents<S> {
  '#join': [peer: RemotePeer<S>]
  '#leave': [peer: RemotePeer<S>, why: LeaveReason]
  '#presence': [peer: RemotePeer<S>, value: PresenceOf<S> | undefined]
  '#stream': [stream: PeerStream, peer: RemotePeer<S>]
  '#progress': [progress: Progress]
  '#error': [error: unknown]
}

/** A large packet that is on its way in: told at most every 100 ms, and when it is whole. */
export interface Progress {
  readonly packetId: string
  readonly author: string
  readonly event: string
  readonly receivedBytes: number
  readonly totalBytes: number
}

/** The arguments of a listener: a system event's own, or the value and its packet. */
export type ArgumentsOf<S, System, K> = K extends keyof System
  ? System[K] extends unknown[]
    ? System[K]
    : never
  : K extends EventName<S>
    ? [value: EventsOf<S>[K], packet: Packet]
    : never

export interface EventItem<T> {
  readonly event: string
  readonly value: T
  readonly packet: Packet
  /** How many items were dropped before this one because the loop was slower than the network. */
  readonly missed: number
}

/** An item of `events`, its value typed by its event. */
export type EventItemOf<S, K extends EventName<S>> = {
  [E in K]: EventItem<EventsOf<S>[E]> & { readonly event: E }
}[K]

/** A packet that is kept here, its value typed by its event. */
export type HistoryItem<S = Schema, K extends EventName<S> = EventName<S>> = {
  [E in K]: {
    readonly event: E
    readonly value: EventsOf<S>[E]
    readonly packet: PublishedPacket
  }
}[K]

/** A moment: a Date, or milliseconds since 1970. */
export type Moment = Date | number

export type RequestResult<S, K extends RpcName<S>> =
  | { readonly peer: RemotePeer<S>; readonly ok: true; readonly value: RpcResult<S, K> }
  | { readonly peer: RemotePeer<S>; readonly ok: false; readonly error: Error }

export interface Presence<P> {
  readonly self: P | undefined
  /** By peerId. A fresh map after every change, the same one in between. */
  readonly others: ReadonlyMap<string, P>
  /** Shows `value` to every member, now and those to come; undefined shows nothing. */
  set(value: P | undefined): void
  subscribe(changed: () => void, options?: ListenOptions): Off
}

/** A group of peers that share a key. */
export interface Subcluster<S = Schema> extends AsyncDisposable {
  /** The members present, by peerId, without us. */
  readonly peers: ReadonlyMap<string, RemotePeer<S>>
  /**
   * A member by its id, here or not: what is emitted to it while it is away is sealed to it alone and
   * kept by others, and its listeners hear what it wrote while we were away.
   */
  peer(peerId: string): RemotePeer<S>
  readonly presence: Presence<PresenceOf<S>>
  /**
   * Listens. System events begin with '#'; every other name is one that members emit. Members
   * present are handed to a late '#join' listener, right after the current job.
   */
  on<K extends keyof SubclusterEvents<S> | EventName<S>>(
    event: K,
    listener: (...args: ArgumentsOf<S, SubclusterEvents<S>, K>) => unknown,
    options?: ListenOptions,
  ): Off
  once<K extends keyof SubclusterEvents<S> | EventName<S>>(
    event: K,
    listener: (...args: ArgumentsOf<S, SubclusterEvents<S>, K>) => unknown,
    options?: ListenOptions,
  ): Off
  off(
    event: keyof SubclusterEvents<S> | EventName<S>,
    listener: (...args: never[]) => unknown,
  ): void
  /** Sends to every member. Waits while queues are full. */
  emit<K extends EventName<S>>(
    event: K,
    value: EventsOf<S>[K],
    options?: EmitOptions & { readonly delivery?: 'durable' },
  ): Promise<PublishedPacket>
  emit<K extends EventName<S>>(
    event: K,
    value: EventsOf<S>[K],
    options: EmitOptions,
  ): Promise<Packet>
  /**
   * The values of one event, or (undefined) of every event, from this call on, as a loop. With `since`,
   * what `history` has comes first, and nothing twice. Holds up to 16,384 values and 64 MiB that the
   * loop has not taken; beyond, the oldest are dropped and `missed` counts them. Ends on `leave` and
   * on `signal`.
   */
  events<K extends EventName<S> = EventName<S>>(
    event?: K,
    options?: ListenOptions & { readonly since?: Moment },
  ): AsyncIterableIterator<EventItemOf<S, K>>
  /**
   * The published packets that are kept here, our own and those of earlier runs among them, each after
   * those that it follows. `since` bounds the authors' clocks. Ends on `leave` and on `signal`.
   */
  history<K extends EventName<S> = EventName<S>>(
    options?: ListenOptions & { readonly since?: Moment; readonly event?: K },
  ): AsyncIterableIterator<HistoryItem<S, K>>
  /**
   * A key of this subcluster that opens nothing from before the day (UTC) of `since`, now by default:
   * give it to a newcomer instead of the shared key. It serves as `sharedKey`.
   */
  key(options?: ListenOptions & { readonly since?: Moment }): Promise<Uint8Array>
  /**
   * Forgets the keys of the days (UTC) before that of `before`, and what they open: afterwards nobody
   * learns those packets from this peer, whatever they take from it.
   */
  forget(options: ListenOptions & { readonly before: Moment }): Promise<void>
  /** Answers requests of this name. One function a name. What it throws, the caller gets. */
  handle<K extends RpcName<S>>(
    name: K,
    handler: (
      argument: RpcArgument<S, K>,
      context: { readonly peer: RemotePeer<S>; readonly signal: AbortSignal },
    ) => RpcResult<S, K> | Promise<RpcResult<S, K>>,
  ): Off
  /** Asks every member present; ends when all answered, or `quorum` of them well. */
  requestMany<K extends RpcName<S>>(
    name: K,
    argument: RpcArgument<S, K>,
    options?: RequestOptions & { readonly quorum?: number },
  ): AsyncIterableIterator<RequestResult<S, K>>
  /** Leaves when called as often as `socket.subcluster` was for this key. */
  leave(): Promise<void>
}

/** A peer that we have a session with, whether or not it shares a subcluster with us. */
export interface Connection {
  readonly peerId: string
  readonly path: PathKind
  /** Milliseconds; undefined until it was measured. */
  readonly rtt: number | undefined
  /** The peer that carries our datagrams to it while the path is 'relayed'. */
  readonly relay: string | undefined
  /** What it says it is behind; nobody vouches for it. */
  readonly nat: NatVector | undefined
}

export type SocketState = 'offline' | 'connecting' | 'online' | 'degraded' | 'closed'

export interface SocketInfo {
  readonly peerId: string
  readonly state: SocketState
  /** What to do about the state; undefined when there is nothing to do. */
  readonly advice: string | undefined
  /** Where others see us. */
  readonly observed: readonly LocalAddress[]
  /** What our own interfaces carry. */
  readonly local: readonly LocalAddress[]
  /** What stands between us and the network; what is not known is 'unknown' or undefined. */
  readonly nat: NatVector
  /** The peers that carry our datagrams to others at the moment. */
  readonly relays: readonly string[]
  readonly connections: number
}

export interface SocketEvents {
  '#ready': [info: SocketInfo]
  '#state': [state: SocketState, advice: string | undefined]
  '#connection': [connection: Connection]
  '#disconnection': [connection: Connection, why: LeaveReason]
  '#error': [error: unknown]
}

/** One thing that happened, without keys and values, as `JSON.stringify` can write it. */
export interface TraceEvent {
  /** Milliseconds since 1970. */
  readonly at: number
  /** 'app': the programme asked for it. 'network': it came from the peer underneath. */
  readonly from: 'app' | 'network'
  /** The kind of command or event, or 'dropped': `count` trace events found no reader in time. */
  readonly type: string
  readonly detail: Readonly<Record<string, string | number | boolean>>
}

export interface Socket extends AsyncDisposable {
  readonly peerId: string
  /** Resolves when the first peer is connected; rejects when the socket closes before. */
  readonly ready: Promise<SocketInfo>
  /** The peers connected, by peerId. */
  readonly peers: ReadonlyMap<string, Connection>
  /** Text that lets another peer find this one: paste it, or put it into a QR code. */
  ticket(): string
  /** Where others reach us, as far as known. */
  address(): LocalAddress | undefined
  info(): SocketInfo
  /** Counters since the start: datagrams, bytes, rejections by reason. */
  stats(): Readonly<Record<string, number>>
  on<K extends keyof SocketEvents>(
    event: K,
    listener: (...args: SocketEvents[K]) => unknown,
    options?: ListenOptions,
  ): Off
  once<K extends keyof SocketEvents>(
    event: K,
    listener: (...args: SocketEvents[K]) => unknown,
    options?: ListenOptions,
  ): Off
  off(event: keyof SocketEvents, listener: (...args: never[]) => unknown): void
  /**
   * Joins the group of everyone who has this key; the same key gives the same object. `order`: 'causal'
   * (default) waits 2 s for the packets that one follows, then delivers it with `gap` set; 'strict'
   * never delivers one before those.
   */
  subcluster<S = Schema>(options: {
    /** 32 bytes, or the 69 of `subcluster.key()`. */
    readonly sharedKey: Uint8Array
    readonly order?: DeliveryOrder
    readonly signal?: AbortSignal
  }): Promise<Subcluster<S>>
  /** Connects to a peer by its id alone, by way of the peers we know. */
  connect(peerId: string, options?: RequestOptions): Promise<Connection>
  /** Meets the peer that a ticket or an address names. Resolves when it was tried, not met. */
  addPeer(ticket: string): Promise<void>
  /** Everything that happens from this call on. Unread, it drops and counts beyond 1,024 events. */
  inspect(): ReadableStream<TraceEvent>
  /** Leaves everything, says good-bye and lets go of port and storage. */
  close(): Promise<void>
}

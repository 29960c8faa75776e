/**
 * The contract of the core: everything that enters and leaves a peer.
 *
 * The core is one synchronous, deterministic state machine. It owns no socket, clock, timer, random
 * source, disk or promise. A driver feeds it `Input`s, drains its `Output`s and wakes it at its
 * `deadline`. Equal construction and equal inputs give equal outputs, bit for bit.
 */
declare const unit: unique symbol
type Unit<T, U extends string> = T & { readonly [unit]: U }

/** Monotonic milliseconds from the driver's own origin: subtract and compare, never send. */
export type Instant = Unit<number, 'Instant'>
/** Wall-clock milliseconds since 1970: crosses the wire, never drives a timer. */
export type UnixMs = Unit<number, 'UnixMs'>
/** Ed25519 public key of a peer: 64 lower-case hex digits. */
export type PeerId = Unit<string, 'PeerId'>
/** BLAKE2b-256 of a packet's header and body: 64 lower-case hex digits. */
export type PacketId = Unit<string, 'PacketId'>

/** The driver's IPv4 socket, from which unicast and LAN beacons leave. */
export const SOCKET_IPV4 = 0
/** The driver's IPv6 socket. */
export const SOCKET_IPV6 = 1
/** The driver's LAN socket: only receives beacons; answers leave from `SOCKET_IPV4`. */
export const SOCKET_LAN = 2
/**
 * Scratch sockets are numbered from here on: IPv4 sockets on any free port that the core asks for with
 * `bind` and lets go with `unbind`. No number is used twice in a run.
 */
export const SOCKET_SCRATCH = 16
/** As a `transmit` target's host: the driver sends to every link's multicast group. */
export const LAN_HOST = 'lan'

/** One remote socket as seen from one of ours. `host` is an IP literal in canonical text form. */
export interface Endpoint {
  readonly kind: 'udp'
  readonly socket: number
  readonly host: string
  readonly port: number
}

/** An address of our own that an interface carries. */
export interface LocalAddress {
  readonly host: string
  readonly port: number
}

export type PortMappingProtocol = 'pcp' | 'nat-pmp' | 'upnp'

/** A forwarding that a router granted (RFC 6887, RFC 6886, UPnP IGD). */
export interface PortMapping {
  readonly protocol: PortMappingProtocol
  readonly external: LocalAddress
}

/**
 * What stands between us and the network, as far as we could find out (RFC 4787's axes). Nothing waits
 * for it: what is not known is `unknown` or undefined.
 */
export interface NatVector {
  /** `endpoint-dependent`: address-dependent, or address-and-port-dependent; they are not told apart. */
  readonly mapping: 'endpoint-independent' | 'endpoint-dependent' | 'unknown'
  readonly filtering:
    | 'endpoint-independent'
    | 'address-dependent'
    | 'address-and-port-dependent'
    | 'unknown'
  /** How external ports follow from inside ones and each other (RFC 4787 §4.2). */
  readonly allocation: 'preserving' | 'sequential' | 'block' | 'random' | 'unknown'
  /** Whether any address is translated at all. */
  readonly isTranslated: boolean | undefined
  /** Our addresses as a quorum of remotes sees them. */
  readonly external: readonly LocalAddress[]
  readonly hairpin: boolean | undefined
  /** A silence that mappings were seen to survive, in milliseconds. */
  readonly lifetimeMs: number | undefined
  /** The age at which mappings end however busy they are. */
  readonly absoluteLifetimeMs: number | undefined
  readonly portMapping: PortMapping | undefined
  /** A carrier's NAT stands in the way: our address, or our router's, is of RFC 6598 or private. */
  readonly isCarrier: boolean
}

export interface StoredRecord {
  readonly key: string
  readonly value: Uint8Array
}

export type Input =
  /** `data` is borrowed for the call: the core copies what it keeps. */
  | { readonly type: 'datagram'; readonly from: Endpoint; readonly data: Uint8Array }
  /** A socket opened, closed or could not be opened, or its host's addresses changed. */
  | {
      readonly type: 'socket'
      readonly socket: number
      readonly state: 'up' | 'down'
      readonly addresses: readonly LocalAddress[]
    }
  /** A router forwards this address of its own to `SOCKET_IPV4`; undefined: none does any more. */
  | { readonly type: 'portMapping'; readonly mapping: PortMapping | undefined }
  | { readonly type: 'loaded'; readonly prefix: string; readonly records: readonly StoredRecord[] }
  /** Answers `sync`: whether every `store` before it is on disk. */
  | { readonly type: 'synced'; readonly isKept: boolean }
  | { readonly type: 'deadline' }
  | { readonly type: 'command'; readonly command: Command }

/** A number the caller chose to name one of its operations, calls, streams or subclusters. */
export type Handle = number

/** Whether a packet may be delivered before one that it follows. */
export type DeliveryOrder = 'causal' | 'strict'

export type Delivery = 'durable' | 'live' | 'lossy'

export type Command =
  /**
   * `sharedKey`: 32 bytes, or what a `key` event gave (69 bytes). `order`: `causal` delivers a packet
   * whose parents do not come with `gap` set; `strict` never delivers before them.
   */
  | {
      readonly type: 'join'
      readonly subcluster: Handle
      readonly sharedKey: Uint8Array
      readonly order: DeliveryOrder
    }
  | { readonly type: 'leave'; readonly subcluster: Handle }
  /** Publishes to the subcluster. Answered by `done` (with the packet) or `failed`. */
  | {
      readonly type: 'publish'
      readonly operation: Handle
      readonly subcluster: Handle
      readonly event: string
      readonly value: Uint8Array
      readonly delivery: Delivery
      readonly lifeMs: number
    }
  /**
   * One acknowledged message to one member: `done` when the other side's core has it. For a member that
   * is away it is sealed and kept by others: `done`, with its packet, when they have it.
   */
  | {
      readonly type: 'send'
      readonly operation: Handle
      readonly subcluster: Handle
      readonly peer: PeerId
      readonly event: string
      readonly value: Uint8Array
    }
  /** One call to one member: `answer` with what it returned, or `failed`. */
  | {
      readonly type: 'request'
      readonly operation: Handle
      readonly subcluster: Handle
      readonly peer: PeerId
      readonly name: string
      readonly value: Uint8Array
      readonly timeoutMs: number
    }
  /**
   * Packets of the subcluster that are kept here, earlier runs' included, in causal order: answered by
   * `history`. `since` bounds the author's clock; `after` is the last packet of the page before.
   */
  | {
      readonly type: 'history'
      readonly operation: Handle
      readonly subcluster: Handle
      readonly since: UnixMs
      readonly after: HistoryCursor | undefined
      /** Packets of a page at most, 1 to 1024; a page of large ones may be shorter. */
      readonly limit: number
    }
  /** Asks for the key that opens the subcluster from the day of `since` on: answered by `key`. */
  | {
      readonly type: 'exportKey'
      readonly operation: Handle
      readonly subcluster: Handle
      readonly since: UnixMs
    }
  /** Forgets the keys of the days before that of `before`, and the packets they open. `done` at once. */
  | {
      readonly type: 'forget'
      readonly operation: Handle
      readonly subcluster: Handle
      readonly before: UnixMs
    }
  /** Gives up waiting for an operation; a cancelled request is cancelled at the other side too. */
  | { readonly type: 'cancel'; readonly operation: Handle }
  /** Answers a `call` event. `ok: false` carries an encoded error. */
  | {
      readonly type: 'respond'
      readonly call: Handle
      readonly ok: boolean
      readonly value: Uint8Array
    }
  | {
      readonly type: 'presence'
      readonly subcluster: Handle
      readonly value: Uint8Array | undefined
    }
  /** `stream` is even: callers number the streams they open 2, 4, 6, …; the core numbers the others. */
  | {
      readonly type: 'openStream'
      readonly stream: Handle
      readonly subcluster: Handle
      readonly peer: PeerId
      readonly name: string
    }
  /** Kept until acknowledged. Write no more than the last `writable` allowed. */
  | { readonly type: 'write'; readonly stream: Handle; readonly data: Uint8Array }
  | { readonly type: 'finish'; readonly stream: Handle }
  | { readonly type: 'reset'; readonly stream: Handle }
  /** The application took `bytes` of what `data` events gave: opens the window again. */
  | { readonly type: 'consume'; readonly stream: Handle; readonly bytes: number }
  /** Meets a peer at an address, whose identity is checked when `peer` is given. */
  | {
      readonly type: 'dial'
      readonly addresses: readonly LocalAddress[]
      readonly peer: PeerId | undefined
    }
  /** Says good-bye to every remote; nothing may follow. */
  | { readonly type: 'close' }

/** How a session's datagrams travel at the moment. */
export type PathKind = 'direct' | 'lan' | 'relayed'
export type Connectivity = 'offline' | 'connecting' | 'online' | 'degraded'

export interface PacketInfo {
  readonly id: PacketId
  readonly author: PeerId
  /** The packets this one follows, as the first 16 bytes of their ids in hex. */
  readonly previous: readonly string[]
  /** The author's wall clock; may be wrong by hours. */
  readonly timestamp: UnixMs
  readonly lamport: number
  readonly ttlMs: number
  readonly via: 'direct' | 'relayed' | 'cache' | 'self'
  /** A packet that this one follows has not arrived. */
  readonly gap: boolean
}

/** A place in the causal order: right after this packet. */
export type HistoryCursor = Pick<PacketInfo, 'id' | 'lamport'>

export interface HistoryItem {
  readonly packet: PacketInfo
  readonly event: string
  readonly value: Uint8Array
}

/** Why an operation failed; becomes `LaticaError.code` at the edge. */
export type FailureCode =
  | 'EPEERGONE'
  | 'EFORGOTTEN'
  | 'ETIMEDOUT'
  | 'ETOOBIG'
  | 'EREMOTE'
  | 'ENOHANDLER'
  | 'EABORTED'
  | 'ECLOSED'

export type PeerEvent =
  | { readonly type: 'state'; readonly state: Connectivity }
  /** Our address as remotes see it. */
  | { readonly type: 'address'; readonly address: LocalAddress }
  | { readonly type: 'connection'; readonly peer: PeerId; readonly path: PathKind }
  /** What is known of the NAT before us changed. */
  | { readonly type: 'nat'; readonly nat: NatVector }
  | {
      readonly type: 'path'
      readonly peer: PeerId
      readonly path: PathKind
      readonly rttMs: number
    }
  | { readonly type: 'disconnection'; readonly peer: PeerId; readonly why: LeaveReason }
  | {
      readonly type: 'member'
      readonly subcluster: Handle
      readonly peer: PeerId
      readonly change:
        | { readonly state: 'joined' }
        | { readonly state: 'left'; readonly why: LeaveReason }
    }
  /** A published packet, authentic and new, in causal order where its parents are known. */
  | {
      readonly type: 'packet'
      readonly subcluster: Handle
      readonly packet: PacketInfo
      readonly event: string
      readonly value: Uint8Array
    }
  /** A direct message: `ordered` ones arrive once, in order per peer and event. */
  | {
      readonly type: 'message'
      readonly subcluster: Handle
      readonly peer: PeerId
      readonly event: string
      readonly value: Uint8Array
      readonly delivery: 'ordered' | 'lossy'
      readonly via: 'direct' | 'relayed' | 'cache'
      /** Set when it was kept for us while we were away. */
      readonly packet: PacketInfo | undefined
    }
  /** A large packet is on its way in: told at most every 100 ms, and when it is whole. */
  | {
      readonly type: 'progress'
      readonly subcluster: Handle
      readonly packet: PacketId
      readonly author: PeerId
      readonly event: string
      readonly receivedBytes: number
      readonly totalBytes: number
    }
  /** A page of packets in causal order. `isLast`: there are no more. */
  | {
      readonly type: 'history'
      readonly operation: Handle
      readonly packets: readonly HistoryItem[]
      readonly isLast: boolean
    }
  /** A key that opens the subcluster from a day on, and no day before: 69 bytes. */
  | { readonly type: 'key'; readonly operation: Handle; readonly key: Uint8Array }
  | {
      readonly type: 'call'
      readonly call: Handle
      readonly subcluster: Handle
      readonly peer: PeerId
      readonly name: string
      readonly value: Uint8Array
    }
  /** The caller no longer waits for the answer. */
  | { readonly type: 'callCancelled'; readonly call: Handle }
  | {
      readonly type: 'presence'
      readonly subcluster: Handle
      readonly peer: PeerId
      readonly value: Uint8Array | undefined
    }
  | {
      readonly type: 'stream'
      readonly stream: Handle
      readonly subcluster: Handle
      readonly peer: PeerId
      readonly name: string
    }
  | { readonly type: 'data'; readonly stream: Handle; readonly data: Uint8Array }
  /** The remote finished its side; after all of its `data`. */
  | { readonly type: 'ended'; readonly stream: Handle }
  /** The stream broke: the remote reset it, or it is gone. */
  | { readonly type: 'broken'; readonly stream: Handle; readonly code: FailureCode }
  /** The stream takes `bytes` more. First sent when it opens. */
  | { readonly type: 'writable'; readonly stream: Handle; readonly bytes: number }
  | { readonly type: 'done'; readonly operation: Handle; readonly packet: PacketInfo | undefined }
  | {
      readonly type: 'answer'
      readonly operation: Handle
      readonly ok: boolean
      readonly value: Uint8Array
    }
  | { readonly type: 'failed'; readonly operation: Handle; readonly code: FailureCode }
  /** A remote fault: counted, traced, never thrown. */
  | { readonly type: 'rejected'; readonly code: RejectCode; readonly from: Endpoint | undefined }

export type LeaveReason = 'left' | 'closed' | 'timeout' | 'restarted'

export type RejectCode =
  | 'malformed'
  | 'version'
  | 'unauthentic'
  | 'replayed'
  | 'expired'
  | 'unknown'
  | 'over-limit'
  | 'rate-limited'

export type Output =
  | { readonly type: 'transmit'; readonly to: Endpoint; readonly data: Uint8Array }
  /** Opens a scratch socket: answered by `socket`. */
  | { readonly type: 'bind'; readonly socket: number }
  | { readonly type: 'unbind'; readonly socket: number }
  | { readonly type: 'load'; readonly prefix: string }
  /** Writes or (`undefined`) deletes. Precedes any `transmit` that depends on it. */
  | { readonly type: 'store'; readonly key: string; readonly value: Uint8Array | undefined }
  /** Asks to be told (`synced`) when every `store` so far is on disk. One at a time is under way. */
  | { readonly type: 'sync' }
  | { readonly type: 'event'; readonly event: PeerEvent }

/** When the core next wants a `deadline` input, and why: the reason is for traces. */
export interface Deadline {
  readonly at: Instant
  readonly reason: string
}

/** What a peer knows of itself and its remotes: for `info()`, `stats()` and tests. */
export interface Snapshot {
  readonly peerId: PeerId
  readonly state: Connectivity
  /** Our addresses as remotes see them. */
  readonly observed: readonly LocalAddress[]
  readonly local: readonly LocalAddress[]
  readonly nat: NatVector
  readonly sessions: readonly SessionSnapshot[]
  /** Datagrams, bytes, rejections by code, and so on, since the peer was made. */
  readonly counters: Readonly<Record<string, number>>
}

export interface SessionSnapshot {
  readonly peer: PeerId
  readonly state: 'up' | 'lost'
  readonly path: PathKind
  /** Where its datagrams go when it is not relayed. */
  readonly address: LocalAddress | undefined
  /** Who relays it when it is relayed. */
  readonly relay: PeerId | undefined
  readonly rttMs: number
  /** What the remote says it is behind. */
  readonly nat: NatVector | undefined
}

export interface Core {
  /**
   * Applies one input and settles everything that follows from it.
   * Never throws on remote bytes. Throws if earlier outputs were not drained (a driver's fault).
   */
  handle(input: Input, now: Instant, wall: UnixMs): void
  /** The next output in causal order, or undefined when drained. */
  poll(): Output | undefined
  /** Changes only in `handle`. Undefined when there is nothing to wait for. */
  deadline(): Deadline | undefined
  snapshot(): Snapshot
}

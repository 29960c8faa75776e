import { MALFORMED, UsageError } from '../core/errors.ts'
import {
  EXPORTED_KEY_BYTES,
  isSubclusterKey,
  SHARED_KEY_BYTES,
} from '../core/groups/subcluster-keys.ts'
import type { DeliveryOrder, Handle, LeaveReason, PeerEvent, PeerId, UnixMs } from '../core/io.ts'
import { utf8 } from '../core/wire/bytes.ts'
import { Calls, type Handler } from './calls.ts'
import { describe, LaticaError, LimitError, mustBe } from './errors.ts'
import { EventLoop, pastThenLive } from './events.ts'
import { type KeptItem, readHistory } from './history.ts'
import {
  checkEvent,
  checkMilliseconds,
  checkMoment,
  checkName,
  checkValue,
  DIRECT_LIMIT,
  DURABLE_LIMIT,
  LIVE_LIMIT,
  LOSSY_BYTES_MAX,
  PRESENCE_BYTES_MAX,
  TTL_MS_MAX,
} from './limits.ts'
import { ASYNC_DISPOSE, Listeners, signalOf } from './listeners.ts'
import {
  directPacket,
  Member,
  type MemberEvent,
  publishedPacket,
  type Scope,
  StandingPeer,
  sentPacket,
  standingKey,
  unawaited,
} from './member.ts'
import { Gate } from './operations.ts'
import { PresenceBoard } from './presence.ts'
import { requestMany } from './request-many.ts'
import { asPeerId } from './ticket.ts'
import type {
  EmitOptions,
  ListenOptions,
  Loose,
  Moment,
  Off,
  Packet,
  RemotePeer,
  RequestOptions,
  Subcluster,
} from './types.ts'
import { decodeValue } from './values.ts'

const SYSTEM = ['#join', '#leave', '#presence', '#stream', '#progress', '#error']
const DELIVERIES = ['durable', 'live', 'lossy']

export type SubclusterEvent = Extract<
  PeerEvent,
  { type: 'member' | 'packet' | 'message' | 'call' | 'presence' | 'stream' | 'progress' }
>

type MessageEvent = Extract<PeerEvent, { type: 'message' }>

/** What a socket gives to the subclusters it holds. */
export interface SubclusterOwner extends Omit<Scope, 'failed' | 'isHere' | 'isOpen' | 'presence'> {
  /** A fault that no listener of the subcluster's own took. */
  failed(error: unknown): void
  /** A remote's value could not be read. */
  malformed(): void
  /** One user of the subcluster left; true when it was the last. */
  release(): boolean
}

/** A group that this peer is in: routes what the peer reports to those who listen. */
export class JoinedSubcluster implements Subcluster {
  readonly presence: PresenceBoard
  readonly #owner: SubclusterOwner
  readonly #scope: Scope
  readonly #handle: Handle
  readonly #calls: Calls
  readonly #members = new Map<string, Member>()
  readonly #listeners = new Listeners((error) => this.#failed(error))
  readonly #standing = new Listeners((error) => this.#failed(error))
  readonly #loops = new Set<EventLoop>()
  /** Reading waits for no sending. */
  readonly #reading = new Gate()
  #hasLeft = false

  constructor(owner: SubclusterOwner) {
    this.#owner = owner
    this.#handle = owner.subcluster
    this.#scope = {
      host: owner.host,
      subcluster: owner.subcluster,
      operations: owner.operations,
      gate: owner.gate,
      streams: owner.streams,
      isOpen: () => !this.#hasLeft,
      isHere: (peerId) => this.#members.has(peerId),
      connection: (peerId) => owner.connection(peerId),
      presence: (peerId) => this.presence.others.get(peerId),
      failed: (error) => this.#failed(error),
    }
    this.#calls = new Calls(owner.host)
    this.presence = new PresenceBoard(
      owner.host,
      owner.subcluster,
      new Listeners((error) => this.#failed(error)),
    )
  }

  get peers(): ReadonlyMap<string, RemotePeer> {
    return this.#members
  }

  peer(peerId: string): RemotePeer {
    const peer = asPeerId(peerId)
    mustBe(peer !== undefined, 'peerId', '64 hex digits', peerId, 'EBADPEERID')
    const { host } = this.#owner
    mustBe(peer !== host.peerId, 'peerId', 'the id of another peer', 'our own', 'EBADPEERID')
    return new StandingPeer(this.#scope, peer, this.#standing)
  }

  on(event: string, listener: Loose, options?: ListenOptions): Off {
    const off = this.#listeners.add(checkEvent(event, SYSTEM), listener, options)
    if (event === '#join') this.#replay(listener, off, options?.signal, false)
    return off
  }

  once(event: string, listener: Loose, options?: ListenOptions): Off {
    const off = this.#listeners.once(checkEvent(event, SYSTEM), listener, options)
    if (event === '#join') this.#replay(listener, off, options?.signal, true)
    return off
  }

  off(event: string, listener: Loose): void {
    this.#listeners.remove(event, listener)
  }

  emit(event: string, value: Loose, options: EmitOptions = {}): Promise<Loose> {
    const name = checkName(event, 'event')
    const { delivery = 'durable', signal, ttl } = signalOf(options)
    const expected = DELIVERIES.map((each) => `'${each}'`).join(', ')
    mustBe(DELIVERIES.includes(delivery), 'options.delivery', expected, delivery)
    const lifeMs = checkMilliseconds(ttl, 'options.ttl', TTL_MS_MAX, TTL_MS_MAX)
    const bytes = checkValue(value, 'value', delivery === 'durable' ? DURABLE_LIMIT : LIVE_LIMIT)
    if (delivery === 'lossy') checkLossy(name, bytes)
    if (this.#hasLeft) return unawaited(Promise.reject(new LaticaError('ECLOSED')))
    const { operations, gate } = this.#scope
    const sent = operations.run(gate, bytes.length, signal, (operation) => ({
      type: 'publish',
      operation,
      subcluster: this.#handle,
      event: name,
      value: bytes,
      delivery,
      lifeMs,
    }))
    return unawaited(sent.then((outcome) => sentPacket(outcome, this.#owner.host.peerId)))
  }

  events(
    event?: string,
    options: ListenOptions & { since?: Moment } = {},
  ): AsyncIterableIterator<Loose> {
    const name = event === undefined ? undefined : checkName(event, 'event')
    const { since, signal } = signalOf(options)
    const from = since === undefined ? undefined : checkMoment(since, 'options.since')
    const loop = new EventLoop(name, () => {
      this.#loops.delete(loop)
      signal?.removeEventListener('abort', end)
    })
    const end = () => loop.end()
    this.#loops.add(loop)
    if (this.#hasLeft || signal?.aborted) loop.end()
    else signal?.addEventListener('abort', end, { once: true })
    return from === undefined ? loop : pastThenLive(this.#kept(from, name, signal), loop)
  }

  history(
    options: ListenOptions & { since?: Moment; event?: string } = {},
  ): AsyncIterableIterator<Loose> {
    const { event, since, signal } = signalOf(options)
    const name = event === undefined ? undefined : checkName(event, 'options.event')
    return this.#kept(checkMoment(since ?? 0, 'options.since'), name, signal)
  }

  key(options: ListenOptions & { since?: Moment } = {}): Promise<Uint8Array> {
    const { signal, since: asked = Date.now() } = signalOf(options)
    const since = checkMoment(asked, 'options.since')
    if (this.#hasLeft) return Promise.reject(new LaticaError('ECLOSED'))
    const subcluster = this.#handle
    return this.#scope.operations
      .run(this.#reading, 0, signal, (operation) => ({
        type: 'exportKey',
        operation,
        subcluster,
        since,
      }))
      .then((outcome) => {
        if (outcome.type !== 'key') throw new LaticaError('EFORGOTTEN')
        return outcome.key.slice()
      })
  }

  forget(options: ListenOptions & { before: Moment }): Promise<void> {
    const { signal, before: asked } = signalOf(options)
    const before = checkMoment(asked, 'options.before')
    const now = Date.now()
    if (before > now)
      throw new LimitError('ERANGE', 'options.before', 'a moment that has passed', `${before}`)
    if (this.#hasLeft) return Promise.reject(new LaticaError('ECLOSED'))
    const subcluster = this.#handle
    return this.#scope.operations
      .run(this.#reading, 0, signal, (operation) => ({
        type: 'forget',
        operation,
        subcluster,
        before,
      }))
      .then(() => {})
  }

  handle(name: string, handler: Handler): Off {
    mustBe(typeof handler === 'function', 'handler', 'a function', handler)
    return this.#calls.handle(checkName(name, 'name'), handler)
  }

  requestMany(
    name: string,
    argument: Loose,
    options: RequestOptions & { quorum?: number } = {},
  ): AsyncIterableIterator<Loose> {
    checkName(name, 'name')
    checkValue(argument, 'argument', DIRECT_LIMIT)
    const { quorum = Infinity, signal, ...rest } = signalOf(options)
    checkMilliseconds(rest.timeout, 'options.timeout', 1)
    mustBe(
      quorum === Infinity || (Number.isSafeInteger(quorum) && quorum > 0),
      'options.quorum',
      'a positive whole number',
      quorum,
    )
    return requestMany([...this.#members.values()], quorum, signal, (member, stop) =>
      member.request(name, argument, { ...rest, signal: stop }),
    )
  }

  leave(): Promise<void> {
    if (!this.#hasLeft && this.#owner.release()) {
      this.end()
      this.#owner.host.command({ type: 'leave', subcluster: this.#handle })
    }
    return Promise.resolve()
  }

  [ASYNC_DISPOSE](): Promise<void> {
    return this.leave()
  }

  /** Lets go of everything at this side. The peer is told by whoever calls. */
  end(): void {
    this.#hasLeft = true
    for (const gate of [this.#scope.gate, this.#reading])
      this.#scope.operations.failAll('ECLOSED', gate)
    this.#scope.streams.failAll('ECLOSED', this.#handle)
    this.#calls.cancelAll()
    for (const loop of [...this.#loops]) loop.end()
    for (const member of this.#members.values()) member.leave()
    this.#members.clear()
    this.presence.end()
    this.#standing.clear()
    this.#listeners.clear()
  }

  receive(event: SubclusterEvent): void {
    switch (event.type) {
      case 'member':
        return this.#onMember(event)
      case 'packet':
        return this.#onValue(
          event.event,
          event.value,
          event.packet.author,
          publishedPacket(event.packet),
        )
      case 'message':
        return this.#onValue(event.event, event.value, event.peer, messagePacket(event))
      case 'progress': {
        const { author, event: name, packet, receivedBytes, totalBytes } = event
        const progress = { packetId: packet, author, event: name, receivedBytes, totalBytes }
        this.#listeners.deliver('#progress', progress)
        return
      }
      case 'call':
        if (!this.#calls.receive(event, this.#members.get(event.peer))) this.#owner.malformed()
        return
      case 'presence':
        return this.#onPresence(event.peer, event.value)
      case 'stream':
        return this.#onStream(event.stream, event.peer, event.name)
    }
  }

  cancelCall(call: Handle): void {
    this.#calls.cancel(call)
  }

  #onMember({ peer, change }: MemberEvent): void {
    this.#removeMember(peer, change.state === 'left' ? change.why : 'restarted')
    if (change.state === 'left') return
    const member = new Member(this.#scope, peer)
    this.#members.set(peer, member)
    this.#listeners.deliver('#join', member)
  }

  #removeMember(peer: PeerId, why: LeaveReason): void {
    const member = this.#members.get(peer)
    if (member === undefined) return
    this.#members.delete(peer)
    this.#calls.cancelAll(peer)
    if (this.presence.receive(peer, undefined))
      this.#listeners.deliver('#presence', member, undefined)
    this.#listeners.deliver('#leave', member, why)
    member.leave()
  }

  #onValue(event: string, bytes: Uint8Array, author: PeerId, packet: Packet): void {
    const isReserved = event.startsWith('#')
    const value = isReserved ? MALFORMED : decodeValue(bytes)
    if (value === MALFORMED) return this.#owner.malformed()
    this.#members.get(author)?.listeners.deliver(event, value, packet)
    this.#standing.deliver(standingKey(author, event), value, packet)
    this.#listeners.deliver(event, value, packet)
    for (const loop of this.#loops) loop.push(event, value, packet, bytes.length)
  }

  #onPresence(peer: PeerId, bytes: Uint8Array | undefined): void {
    const member = this.#members.get(peer)
    const isTooBig = bytes !== undefined && bytes.length > PRESENCE_BYTES_MAX
    const value = bytes === undefined ? undefined : isTooBig ? MALFORMED : decodeValue(bytes)
    if (value === MALFORMED) return this.#owner.malformed()
    if (member !== undefined && this.presence.receive(peer, value))
      this.#listeners.deliver('#presence', member, value)
  }

  #kept(
    since: UnixMs,
    event: string | undefined,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<KeptItem> {
    const { operations } = this.#scope
    return readHistory({
      operations,
      gate: this.#reading,
      subcluster: this.#handle,
      since,
      event,
      signal,
      isOpen: () => !this.#hasLeft,
      malformed: () => this.#owner.malformed(),
    })
  }

  #onStream(handle: Handle, peer: PeerId, name: string): void {
    const member = this.#members.get(peer)
    const stream = this.#scope.streams.accept(handle, this.#handle, name)
    const standing = standingKey(peer, '#stream')
    const isHeard =
      member?.listeners.has('#stream') ||
      this.#standing.has(standing) ||
      this.#listeners.has('#stream')
    if (member === undefined || !isHeard) return stream.abort('nobody listens for #stream')
    member.listeners.deliver('#stream', stream, member)
    this.#standing.deliver(standing, stream, member)
    this.#listeners.deliver('#stream', stream, member)
  }

  /** Hands the members present to a listener that came late, when the current job is done. */
  #replay(listener: Loose, off: Off, signal: AbortSignal | undefined, isOnce: boolean): void {
    const present = [...this.#members.values()]
    if (present.length === 0) return
    queueMicrotask(() => {
      for (const member of present) {
        const isHere = this.#members.get(member.peerId) === member
        if (!isHere || signal?.aborted || !this.#listeners.isListening('#join', off)) continue
        if (isOnce) off()
        this.#listeners.call(listener, member)
      }
    })
  }

  #failed(error: unknown): void {
    if (this.#listeners.isCalling('#error') || !this.#listeners.deliver('#error', error))
      this.#owner.failed(error)
  }
}

function checkLossy(name: string, bytes: Uint8Array): void {
  const size = utf8(name).length + bytes.length
  if (size > LOSSY_BYTES_MAX)
    throw new LimitError(
      'ETOOBIG',
      'value',
      `with the event's name at most ${LOSSY_BYTES_MAX} bytes when delivery is 'lossy'`,
      `${size} bytes; use delivery: 'live'`,
    )
}

/** With the packet of a message that was kept for us. */
function messagePacket({ packet, peer, via }: MessageEvent): Packet {
  if (packet !== undefined) return publishedPacket(packet)
  return directPacket(peer, via === 'cache' ? 'relayed' : via)
}

export function checkSharedKey(sharedKey: unknown): asserts sharedKey is Uint8Array {
  if (sharedKey instanceof Uint8Array && isSubclusterKey(sharedKey)) return
  const expected =
    `${SHARED_KEY_BYTES} bytes, as Encryption.createSharedKey(secret) makes them, or the ` +
    `${EXPORTED_KEY_BYTES} of subcluster.key()`
  throw new UsageError('EBADKEY', 'sharedKey', expected, describe(sharedKey))
}

export function checkOrder(order: unknown): asserts order is DeliveryOrder | undefined {
  const isKnown = order === undefined || order === 'causal' || order === 'strict'
  mustBe(isKnown, 'options.order', "'causal' or 'strict'", order)
}

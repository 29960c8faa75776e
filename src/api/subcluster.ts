import { MALFORMED, UsageError } from '../core/errors.ts'
import type { Handle, LeaveReason, PeerEvent, PeerId } from '../core/io.ts'
import { utf8 } from '../core/wire/bytes.ts'
import { Calls, type Handler } from './calls.ts'
import { describe, LaticaError, LimitError, mustBe } from './errors.ts'
import { EventLoop } from './events.ts'
import {
  checkEvent,
  checkMilliseconds,
  checkName,
  checkValue,
  LOSSY_BYTES_MAX,
  PRESENCE_BYTES_MAX,
  TTL_MS_MAX,
  VALUE_BYTES_MAX,
} from './limits.ts'
import { ASYNC_DISPOSE, Listeners, signalOf } from './listeners.ts'
import {
  directPacket,
  Member,
  type MemberEvent,
  publishedPacket,
  type Scope,
  unawaited,
} from './member.ts'
import { PresenceBoard } from './presence.ts'
import { requestMany } from './request-many.ts'
import type {
  EmitOptions,
  EventItem,
  ListenOptions,
  Loose,
  Off,
  Packet,
  RemotePeer,
  RequestOptions,
  Subcluster,
} from './types.ts'
import { decodeValue } from './values.ts'

const SYSTEM = ['#join', '#leave', '#presence', '#stream', '#error']
const DELIVERIES = ['durable', 'live', 'lossy']

export type SubclusterEvent = Extract<
  PeerEvent,
  { type: 'member' | 'packet' | 'message' | 'call' | 'presence' | 'stream' }
>

/** What a socket gives to the subclusters it holds. */
export interface SubclusterOwner extends Omit<Scope, 'failed' | 'isOpen' | 'presence'> {
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
  readonly #loops = new Set<EventLoop>()
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
    const bytes = checkValue(value, 'value', VALUE_BYTES_MAX)
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
    return unawaited(
      sent.then((outcome): Packet => {
        const info = outcome.type === 'done' ? outcome.packet : undefined
        return info === undefined
          ? directPacket(this.#owner.host.peerId, 'self')
          : publishedPacket(info)
      }),
    )
  }

  events(event: string, options?: ListenOptions): AsyncIterableIterator<EventItem<Loose>> {
    const loop = new EventLoop(() => {
      this.#loops.delete(loop)
      off()
      options?.signal?.removeEventListener('abort', end)
    })
    const end = () => loop.end()
    const off = this.#listeners.add(
      checkName(event, 'event'),
      (value: Loose, packet: Loose) => loop.push(value, packet),
      options,
    )
    this.#loops.add(loop)
    if (this.#hasLeft || options?.signal?.aborted) loop.end()
    else options?.signal?.addEventListener('abort', end, { once: true })
    return loop
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
    checkValue(argument, 'argument', VALUE_BYTES_MAX)
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
    this.#scope.operations.failAll('ECLOSED', this.#scope.gate)
    this.#scope.streams.failAll('ECLOSED', this.#handle)
    this.#calls.cancelAll()
    for (const loop of [...this.#loops]) loop.end()
    for (const member of this.#members.values()) member.leave()
    this.#members.clear()
    this.presence.end()
    this.#listeners.clear()
  }

  receive(event: SubclusterEvent): void {
    switch (event.type) {
      case 'member':
        return this.#onMember(event)
      case 'packet': {
        const { author } = event.packet
        const packet = publishedPacket(event.packet)
        return this.#onValue(event.event, event.value, author, packet)
      }
      case 'message':
        return this.#onValue(
          event.event,
          event.value,
          event.peer,
          directPacket(event.peer, event.via),
        )
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
    this.#listeners.deliver(event, value, packet)
  }

  #onPresence(peer: PeerId, bytes: Uint8Array | undefined): void {
    const member = this.#members.get(peer)
    const isTooBig = bytes !== undefined && bytes.length > PRESENCE_BYTES_MAX
    const value = bytes === undefined ? undefined : isTooBig ? MALFORMED : decodeValue(bytes)
    if (value === MALFORMED) return this.#owner.malformed()
    if (member !== undefined && this.presence.receive(peer, value))
      this.#listeners.deliver('#presence', member, value)
  }

  #onStream(handle: Handle, peer: PeerId, name: string): void {
    const member = this.#members.get(peer)
    const stream = this.#scope.streams.accept(handle, this.#handle, name)
    const isHeard = (member?.listeners.has('#stream') ?? false) || this.#listeners.has('#stream')
    if (member === undefined || !isHeard) return stream.abort('nobody listens for #stream')
    member.listeners.deliver('#stream', stream, member)
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

export function checkSharedKey(sharedKey: unknown): asserts sharedKey is Uint8Array {
  if (sharedKey instanceof Uint8Array && sharedKey.length === 32) return
  const expected = '32 bytes, as Encryption.createSharedKey(secret) makes them'
  throw new UsageError('EBADKEY', 'sharedKey', expected, describe(sharedKey))
}

import { MALFORMED } from '../core/errors.ts'
import type { Handle, PacketInfo, PathKind, PeerEvent, PeerId } from '../core/io.ts'
import { decodeFailure } from './calls.ts'
import { LaticaError } from './errors.ts'
import type { Host } from './host.ts'
import {
  checkEvent,
  checkMilliseconds,
  checkName,
  checkValue,
  DIRECT_LIMIT,
  REQUEST_TIMEOUT_MS,
} from './limits.ts'
import { Listeners, signalOf } from './listeners.ts'
import type { Gate, Operations, Outcome } from './operations.ts'
import type { Streams } from './stream.ts'
import type {
  Connection,
  DirectPacket,
  ListenOptions,
  Loose,
  Off,
  Packet,
  PeerStream,
  PublishedPacket,
  RemotePeer,
  RequestOptions,
} from './types.ts'
import { decodeValue } from './values.ts'

/** What a subcluster and its members share. */
export interface Scope {
  readonly host: Host
  readonly subcluster: Handle
  readonly operations: Operations
  readonly gate: Gate
  readonly streams: Streams
  /** False once we left: no command may name the subcluster any more. */
  isOpen(): boolean
  connection(peerId: string): Connection | undefined
  isHere(peerId: PeerId): boolean
  presence(peerId: string): Loose
  /** A listener threw. */
  failed(error: unknown): void
}

const SYSTEM = ['#stream']

/** Where a member's listeners are kept. */
export type MemberListeners = Pick<Listeners, 'add' | 'once' | 'remove'>

/** Another member: what both kinds of it, a stay and a standing one, can do. */
abstract class Remote implements RemotePeer {
  readonly peerId: PeerId
  abstract readonly listeners: MemberListeners
  protected readonly scope: Scope
  #lastPath: PathKind | undefined

  constructor(scope: Scope, peerId: PeerId, path?: PathKind) {
    this.scope = scope
    this.peerId = peerId
    this.#lastPath = path
  }

  /** Whether the member that this object stands for is here. */
  protected abstract isHere(): boolean

  get path(): PathKind | undefined {
    this.#lastPath = this.scope.connection(this.peerId)?.path ?? this.#lastPath
    return this.#lastPath
  }

  get rtt(): number | undefined {
    return this.scope.connection(this.peerId)?.rtt
  }

  get presence(): Loose {
    return this.isHere() ? this.scope.presence(this.peerId) : undefined
  }

  on(event: string, listener: Loose, options?: ListenOptions): Off {
    return this.listeners.add(checkEvent(event, SYSTEM), listener, options)
  }

  once(event: string, listener: Loose, options?: ListenOptions): Off {
    return this.listeners.once(checkEvent(event, SYSTEM), listener, options)
  }

  off(event: string, listener: Loose): void {
    this.listeners.remove(event, listener)
  }

  emit(event: string, value: Loose, options: { signal?: AbortSignal } = {}): Promise<Packet> {
    const name = checkName(event, 'event')
    const bytes = checkValue(value, 'value', DIRECT_LIMIT)
    const { signal } = signalOf(options)
    if (!this.scope.isOpen()) return unawaited(Promise.reject(new LaticaError('ECLOSED')))
    const { operations, gate, subcluster } = this.scope
    const sent = operations.run(gate, bytes.length, signal, (operation) => ({
      type: 'send',
      operation,
      subcluster,
      peer: this.peerId,
      event: name,
      value: bytes,
    }))
    return unawaited(sent.then((outcome) => sentPacket(outcome, this.scope.host.peerId)))
  }

  request(name: string, argument: Loose, options: RequestOptions = {}): Promise<Loose> {
    const checkedName = checkName(name, 'name')
    const bytes = checkValue(argument, 'argument', DIRECT_LIMIT)
    const { signal, timeout } = signalOf(options)
    const timeoutMs = checkMilliseconds(timeout, 'options.timeout', REQUEST_TIMEOUT_MS)
    if (!this.scope.isOpen()) return Promise.reject(new LaticaError('ECLOSED'))
    const { operations, gate, subcluster } = this.scope
    const answered = operations.run(gate, bytes.length, signal, (operation) => ({
      type: 'request',
      operation,
      subcluster,
      peer: this.peerId,
      name: checkedName,
      value: bytes,
      timeoutMs,
    }))
    return answered.then((outcome) => {
      if (outcome.type !== 'answer') return undefined
      if (!outcome.ok) throw decodeFailure(outcome.value)
      const value = decodeValue(outcome.value)
      if (value === MALFORMED) throw new LaticaError('EREMOTE', 'the answer is malformed')
      return value
    })
  }

  openStream(name: string, options: { signal?: AbortSignal } = {}): Promise<PeerStream> {
    const checkedName = checkName(name, 'name')
    const { signal } = signalOf(options)
    if (!this.scope.isOpen()) return Promise.reject(new LaticaError('ECLOSED'))
    if (!this.isHere()) return Promise.reject(new LaticaError('EPEERGONE'))
    return this.scope.streams.open(this.scope.subcluster, this.peerId, checkedName, signal)
  }
}

/**
 * One stay of another member: from its joining until it leaves. Afterwards it hears nothing; what is
 * sent still goes to the peer, or is kept for it.
 */
export class Member extends Remote {
  readonly listeners: Listeners
  #hasLeft = false

  constructor(scope: Scope, peerId: PeerId) {
    super(scope, peerId, 'direct')
    this.listeners = new Listeners((error) => scope.failed(error))
  }

  protected isHere(): boolean {
    return !this.#hasLeft
  }

  leave(): void {
    this.#hasLeft = true
    this.listeners.clear()
  }
}

/**
 * A peer by its id, here or not. It holds nothing: there may be many for one peer, and their listeners
 * are kept by the subcluster, so that handles that nobody uses any more cost nothing.
 */
export class StandingPeer extends Remote {
  readonly listeners: MemberListeners

  constructor(scope: Scope, peerId: PeerId, all: Listeners) {
    super(scope, peerId)
    this.listeners = {
      add: (event, listener, options) => all.add(standingKey(peerId, event), listener, options),
      once: (event, listener, options) => all.once(standingKey(peerId, event), listener, options),
      remove: (event, listener) => all.remove(standingKey(peerId, event), listener),
    }
  }

  protected isHere(): boolean {
    return this.scope.isHere(this.peerId)
  }
}

/** Under which name the listeners of all standing peers are kept together. */
export function standingKey(peerId: PeerId, event: string): string {
  return `${peerId} ${event}`
}

/** A sending that nobody waits for may fail without ending the process. */
export function unawaited<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}

export function publishedPacket(info: PacketInfo): PublishedPacket {
  const { ttlMs, ...packet } = info
  return { ...packet, ttl: ttlMs }
}

export function directPacket(author: PeerId, via: DirectPacket['via']): DirectPacket {
  const timestamp = Date.now()
  return { id: undefined, author, previous: [], timestamp, lamport: 0, ttl: 0, via, gap: false }
}

/** The packet that a sending of ours became. */
export function sentPacket(outcome: Outcome, self: PeerId): Packet {
  const info = outcome.type === 'done' ? outcome.packet : undefined
  return info === undefined ? directPacket(self, 'self') : publishedPacket(info)
}

export type MemberEvent = Extract<PeerEvent, { type: 'member' }>

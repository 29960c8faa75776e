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
  REQUEST_TIMEOUT_MS,
  VALUE_BYTES_MAX,
} from './limits.ts'
import { Listeners, signalOf } from './listeners.ts'
import type { Gate, Operations } from './operations.ts'
import type { Streams } from './stream.ts'
import type {
  Connection,
  DirectPacket,
  ListenOptions,
  Loose,
  Off,
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
  presence(peerId: string): Loose
  /** A listener threw. */
  failed(error: unknown): void
}

const SYSTEM = ['#stream']

/**
 * One stay of another member: from its joining until it leaves. Afterwards it hears nothing; what is
 * sent still goes to the peer, which keeps it for a remote that is expected back.
 */
export class Member implements RemotePeer {
  readonly peerId: PeerId
  readonly listeners: Listeners
  readonly #scope: Scope
  #hasLeft = false
  #lastPath: PathKind = 'direct'

  constructor(scope: Scope, peerId: PeerId) {
    this.#scope = scope
    this.peerId = peerId
    this.listeners = new Listeners((error) => scope.failed(error))
  }

  get path(): PathKind {
    this.#lastPath = this.#scope.connection(this.peerId)?.path ?? this.#lastPath
    return this.#lastPath
  }

  get rtt(): number | undefined {
    return this.#scope.connection(this.peerId)?.rtt
  }

  get presence(): Loose {
    return this.#hasLeft ? undefined : this.#scope.presence(this.peerId)
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

  emit(event: string, value: Loose, options: { signal?: AbortSignal } = {}): Promise<void> {
    const name = checkName(event, 'event')
    const bytes = checkValue(value, 'value', VALUE_BYTES_MAX)
    const { signal } = signalOf(options)
    if (!this.#scope.isOpen()) return unawaited(Promise.reject(new LaticaError('ECLOSED')))
    const { operations, gate, subcluster } = this.#scope
    const sent = operations.run(gate, bytes.length, signal, (operation) => ({
      type: 'send',
      operation,
      subcluster,
      peer: this.peerId,
      event: name,
      value: bytes,
    }))
    return unawaited(sent.then(() => {}))
  }

  request(name: string, argument: Loose, options: RequestOptions = {}): Promise<Loose> {
    const checkedName = checkName(name, 'name')
    const bytes = checkValue(argument, 'argument', VALUE_BYTES_MAX)
    const { signal, timeout } = signalOf(options)
    const timeoutMs = checkMilliseconds(timeout, 'options.timeout', REQUEST_TIMEOUT_MS)
    if (!this.#scope.isOpen()) return Promise.reject(new LaticaError('ECLOSED'))
    const { operations, gate, subcluster } = this.#scope
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
      if (outcome.type === 'done') return undefined
      if (!outcome.ok) throw decodeFailure(outcome.value)
      const value = decodeValue(outcome.value)
      if (value === MALFORMED) throw new LaticaError('EREMOTE', 'the answer is malformed')
      return value
    })
  }

  openStream(name: string, options: { signal?: AbortSignal } = {}): Promise<PeerStream> {
    const checkedName = checkName(name, 'name')
    const { signal } = signalOf(options)
    if (!this.#scope.isOpen()) return Promise.reject(new LaticaError('ECLOSED'))
    if (this.#hasLeft) return Promise.reject(new LaticaError('EPEERGONE'))
    return this.#scope.streams.open(this.#scope.subcluster, this.peerId, checkedName, signal)
  }

  leave(): void {
    this.#hasLeft = true
    this.listeners.clear()
  }
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

export type MemberEvent = Extract<PeerEvent, { type: 'member' }>

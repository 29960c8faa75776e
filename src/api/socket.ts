import { UsageError } from '../core/errors.ts'
import type {
  DeliveryOrder,
  Handle,
  LocalAddress,
  PathKind,
  PeerEvent,
  PeerId,
  SessionSnapshot,
} from '../core/io.ts'
import { toHex } from '../core/wire/bytes.ts'
import { adviceFor } from './advice.ts'
import { LaticaError, mustBe } from './errors.ts'
import type { Host } from './host.ts'
import { checkMilliseconds, checkSystemEvent, REQUEST_TIMEOUT_MS } from './limits.ts'
import { ASYNC_DISPOSE, Listeners, makeOff, signalOf } from './listeners.ts'
import { aborted, Gate, Operations } from './operations.ts'
import { Streams } from './stream.ts'
import { checkOrder, checkSharedKey, JoinedSubcluster } from './subcluster.ts'
import { asPeerId, formatTicket, type PeerAddress, parsePeerAddress } from './ticket.ts'
import { Traces } from './trace.ts'
import type {
  Connection,
  ListenOptions,
  Loose,
  Off,
  RequestOptions,
  Socket,
  SocketInfo,
  SocketState,
  Subcluster,
  TraceEvent,
} from './types.ts'

const SYSTEM = ['#ready', '#state', '#connection', '#disconnection', '#error']

export interface SocketOptions {
  readonly host: Host
  /** Turns DNS names into IP addresses. Rejects when there are none. */
  readonly resolve: (address: PeerAddress) => Promise<readonly LocalAddress[]>
  /** Names the group that a key is of: an exported key is of the same one as the key it came from. */
  readonly groupOf: (sharedKey: Uint8Array) => string
}

/** Someone waits for a peer to connect. */
interface Meeting {
  readonly peer: PeerId
  readonly met: (connection: Connection) => void
  readonly failed: (error: Error) => void
}

interface LiveConnection extends Connection {
  path: PathKind
}

interface Joined {
  readonly subcluster: JoinedSubcluster
  /** In hex. */
  readonly key: string
  readonly order: DeliveryOrder
  users: number
}

/** The facade of one peer: turns calls into commands and events into listeners' calls. */
export class PeerSocket implements Socket {
  readonly peerId: PeerId
  readonly ready: Promise<SocketInfo>
  readonly #host: Host
  readonly #resolve: SocketOptions['resolve']
  readonly #groupOf: SocketOptions['groupOf']
  readonly #operations: Operations
  readonly #streams: Streams
  readonly #traces = new Traces()
  readonly #listeners = new Listeners((error) => this.#failed(error))
  readonly #connections = new Map<string, LiveConnection>()
  readonly #pathRtts = new Map<PeerId, number>()
  readonly #byGroup = new Map<string, Joined>()
  readonly #byHandle = new Map<Handle, JoinedSubcluster>()
  readonly #meetings = new Set<Meeting>()
  #lastSubcluster = 0
  #valuesMalformed = 0
  #state: SocketState
  #isReady = false
  #resolveReady: (info: SocketInfo) => void = () => {}
  #rejectReady: (error: Error) => void = () => {}
  #isClosing = false
  #closing: Promise<void> | undefined

  constructor(options: SocketOptions) {
    const { host } = options
    this.#host = {
      peerId: host.peerId,
      command: (command) => {
        this.#traces.add('app', command)
        if (!this.#isClosing) host.command(command)
      },
      onEvent: (listener) => host.onEvent(listener),
      snapshot: () => host.snapshot(),
      close: () => host.close(),
    }
    this.#resolve = options.resolve
    this.#groupOf = options.groupOf
    this.peerId = host.peerId
    this.#operations = new Operations(this.#host)
    this.#streams = new Streams(this.#host)
    this.ready = new Promise((resolve, reject) => {
      this.#resolveReady = resolve
      this.#rejectReady = reject
    })
    // Closing before the first peer came is no fault of a programme that does not wait for it.
    this.ready.catch(() => {})
    const snapshot = host.snapshot()
    this.#state = snapshot.state
    host.onEvent((event) => this.#receive(event))
    for (const { peer, path, state } of snapshot.sessions)
      if (state === 'up') this.#onConnection(peer, path)
    if (this.#state === 'online') this.#setReady()
  }

  get peers(): ReadonlyMap<string, Connection> {
    return this.#connections
  }

  ticket(): string {
    const { observed, local } = this.#host.snapshot()
    const seen = new Set<string>()
    const addresses = [...observed, ...local.toSorted(loopbackLast)].filter(({ host, port }) => {
      const isNew = !seen.has(`${host} ${port}`)
      seen.add(`${host} ${port}`)
      return isNew
    })
    return formatTicket(this.peerId, addresses)
  }

  address(): LocalAddress | undefined {
    const { observed, local } = this.#host.snapshot()
    return observed[0] ?? local.toSorted(loopbackLast)[0]
  }

  info(): SocketInfo {
    const snapshot = this.#host.snapshot()
    const { observed, local, nat, sessions } = snapshot
    const relays = new Set(sessions.flatMap(({ relay }) => relay ?? []))
    return {
      peerId: this.peerId,
      state: this.#state,
      advice: adviceFor(this.#state, snapshot),
      observed,
      local,
      nat,
      relays: [...relays],
      connections: this.#connections.size,
    }
  }

  stats(): Readonly<Record<string, number>> {
    return { ...this.#host.snapshot().counters, valuesMalformed: this.#valuesMalformed }
  }

  on(event: string, listener: Loose, options?: ListenOptions): Off {
    const off = this.#listeners.add(checkSystemEvent(event, SYSTEM), listener, options)
    if (event === '#ready') this.#replayReady(listener, off)
    return off
  }

  once(event: string, listener: Loose, options?: ListenOptions): Off {
    const off = this.#listeners.once(checkSystemEvent(event, SYSTEM), listener, options)
    if (event === '#ready') this.#replayReady(listener, off)
    return off
  }

  off(event: string, listener: Loose): void {
    this.#listeners.remove(event, listener)
  }

  subcluster<S>(options: {
    readonly sharedKey: Uint8Array
    readonly order?: DeliveryOrder
    readonly signal?: AbortSignal
  }): Promise<Subcluster<S>> {
    const { sharedKey, order, signal } = signalOf(options)
    checkSharedKey(sharedKey)
    checkOrder(order)
    const group = this.#groupOf(sharedKey)
    const present = this.#byGroup.get(group)
    if (present !== undefined) checkPresent(present, toHex(sharedKey), order)
    if (this.#isClosing) return Promise.reject(new LaticaError('ECLOSED'))
    if (signal?.aborted) return Promise.reject(aborted(signal))
    const joined = present ?? this.#join(group, sharedKey.slice(), order ?? 'causal')
    joined.users++
    signal?.addEventListener(
      'abort',
      makeOff(() => void joined.subcluster.leave()),
      { once: true },
    )
    // The one place where the untyped facade takes the caller's types.
    return Promise.resolve(joined.subcluster as unknown as Subcluster<S>)
  }

  connect(peerId: string, options: RequestOptions = {}): Promise<Connection> {
    const peer = asPeerId(peerId)
    mustBe(peer !== undefined, 'peerId', '64 hex digits', peerId, 'EBADPEERID')
    mustBe(peer !== this.peerId, 'peerId', 'the id of another peer', 'our own', 'EBADPEERID')
    const { signal, timeout } = signalOf(options)
    const timeoutMs = checkMilliseconds(timeout, 'options.timeout', REQUEST_TIMEOUT_MS)
    const present = this.#connections.get(peer)
    if (present !== undefined) return Promise.resolve(present)
    if (this.#isClosing) return Promise.reject(new LaticaError('ECLOSED'))
    if (signal?.aborted) return Promise.reject(aborted(signal))
    return this.#waitFor(peer, timeoutMs, signal)
  }

  addPeer(ticket: string): Promise<void> {
    const address = parsePeerAddress(ticket, 'ticket')
    return this.#resolve(address).then((addresses) => {
      if (this.#isClosing) throw new LaticaError('ECLOSED')
      this.#host.command({ type: 'dial', addresses, peer: address.peer })
    })
  }

  inspect(): ReadableStream<TraceEvent> {
    return this.#traces.stream()
  }

  close(): Promise<void> {
    if (this.#closing === undefined) {
      this.#isClosing = true
      this.#closing = this.#close()
    }
    return this.#closing
  }

  [ASYNC_DISPOSE](): Promise<void> {
    return this.close()
  }

  /** A fault of the surroundings, for '#error'. */
  report(error: unknown): void {
    this.#failed(error)
  }

  /** Something to know that ends nothing. False when nobody listens for '#error'. */
  notice(error: unknown): boolean {
    return this.#listeners.deliver('#error', error)
  }

  async #close(): Promise<void> {
    const closed = new LaticaError('ECLOSED')
    for (const subcluster of this.#byHandle.values()) subcluster.end()
    this.#byHandle.clear()
    this.#byGroup.clear()
    this.#operations.failAll('ECLOSED')
    this.#streams.failAll('ECLOSED')
    for (const meeting of [...this.#meetings]) meeting.failed(closed)
    this.#rejectReady(closed)
    await this.#host.close()
    this.#setState('closed')
    this.#connections.clear()
    this.#listeners.clear()
    this.#traces.end()
  }

  #join(group: string, sharedKey: Uint8Array, order: DeliveryOrder): Joined {
    const handle = ++this.#lastSubcluster
    const joined: Joined = {
      users: 0,
      key: toHex(sharedKey),
      order,
      subcluster: new JoinedSubcluster({
        host: this.#host,
        subcluster: handle,
        operations: this.#operations,
        gate: new Gate(),
        streams: this.#streams,
        connection: (peerId) => this.#connections.get(peerId),
        failed: (error) => this.#failed(error),
        malformed: () => {
          this.#valuesMalformed++
        },
        release: () => {
          if (--joined.users > 0) return false
          this.#byGroup.delete(group)
          this.#byHandle.delete(handle)
          return true
        },
      }),
    }
    this.#byGroup.set(group, joined)
    this.#byHandle.set(handle, joined.subcluster)
    this.#host.command({ type: 'join', subcluster: handle, sharedKey, order })
    return joined
  }

  #waitFor(peer: PeerId, timeoutMs: number, signal: AbortSignal | undefined): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const end = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
        this.#meetings.delete(meeting)
      }
      const meeting: Meeting = {
        peer,
        met: (connection) => {
          end()
          resolve(connection)
        },
        failed: (error) => {
          end()
          reject(error)
        },
      }
      const onAbort = () => meeting.failed(aborted(signal))
      const timer = setTimeout(
        () => meeting.failed(new LaticaError('ETIMEDOUT', 'no peer we know reached it in time')),
        timeoutMs,
      )
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#meetings.add(meeting)
      this.#host.command({ type: 'dial', addresses: [], peer })
    })
  }

  #onConnection(peer: PeerId, path: PathKind): void {
    // As it is at the moment; events tell of paths, not of every measurement.
    const session = () => this.#sessionOf(peer)
    const rttOfPath = () => this.#pathRtts.get(peer)
    const connection = {
      peerId: peer,
      path,
      get rtt() {
        return session()?.rttMs ?? rttOfPath()
      },
      get relay() {
        return session()?.relay
      },
      get nat() {
        return session()?.nat
      },
    }
    this.#connections.set(peer, connection)
    this.#listeners.deliver('#connection', connection)
    for (const meeting of [...this.#meetings]) if (meeting.peer === peer) meeting.met(connection)
  }

  #onPath(peer: PeerId, path: PathKind, rttMs: number): void {
    const connection = this.#connections.get(peer)
    if (connection === undefined) return
    connection.path = path
    this.#pathRtts.set(peer, rttMs)
  }

  #sessionOf(peer: PeerId): SessionSnapshot | undefined {
    return this.#host.snapshot().sessions.find((each) => each.peer === peer)
  }

  #setState(state: SocketState): void {
    if (state === this.#state) return
    this.#state = state
    if (state === 'online') this.#setReady()
    this.#listeners.deliver('#state', state, adviceFor(state, this.#host.snapshot()))
  }

  #setReady(): void {
    if (this.#isReady) return
    this.#isReady = true
    this.#resolveReady(this.info())
    this.#listeners.deliver('#ready', this.info())
  }

  /** A listener that came after the event gets it when the current job is done. */
  #replayReady(listener: Loose, off: Off): void {
    if (!this.#isReady) return
    queueMicrotask(() => {
      if (!this.#listeners.isListening('#ready', off)) return
      off()
      this.#listeners.call(listener, this.info())
    })
  }

  /** Without a listener for '#error' a fault ends the process, as an exception does anywhere. */
  #failed(error: unknown): void {
    const isLoop = this.#listeners.isCalling('#error')
    if (!isLoop && this.#listeners.deliver('#error', error)) return
    queueMicrotask(() => {
      throw error
    })
  }

  #receive(event: PeerEvent): void {
    this.#traces.add('network', event)
    switch (event.type) {
      case 'state':
        // Closing takes the sockets down, which is no news to whoever closed.
        return this.#isClosing ? undefined : this.#setState(event.state)
      case 'connection':
        return this.#onConnection(event.peer, event.path)
      case 'path':
        return this.#onPath(event.peer, event.path, event.rttMs)
      case 'disconnection': {
        const connection = this.#connections.get(event.peer)
        this.#connections.delete(event.peer)
        this.#pathRtts.delete(event.peer)
        if (connection) this.#listeners.deliver('#disconnection', connection, event.why)
        return
      }
      case 'data':
      case 'ended':
      case 'broken':
      case 'writable':
        return this.#streams.handle(event)
      case 'done':
      case 'answer':
      case 'failed':
      case 'history':
      case 'key':
        return this.#operations.settle(event)
      case 'callCancelled':
        for (const subcluster of this.#byHandle.values()) subcluster.cancelCall(event.call)
        return
      case 'member':
      case 'packet':
      case 'message':
      case 'call':
      case 'presence':
      case 'progress':
      case 'stream':
        this.#byHandle.get(event.subcluster)?.receive(event)
    }
  }
}

/** The same object is for those who ask for the same. */
function checkPresent(present: Joined, key: string, order: DeliveryOrder | undefined): void {
  const joined = 'with which this subcluster was joined and not left yet'
  if (key !== present.key)
    throw new UsageError('EEXISTS', 'options.sharedKey', `the key ${joined}`, 'another key of it')
  if ((order ?? present.order) !== present.order)
    throw new UsageError('EEXISTS', 'options.order', `'${present.order}', ${joined}`, `'${order}'`)
}

function loopbackLast(a: LocalAddress, b: LocalAddress): number {
  return Number(isLoopback(a.host)) - Number(isLoopback(b.host))
}

function isLoopback(host: string): boolean {
  return host === '::1' || host.startsWith('127.')
}

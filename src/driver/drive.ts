import { UsageError } from '../core/errors.ts'
import type {
  Command,
  Core,
  Deadline,
  Endpoint,
  Input,
  Instant,
  Output,
  PeerEvent,
  StoredRecord,
} from '../core/io.ts'
import type { Clock, MaybePromise, Storage, Transport } from './ports.ts'

/** One step of a driver: for devtools and traces. Borrowed for the call. */
export type DriverTrace =
  | { readonly type: 'input'; readonly at: Instant; readonly input: Input }
  | { readonly type: 'output'; readonly at: Instant; readonly output: Output }
  | { readonly type: 'armed'; readonly at: Instant; readonly deadline: Deadline }

export type Port = 'transport' | 'storage'

export interface DriverOptions {
  readonly core: Core
  readonly transport: Transport
  readonly clock: Clock
  readonly storage: Storage
  /** May call `command` and `close`: they take effect when this event's fellows have been told. */
  readonly onEvent: (event: PeerEvent) => void
  /**
   * The core broke an invariant: a bug in Latica. The driver has closed itself; called at most once.
   * This callback and the two below must not throw.
   */
  readonly onFault: (error: unknown) => void
  /** `onEvent` or `trace` threw. The driver goes on. */
  readonly onAppError: (error: unknown) => void
  /**
   * A port threw or rejected. The driver goes on: a failed load counts as no records, a failed bind as
   * a socket that is down.
   */
  readonly onPortError: (error: unknown, port: Port) => void
}

/**
 * The one loop that runs a core: it decides in which order inputs enter and outputs leave, and when
 * to wake. It knows no protocol and no runtime.
 *
 * One input at a time: handle, drain, then tell the events in order. What a callback asks for waits
 * in the queue, so `handle` never nests. One timer at most is armed.
 */
export class Driver {
  /** Sees every step while set. */
  trace: ((step: DriverTrace) => void) | undefined
  readonly #options: DriverOptions
  readonly #core: Core
  readonly #inputs: Input[] = []
  readonly #writes = new Set<Promise<void>>()
  /** A write failed since the core last asked. */
  #hasLostWrite = false
  readonly #onClosed: ((flushed: MaybePromise<void>) => void)[] = []
  #events: PeerEvent[] = []
  #state: 'made' | 'open' | 'closed' = 'made'
  #isPumping = false
  #deadline: Deadline | undefined
  #armedAt: Instant | undefined
  #disarm: (() => void) | undefined
  #flushed: MaybePromise<void> = undefined

  constructor(options: DriverOptions) {
    this.#options = options
    this.#core = options.core
  }

  /** Performs what the core wanted from its construction on, then opens the transport. */
  start(): void {
    if (this.#state !== 'made') {
      throw new UsageError('ESTARTED', 'start', 'a driver not started before', this.#state)
    }
    this.#state = 'open'
    this.#pump()
    if (!this.#isOpen()) return
    const { transport } = this.#options
    this.#guardPort('transport', () =>
      transport.open({
        // Lent for the call only, and a nested call outlives it.
        datagram: (from, data) =>
          this.#feed({ type: 'datagram', from, data: this.#isPumping ? data.slice() : data }),
        socket: (socket, state, addresses) =>
          this.#feed({ type: 'socket', socket, state, addresses }),
        portMapping: (mapping) => this.#feed({ type: 'portMapping', mapping }),
      }),
    )
  }

  /** Applied at once, or after the events in hand when called from one of them. */
  command(command: Command): void {
    if (this.#state !== 'open') {
      throw new UsageError('ECLOSED', 'command', 'a running driver', `one that is ${this.#state}`)
    }
    this.#feed({ type: 'command', command })
  }

  /**
   * Lets the core say good-bye, closes the transport, waits for every write, closes the storage.
   * Answers at once when the storage does and the call does not come from a callback.
   */
  close(): MaybePromise<void> {
    if (this.#state === 'closed') return this.#flushed
    if (this.#state === 'made') {
      this.#finish()
      return this.#flushed
    }
    this.#feed({ type: 'command', command: { type: 'close' } })
    if (!this.#isPumping) return this.#flushed
    return new Promise((resolve) => this.#onClosed.push(resolve))
  }

  /** What the core waits for, and why: for traces. */
  get deadline(): Deadline | undefined {
    return this.#deadline
  }

  #feed(input: Input): void {
    if (this.#state !== 'open') return
    this.#inputs.push(input)
    if (!this.#isPumping) this.#pump()
  }

  #pump(): void {
    this.#isPumping = true
    const fault = this.#run()
    this.#isPumping = false
    if (fault !== undefined) {
      this.#finish()
      this.#options.onFault(fault.error)
    } else if (this.#state === 'closed') this.#finish()
  }

  /** Runs until there is no input left. Returns the core's fault, if it had one. */
  #run(): { readonly error: unknown } | undefined {
    try {
      this.#drain()
      this.#tell()
      for (;;) {
        const input = this.#inputs.shift()
        if (input === undefined) break
        const { clock } = this.#options
        if (this.trace !== undefined) this.#traced((at) => ({ type: 'input', at, input }))
        this.#core.handle(input, clock.now(), clock.wall())
        this.#drain()
        this.#tell()
        if (input.type === 'command' && input.command.type === 'close') {
          this.#state = 'closed'
          return undefined
        }
      }
      this.#arm()
      return undefined
    } catch (error) {
      this.#state = 'closed'
      this.#tell()
      return { error }
    }
  }

  #drain(): void {
    for (;;) {
      const output = this.#core.poll()
      if (output === undefined) return
      if (this.trace !== undefined) this.#traced((at) => ({ type: 'output', at, output }))
      this.#perform(output)
    }
  }

  #perform(output: Output): void {
    switch (output.type) {
      case 'transmit':
        this.#send(output.to, output.data)
        return
      case 'bind':
        this.#bind(output.socket)
        return
      case 'unbind':
        this.#guardPort('transport', () => this.#options.transport.unbind(output.socket))
        return
      case 'store':
        this.#write(output.key, output.value)
        return
      case 'sync':
        this.#sync()
        return
      case 'load':
        this.#load(output.prefix)
        return
      case 'event':
        this.#events.push(output.event)
    }
  }

  /** Without a closure, which every datagram would pay for. */
  #send(to: Endpoint, data: Uint8Array): void {
    try {
      this.#options.transport.send(to, data)
    } catch (error) {
      this.#options.onPortError(error, 'transport')
    }
  }

  /** A bind that throws counts as a socket that cannot be had. */
  #bind(socket: number): void {
    try {
      this.#options.transport.bind(socket)
    } catch (error) {
      this.#options.onPortError(error, 'transport')
      this.#feed({ type: 'socket', socket, state: 'down', addresses: [] })
    }
  }

  #load(prefix: string): void {
    const loaded = (records: readonly StoredRecord[]) =>
      this.#feed({ type: 'loaded', prefix, records })
    const failed = (error: unknown) => {
      this.#options.onPortError(error, 'storage')
      loaded([])
    }
    let answer: MaybePromise<readonly StoredRecord[]>
    try {
      answer = this.#options.storage.load(prefix)
    } catch (error) {
      failed(error)
      return
    }
    if (answer instanceof Promise) answer.then(loaded, failed)
    else loaded(answer)
  }

  #write(key: string, value: Uint8Array | undefined): void {
    const failed = (error: unknown) => {
      this.#hasLostWrite = true
      this.#options.onPortError(error, 'storage')
    }
    let answer: MaybePromise<void>
    try {
      answer = this.#options.storage.write(key, value)
    } catch (error) {
      failed(error)
      return
    }
    if (!(answer instanceof Promise)) return
    const settled: Promise<void> = answer.catch(failed).finally(() => this.#writes.delete(settled))
    this.#writes.add(settled)
  }

  #sync(): void {
    const tell = () => {
      const isKept = !this.#hasLostWrite
      this.#hasLostWrite = false
      this.#feed({ type: 'synced', isKept })
    }
    if (this.#writes.size === 0) tell()
    else void Promise.all(this.#writes).then(tell)
  }

  #tell(): void {
    const events = this.#events
    if (events.length === 0) return
    this.#events = []
    for (const event of events) {
      try {
        this.#options.onEvent(event)
      } catch (error) {
        this.#options.onAppError(error)
      }
    }
  }

  #arm(): void {
    this.#deadline = this.#core.deadline()
    if (this.#deadline === undefined) {
      this.#disarmTimer()
      return
    }
    const { at } = this.#deadline
    // Waking once too early is cheaper than moving the timer with every datagram.
    if (this.#armedAt !== undefined && this.#armedAt <= at) return
    this.#disarmTimer()
    this.#armTimer(this.#deadline)
  }

  #armTimer(deadline: Deadline): void {
    this.#armedAt = deadline.at
    this.#disarm = this.#options.clock.at(deadline.at, () => this.#wake())
    this.#traced((at) => ({ type: 'armed', at, deadline }))
  }

  #wake(): void {
    this.#armedAt = undefined
    this.#disarm = undefined
    if (this.#state !== 'open' || this.#deadline === undefined) return
    if (this.#deadline.at > this.#options.clock.now()) this.#armTimer(this.#deadline)
    else this.#feed({ type: 'deadline' })
  }

  #disarmTimer(): void {
    this.#disarm?.()
    this.#disarm = undefined
    this.#armedAt = undefined
  }

  #finish(): void {
    const { transport, storage } = this.#options
    this.#state = 'closed'
    this.#inputs.length = 0
    this.#disarmTimer()
    this.#guardPort('transport', () => transport.close())
    const failed = (error: unknown) => this.#options.onPortError(error, 'storage')
    const closeStorage = (): MaybePromise<void> => {
      try {
        const answer = storage.close()
        if (answer instanceof Promise) return answer.catch(failed)
      } catch (error) {
        failed(error)
      }
    }
    this.#flushed =
      this.#writes.size === 0 ? closeStorage() : Promise.all(this.#writes).then(closeStorage)
    for (const resolve of this.#onClosed.splice(0)) resolve(this.#flushed)
  }

  #guardPort(port: Port, act: () => void): void {
    try {
      act()
    } catch (error) {
      this.#options.onPortError(error, port)
    }
  }

  #traced(step: (at: Instant) => DriverTrace): void {
    if (this.trace === undefined) return
    try {
      this.trace(step(this.#options.clock.now()))
    } catch (error) {
      this.#options.onAppError(error)
    }
  }

  #isOpen(): boolean {
    return this.#state === 'open'
  }
}

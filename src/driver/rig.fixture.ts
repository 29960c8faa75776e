import assert from 'node:assert/strict'
import type {
  Command,
  Core,
  Deadline,
  Endpoint,
  Input,
  Instant,
  LocalAddress,
  Output,
  PeerEvent,
  Snapshot,
  StoredRecord,
  UnixMs,
} from '../core/io.ts'
import { Driver, type DriverOptions } from './drive.ts'
import type { Clock, MaybePromise, Storage, Transport, TransportReceiver } from './ports.ts'

/** A driver on ports that write down what is asked of them: what the driver's tests have in common. */
export const FROM: Endpoint = { kind: 'udp', socket: 0, host: '192.0.2.1', port: 1 }
export const ADDRESS: LocalAddress = { host: '192.0.2.2', port: 2 }
export const ONLINE: PeerEvent = { type: 'state', state: 'online' }
export const DIAL: Command = { type: 'dial', addresses: [], peer: undefined }

export class ScriptedCore implements Core {
  readonly inputs: Input[] = []
  readonly outputs: Output[] = []
  answer: (input: Input) => readonly Output[] = () => []
  deadlineAt: number | undefined

  handle(input: Input): void {
    assert.equal(this.outputs.length, 0)
    this.inputs.push(input)
    this.outputs.push(...this.answer(input))
  }

  poll(): Output | undefined {
    return this.outputs.shift()
  }

  deadline(): Deadline | undefined {
    if (this.deadlineAt === undefined) return undefined
    return { at: this.deadlineAt as Instant, reason: 'test' }
  }

  snapshot(): Snapshot {
    throw new Error('not asked for')
  }
}

/** A driver with a scripted core on ports that write down what is asked of them. */
export class Rig {
  readonly core = new ScriptedCore()
  readonly log: string[] = []
  readonly faults: unknown[] = []
  readonly appErrors: unknown[] = []
  readonly portErrors: string[] = []
  readonly #timers = new Set<{ when: number; wake: () => void }>()
  readonly driver: Driver
  receiver: TransportReceiver | undefined
  now = 0
  onEvent: (event: PeerEvent) => void = () => {}
  onSend: () => void = () => {}
  onBind: (socket: number) => void = () => {}
  onUnbind: () => void = () => {}
  load: (prefix: string) => MaybePromise<readonly StoredRecord[]> = () => []
  write: () => MaybePromise<void> = () => undefined

  constructor() {
    const options: DriverOptions = {
      core: this.core,
      clock: this.#clock(),
      transport: this.#transport(),
      storage: this.#storage(),
      onEvent: (event) => {
        this.log.push(`event ${event.type}`)
        this.onEvent(event)
      },
      onFault: (error) => this.faults.push(error),
      onAppError: (error) => this.appErrors.push(error),
      onPortError: (error, port) =>
        this.portErrors.push(`${port}: ${error instanceof Error ? error.message : error}`),
    }
    this.driver = new Driver(options)
  }

  datagram(first: number): void {
    this.receiver?.datagram(FROM, Uint8Array.of(first))
  }

  armed(): number[] {
    return [...this.#timers].map((timer) => timer.when)
  }

  fireTimer(): void {
    const [timer] = this.#timers
    assert.ok(timer !== undefined)
    this.#timers.delete(timer)
    timer.wake()
  }

  #clock(): Clock {
    return {
      now: () => this.now as Instant,
      wall: () => 0 as UnixMs,
      at: (when, wake) => {
        const timer = { when, wake }
        this.#timers.add(timer)
        return () => this.#timers.delete(timer)
      },
    }
  }

  #transport(): Transport {
    return {
      open: (on) => {
        this.log.push('open')
        this.receiver = on
      },
      bind: (socket) => {
        this.log.push(`bind ${socket}`)
        this.onBind(socket)
      },
      unbind: (socket) => {
        this.log.push(`unbind ${socket}`)
        this.onUnbind()
      },
      send: (_, data) => {
        this.log.push(`send ${data[0]}`)
        this.onSend()
      },
      close: () => {
        this.log.push('close transport')
      },
    }
  }

  #storage(): Storage {
    return {
      load: (prefix) => this.load(prefix),
      write: (key) => {
        this.log.push(`write ${key}`)
        return this.write()
      },
      close: () => {
        this.log.push('close storage')
      },
    }
  }
}

export function transmit(first: number): Output {
  return { type: 'transmit', to: FROM, data: Uint8Array.of(first) }
}

export function bind(socket: number): Output {
  return { type: 'bind', socket }
}

export function unbind(socket: number): Output {
  return { type: 'unbind', socket }
}

export function store(key: string, first: number): Output {
  return { type: 'store', key, value: Uint8Array.of(first) }
}

export function tick(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

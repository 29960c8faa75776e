import type { Random } from '../core/crypto.ts'
import type {
  Command,
  Core,
  Deadline,
  Endpoint,
  Input,
  Instant,
  LocalAddress,
  Output,
  PeerId,
  PortMapping,
  Snapshot,
  StoredRecord,
  UnixMs,
} from '../core/io.ts'
import { UNKNOWN_NAT } from '../core/nat/vector.ts'

/** One datagram that a toy heard. */
export interface Heard {
  readonly at: Instant
  readonly wall: UnixMs
  readonly from: Endpoint
  readonly data: Uint8Array
}

export interface ToyOptions {
  /** Sends `datagram` to every target each `intervalMs`; 0 for never. */
  readonly intervalMs?: number
  readonly targets?: readonly LocalAddress[]
  readonly sizeBytes?: number
  /** Sends back what it hears, to whom it heard it from. */
  readonly echoes?: boolean
}

/**
 * A core that hears everything, and sends when it is told or when its interval is over. `dial` sends
 * one random byte string to each address; `join` stores its key; a beacon goes out on `leave`.
 * `finish` binds the scratch socket of that number, `reset` unbinds it.
 */
export class ToyCore implements Core {
  readonly heard: Heard[] = []
  readonly loaded: StoredRecord[] = []
  readonly sockets: { socket: number; state: string; addresses: readonly LocalAddress[] }[] = []
  readonly portMappings: (PortMapping | undefined)[] = []
  /** The socket that IPv4 datagrams leave from. */
  sendsFrom = 0
  readonly wakes: { at: Instant; wall: UnixMs }[] = []
  readonly #outputs: Output[] = [{ type: 'load', prefix: 'toy/' }]
  readonly #options: ToyOptions
  readonly #random: Random
  #nextAt: number | undefined

  constructor(random: Random, now: Instant, options: ToyOptions = {}) {
    this.#random = random
    this.#options = options
    if (options.intervalMs !== undefined && options.intervalMs > 0) this.#nextAt = now
  }

  handle(input: Input, now: Instant, wall: UnixMs): void {
    if (input.type === 'datagram') {
      this.heard.push({ at: now, wall, from: input.from, data: input.data.slice() })
      if (this.#options.echoes === true) this.#send(input.from, input.data)
    } else if (input.type === 'socket') {
      const { socket, state, addresses } = input
      this.sockets.push({ socket, state, addresses })
    } else if (input.type === 'loaded') this.loaded.push(...input.records)
    else if (input.type === 'portMapping') this.portMappings.push(input.mapping)
    else if (input.type === 'command') this.#obey(input.command)
    else this.#tick(now, wall)
  }

  poll(): Output | undefined {
    return this.#outputs.shift()
  }

  deadline(): Deadline | undefined {
    if (this.#nextAt === undefined) return undefined
    return { at: this.#nextAt as Instant, reason: 'interval' }
  }

  snapshot(): Snapshot {
    return {
      peerId: '' as PeerId,
      state: 'online',
      observed: [],
      local: [],
      nat: UNKNOWN_NAT,
      sessions: [],
      counters: { heard: this.heard.length },
    }
  }

  #obey(command: Command): void {
    if (command.type === 'dial') this.#sendAll(command.addresses)
    else if (command.type === 'join') {
      const key = `toy/${command.subcluster}`
      this.#outputs.push({ type: 'store', key, value: command.sharedKey })
    } else if (command.type === 'finish') {
      this.#outputs.push({ type: 'bind', socket: command.stream })
    } else if (command.type === 'reset') {
      this.#outputs.push({ type: 'unbind', socket: command.stream })
    } else if (command.type === 'leave') {
      const data = this.#random.bytes(8)
      const to: Endpoint = { kind: 'udp', socket: 0, host: 'lan', port: 0 }
      this.#outputs.push({ type: 'transmit', to, data })
    }
  }

  #tick(now: Instant, wall: UnixMs): void {
    if (this.#nextAt === undefined || now < this.#nextAt) return
    this.wakes.push({ at: now, wall })
    this.#nextAt = now + (this.#options.intervalMs ?? 0)
    this.#sendAll(this.#options.targets ?? [])
  }

  #sendAll(targets: readonly LocalAddress[]): void {
    for (const { host, port } of targets) {
      const socket = host.includes(':') ? 1 : this.sendsFrom
      const data = this.#random.bytes(this.#options.sizeBytes ?? 32)
      this.#send({ kind: 'udp', socket, host, port }, data)
    }
  }

  #send(to: Endpoint, data: Uint8Array): void {
    const socket = to.socket === 2 ? 0 : to.socket
    this.#outputs.push({ type: 'transmit', to: { ...to, socket }, data: data.slice() })
  }
}

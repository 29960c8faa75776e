import { assert } from '../core/errors.ts'
import type { LocalAddress } from '../core/io.ts'
import type { Host } from './host.ts'
import type { HostOptions, Internet } from './internet.ts'
import { ToyCore, type ToyOptions } from './toy-core.fixture.ts'

/** A host that runs a toy core. */
export class Toy {
  readonly host: Host
  /** The core of the present run, or of the last. */
  core: ToyCore

  constructor(internet: Internet, options: HostOptions = {}, toy: ToyOptions = {}) {
    this.host = internet.addHost(options)
    let core: ToyCore | undefined
    this.host.start(({ random, now }) => {
      core = new ToyCore(random, now, toy)
      this.core = core
      return core
    })
    assert(core !== undefined, 'a host makes its core at once')
    this.core = core
  }

  /** Sends one datagram to each. */
  dial(...addresses: readonly LocalAddress[]): void {
    this.host.command({ type: 'dial', addresses, peer: undefined })
  }

  /** Sends one datagram to each from a scratch socket. */
  dialFrom(socket: number, ...addresses: readonly LocalAddress[]): void {
    this.core.sendsFrom = socket
    this.dial(...addresses)
    this.core.sendsFrom = 0
  }

  bind(socket: number): void {
    this.host.command({ type: 'finish', stream: socket })
  }

  unbind(socket: number): void {
    this.host.command({ type: 'reset', stream: socket })
  }

  /** Where a scratch socket was bound last. */
  addressOf(socket: number): LocalAddress {
    const address = this.core.sockets.findLast((report) => report.socket === socket)?.addresses[0]
    assert(address !== undefined, `${this.host.name} has socket ${socket}`)
    return address
  }

  /** Multicasts one datagram. */
  beacon(): void {
    this.host.command({ type: 'leave', subcluster: 0 })
  }

  /** Stores a record under `toy/<number>`. */
  store(number: number, value: Uint8Array): void {
    this.host.command({ type: 'join', subcluster: number, sharedKey: value, order: 'causal' })
  }

  get heard(): number {
    return this.core.heard.length
  }

  /** Who was heard last. */
  get lastFrom(): LocalAddress {
    const from = this.core.heard.at(-1)?.from
    assert(from !== undefined, `${this.host.name} heard something`)
    return { host: from.host, port: from.port }
  }
}

import type { LocalAddress } from '../core/io.ts'
import type { Link } from './link.ts'
import { type NatProfile, NatTable } from './nat.ts'
import { type Flight, type Gateway, type Network, type Node, Realm } from './network.ts'
import type { SeededRandom } from './random.ts'

/** Guess, unmeasured: the way between two machines of one home network. */
const LAN_CROSSING_MS = 0.25

/** What lies inside a NAT box: a home, whose hosts hear each other's multicast, or a carrier. */
export type Inside = 'home' | 'carrier'

export interface NatBoxOptions {
  readonly name: string
  readonly network: Network
  readonly profile: NatProfile
  readonly inside: Inside
  /** The realm that holds the external addresses, and the line to it. */
  readonly outer: Realm
  readonly link: Link
  readonly addresses: readonly string[]
  readonly random: SeededRandom
}

/** A NAT between an inner realm and an outer one, which may itself lie behind another box. */
export class NatBox implements Node, Gateway {
  readonly name: string
  readonly inside: Inside
  readonly inner: Realm
  readonly outer: Realm
  readonly link: Link
  readonly table: NatTable
  readonly #network: Network
  #addresses: readonly string[]
  #insiders = 0

  constructor(options: NatBoxOptions) {
    this.name = options.name
    this.inside = options.inside
    this.outer = options.outer
    this.link = options.link
    this.#network = options.network
    this.#addresses = options.addresses
    this.table = new NatTable(options.profile, options.addresses, options.random)
    // Every home has the same addresses inside, so that a candidate of another home's LAN may meet a
    // stranger in one's own, as it does in the world.
    const prefix = options.inside === 'home' ? '192.168.' : '100.64.'
    this.inner = new Realm(options.name, this, prefix, LAN_CROSSING_MS)
    this.#attach()
  }

  get profile(): NatProfile {
    return this.table.profile
  }

  get addresses(): readonly string[] {
    return this.#addresses
  }

  /** The next free inside address. */
  allocateAddress(): string {
    const index = this.#insiders++
    const third = (this.inside === 'home' ? 1 : 0) + Math.floor(index / 200)
    return `${this.inner.prefix}${third}.${10 + (index % 200)}`
  }

  /** Forgets every mapping, as a power cut does; gets `addresses` outside instead, when given. */
  reboot(addresses: readonly string[] = this.#addresses): void {
    for (const address of this.#addresses) this.outer.nodes.delete(address)
    this.#addresses = addresses
    this.#attach()
    this.table.reset(addresses)
  }

  /**
   * Forwards an external port to an inside socket, until `removeForward` or a reboot; returns the
   * external address. The inside core learns of it through `Host.tellPortMapping`.
   */
  forward(inside: LocalAddress, externalPort: number): LocalAddress {
    return this.table.forward(inside, externalPort, this.#network.timeline.nowMs)
  }

  removeForward(inside: LocalAddress): void {
    this.table.removeForward(inside)
  }

  leave(flight: Flight): void {
    const isHairpin = this.#addresses.includes(flight.destination.host)
    if (isHairpin && !this.profile.hairpin) {
      this.#network.drop('no-hairpin')
      return
    }
    const { nowMs } = this.#network.timeline
    const external = this.table.outbound(flight.source, flight.destination, nowMs)
    if (external === undefined) {
      this.#network.drop('no-mapping')
      return
    }
    flight.source = external
    if (isHairpin) flight.after(LAN_CROSSING_MS, (turned) => this.arrive(turned))
    else this.#network.climb(flight, this, this.outer)
  }

  arrive(flight: Flight): void {
    const { nowMs } = this.#network.timeline
    const inside = this.table.inbound(flight.destination, flight.source, nowMs)
    if (typeof inside === 'string') {
      this.#network.drop(inside)
      return
    }
    flight.destination = inside
    this.#network.enter(flight, this.inner)
  }

  #attach(): void {
    for (const address of this.#addresses) this.outer.nodes.set(address, this)
  }
}

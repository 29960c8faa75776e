import type { LocalAddress } from '../core/io.ts'
import { type Timeline, tickAt } from './clock.ts'
import { Scheduled } from './event-queue.ts'
import type { Link } from './link.ts'
import type { SeededRandom } from './random.ts'
import type { Digest } from './trace.ts'

/**
 * Moves datagrams between nodes: up one line, down another, through the gateway where the address is
 * not in the realm. It knows neither hosts nor NATs beyond what `Node` says.
 */

/** Something with an address in a realm: a host's interface, or the outside of a NAT box. */
export interface Node {
  readonly link: Link
  /** A datagram came down the node's line. */
  arrive(flight: Flight): void
}

/** The way out of a realm. */
export interface Gateway {
  /** A datagram came up for an address that is not in the realm. */
  leave(flight: Flight): void
}

/**
 * A network in which addresses are unique: the internet, or what lies inside one NAT box.
 * Realms may use the same private addresses; in the real world they do.
 */
export class Realm {
  readonly name: string
  readonly gateway: Gateway | undefined
  /** What the realm's own addresses begin with: those never leave through the gateway. */
  readonly prefix: string
  /** What two nodes of the realm are apart, beside their lines. */
  readonly crossingMs: number
  readonly nodes = new Map<string, Node>()

  constructor(name: string, gateway: Gateway | undefined, prefix: string, crossingMs: number) {
    this.name = name
    this.gateway = gateway
    this.prefix = prefix
    this.crossingMs = crossingMs
  }
}

/** Why a datagram did not arrive. */
export type DropReason =
  | 'lost'
  | 'too-big'
  | 'queue-full'
  | 'unreachable'
  | 'no-mapping'
  | 'filtered'
  | 'no-hairpin'
  | 'partitioned'
  | 'host-down'

/** How many NAT boxes and copies one datagram may pass before it counts as looping. */
const HOPS_MAX = 16

export type Traffic = {
  sent: number
  sentBytes: number
  delivered: number
  deliveredBytes: number
  duplicated: number
} & Record<DropReason, number>

/** One copy of one datagram on its way. */
export class Flight extends Scheduled {
  readonly network: Network
  /** The number of the host that sent it. */
  readonly sender: number
  data: Uint8Array
  readonly digest: Digest
  /** As the present realm sees them. */
  source: LocalAddress
  destination: LocalAddress
  /** Multicast: the receiver's LAN socket gets it. */
  readonly isBeacon: boolean
  hops = 0
  #next: (flight: Flight) => void = () => {}

  constructor(
    network: Network,
    sender: number,
    data: Uint8Array,
    digest: Digest,
    source: LocalAddress,
    destination: LocalAddress,
    isBeacon: boolean,
  ) {
    super()
    this.network = network
    this.sender = sender
    this.data = data
    this.digest = digest
    this.source = source
    this.destination = destination
    this.isBeacon = isBeacon
  }

  fire(): void {
    this.#next(this)
  }

  /** Goes on with `next` after `delayMs`; at once when that is nothing. */
  after(delayMs: number, next: (flight: Flight) => void): void {
    if (delayMs <= 0) {
      next(this)
      return
    }
    this.#next = next
    const { timeline } = this.network
    timeline.queue.add(this, tickAt(timeline.nowMs + delayMs))
  }

  /** A copy with bytes of its own: receivers may keep what they are given. */
  copy(): Flight {
    const { network, sender, data, digest, source, destination, isBeacon } = this
    const copy = new Flight(network, sender, data.slice(), digest, source, destination, isBeacon)
    copy.hops = this.hops
    return copy
  }
}

export class Network {
  readonly timeline: Timeline
  readonly traffic: Traffic = {
    sent: 0,
    sentBytes: 0,
    delivered: 0,
    deliveredBytes: 0,
    duplicated: 0,
    lost: 0,
    'too-big': 0,
    'queue-full': 0,
    unreachable: 0,
    'no-mapping': 0,
    filtered: 0,
    'no-hairpin': 0,
    partitioned: 0,
    'host-down': 0,
  }
  readonly #random: SeededRandom

  constructor(timeline: Timeline, random: SeededRandom) {
    this.timeline = timeline
    this.#random = random
  }

  drop(reason: DropReason): void {
    this.traffic[reason]++
  }

  /** Sends from a node of the realm: up its line, then to the addressee or the gateway. */
  climb(flight: Flight, from: Node, realm: Realm): void {
    if (flight.hops++ > HOPS_MAX) {
      this.drop('unreachable')
      return
    }
    this.#pass(flight, from.link, 'up', 0, (copy, delayMs) => this.cross(copy, realm, delayMs))
  }

  /**
   * Brings a datagram that is in the realm, or will be in `delayMs`, to the node it is addressed to.
   * A steady line's passage is decided ahead, which saves an event.
   */
  cross(flight: Flight, realm: Realm, delayMs: number): void {
    const node = realm.nodes.get(flight.destination.host)
    if (node !== undefined) {
      this.#descend(flight, node, delayMs + realm.crossingMs)
      return
    }
    const { gateway } = realm
    const isOurs = realm.prefix !== '' && flight.destination.host.startsWith(realm.prefix)
    if (gateway === undefined || isOurs) this.drop('unreachable')
    else flight.after(delayMs, (arrived) => gateway.leave(arrived))
  }

  /** Brings a datagram from the gateway to a node of its realm. */
  enter(flight: Flight, realm: Realm): void {
    const node = realm.nodes.get(flight.destination.host)
    if (node === undefined) this.drop('unreachable')
    else this.#descend(flight, node, 0)
  }

  #descend(flight: Flight, node: Node, delayMs: number): void {
    if (node.link.isSteady) {
      this.#pass(flight, node.link, 'down', delayMs, (copy, totalMs) =>
        copy.after(totalMs, (arrived) => node.arrive(arrived)),
      )
      return
    }
    flight.after(delayMs, (arrived) =>
      this.#pass(arrived, node.link, 'down', 0, (copy, lineMs) =>
        copy.after(lineMs, (last) => node.arrive(last)),
      ),
    )
  }

  #pass(
    flight: Flight,
    link: Link,
    way: 'up' | 'down',
    delayMs: number,
    next: (flight: Flight, delayMs: number) => void,
  ): void {
    const passage = link.pass(way, flight.data.length, this.timeline.nowMs, this.#random)
    if (typeof passage === 'string') {
      this.drop(passage)
      return
    }
    const [first = 0, second] = passage
    const copy = second === undefined ? undefined : flight.copy()
    next(flight, delayMs + first)
    if (copy === undefined || second === undefined) return
    this.traffic.duplicated++
    next(copy, delayMs + second)
  }
}

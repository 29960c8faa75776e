import { type LocalAddress, SOCKET_LAN } from '../core/io.ts'
import type { Attachment, Host } from './host.ts'
import type { Internet } from './internet.ts'
import type { Link } from './link.ts'
import type { Flight, Node, Realm } from './network.ts'

/** A stateful firewall lets in who was written to within this long (RFC 6092 REC-14 asks for 120 s). */
const FIREWALL_MS = 120_000
/** The firewall's memory is searched for dead entries at this size, and at twice what is left. */
const SWEEP_ENTRIES = 1024

/**
 * One address of one host, and which of its sockets gets what arrives there. It ends when the host
 * moves: what is then still under way is lost.
 */
export class Interface implements Node {
  readonly socket: number
  readonly link: Link
  readonly #host: Host
  /** What datagrams that leave here bear as their source. */
  readonly address: LocalAddress
  readonly #realm: Realm
  readonly #internet: Internet
  readonly #written: Map<string, number> | undefined
  /** Scratch sockets by port. */
  readonly #scratch = new Map<number, number>()
  #sweepAt = SWEEP_ENTRIES
  #isAttached = true

  constructor(
    host: Host,
    socket: number,
    place: Attachment,
    isFirewalled: boolean,
    internet: Internet,
  ) {
    this.#host = host
    this.socket = socket
    this.address = { host: place.address, port: host.port }
    this.#realm = place.realm
    this.link = place.link
    this.#internet = internet
    this.#written = isFirewalled ? new Map() : undefined
    place.realm.nodes.set(place.address, this)
  }

  send(flight: Flight): void {
    if (this.#written !== undefined) this.#remember(this.#written, flight)
    this.#internet.network.climb(flight, this, this.#realm)
  }

  arrive(flight: Flight): void {
    const { network } = this.#internet
    const { port } = flight.destination
    const isMain = port === this.address.port
    const socket = isMain ? this.socket : this.#scratch.get(port)
    if (!this.#isAttached) network.drop('host-down')
    else if (socket === undefined) network.drop('unreachable')
    else if (!this.#admits(flight)) network.drop('filtered')
    else this.#host.receive(flight, flight.isBeacon ? SOCKET_LAN : socket)
  }

  /** Gives a port of this address to a scratch socket; false when it is taken. */
  open(port: number, socket: number): boolean {
    if (port === this.address.port || this.#scratch.has(port)) return false
    this.#scratch.set(port, socket)
    return true
  }

  close(port: number): void {
    this.#scratch.delete(port)
  }

  detach(): void {
    this.#isAttached = false
    const { nodes } = this.#realm
    if (nodes.get(this.address.host) === this) nodes.delete(this.address.host)
  }

  #admits(flight: Flight): boolean {
    if (this.#written === undefined) return true
    const { host, port } = flight.source
    const writtenMs = this.#written.get(`${host}:${port}`)
    return writtenMs !== undefined && this.#internet.nowMs - writtenMs <= FIREWALL_MS
  }

  #remember(written: Map<string, number>, flight: Flight): void {
    const { nowMs } = this.#internet
    written.set(`${flight.destination.host}:${flight.destination.port}`, nowMs)
    if (written.size < this.#sweepAt) return
    for (const [key, writtenMs] of written) {
      if (nowMs - writtenMs > FIREWALL_MS) written.delete(key)
    }
    this.#sweepAt = Math.max(SWEEP_ENTRIES, 2 * written.size)
  }
}

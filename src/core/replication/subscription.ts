import type { Crypto } from '../crypto.ts'
import type {
  DeliveryOrder,
  HistoryCursor,
  Instant,
  PacketId,
  PacketInfo,
  PeerId,
  UnixMs,
} from '../io.ts'
import { toHex } from '../wire/bytes.ts'
import type { HeldPacket } from './cache/packet-store.ts'
import { CAUSAL_WAIT_MS, CausalOrder, type CausalPacket, type Released } from './causal.ts'
import { Chronicle } from './chronicle.ts'
import { CLOCK_SLACK_S, type Packet } from './packet.ts'
import { type OpenedPacket, openBlob, openPacket, type PacketKeys } from './packet-seal.ts'

/**
 * The packets of one group whose key we have: opens them, puts them in causal order, and reads the
 * old ones again. Decides when a packet may be delivered; not what is kept, or where it comes from.
 */

/** Packet keys by the second of creation; undefined for what was forgotten. */
export interface EpochSource {
  at(createdS: number): PacketKeys | undefined
  /** The first second that is not forgotten. */
  readonly firstS: number
}

/** A packet that may be delivered. */
export interface Arrival extends CausalPacket {
  readonly info: Omit<PacketInfo, 'gap'>
  readonly event: string
  readonly value: Uint8Array
}

/** A page of old packets: so many bytes of values at most, or one value. Guess. */
const PAGE_BYTES_MAX = 4 * 1024 * 1024
const NOTHING = new Uint8Array(0)

export class Subscription {
  readonly keys: EpochSource
  readonly order = new CausalOrder<Arrival>()
  readonly #crypto: Crypto
  readonly #isStrict: boolean
  readonly #chronicle = new Chronicle()
  /** Names of packets that we wrote, the oldest first. */
  readonly mine = new Set<string>()

  constructor(crypto: Crypto, keys: EpochSource, order: DeliveryOrder) {
    this.#crypto = crypto
    this.keys = keys
    this.#isStrict = order === 'strict'
  }

  /** What a packet says, its author checked unless it `isTrusted`: it was opened before. */
  open(packet: Packet, isTrusted = false): OpenedPacket | 'malformed' | 'unauthentic' {
    const keys = this.keys.at(packet.header.createdS)
    if (keys === undefined) return 'unauthentic'
    return openPacket(this.#crypto, keys, packet, isTrusted)
  }

  /** Orders a whole packet that was opened. Returns what may be delivered. */
  arrived(
    held: HeldPacket,
    opened: OpenedPacket,
    via: PacketInfo['via'],
    now: Instant,
    wall: UnixMs,
  ): { readonly released: readonly Released<Arrival>[]; readonly missing: readonly string[] } {
    const value = this.#valueOf(held, opened)
    if (value === undefined || this.order.has(held.name)) return { released: [], missing: [] }
    const arrival = arrivalOf(held, opened, value, via)
    const missing = this.order.missing(arrival)
    const waitMs = this.#isStrict ? this.#expiryMs(held) - wall : CAUSAL_WAIT_MS
    return { released: this.order.arrived(arrival, now, Math.max(0, waitMs)), missing }
  }

  /**
   * A packet of an earlier run, or our own: it counts as delivered. False: its parents did not come, and
   * it has to wait for them again.
   */
  adopt(held: HeldPacket, opened: OpenedPacket): boolean {
    const packet = causalOf(held, opened, 0)
    if (this.#isStrict && this.order.missing(packet).length > 0) return false
    const { createdS } = held.packet.header
    this.#chronicle.add({ key: held.name, lamport: opened.lamport, createdS })
    this.order.published(packet)
    return true
  }

  /** Takes out what can be opened no more. Returns the names. */
  forgotten(): string[] {
    const names = [...this.#chronicle.from(0, undefined)]
      .filter(({ createdS }) => createdS < this.keys.firstS)
      .map(({ key }) => key)
    for (const name of names) this.#chronicle.remove(name)
    return names
  }

  infoOf(
    held: HeldPacket,
    opened: OpenedPacket,
    via: PacketInfo['via'],
  ): { readonly info: Omit<PacketInfo, 'gap'>; readonly event: string } {
    return arrivalOf(held, opened, NOTHING, via)
  }

  /** A packet was delivered: it can be read again. */
  delivered({ key, lamport, info }: Arrival): void {
    this.#chronicle.add({ key, lamport, createdS: Math.floor(info.timestamp / 1000) })
  }

  /** Old packets in causal order: a page of them. */
  read(
    since: UnixMs,
    after: HistoryCursor | undefined,
    limit: number,
    held: (name: string) => HeldPacket | undefined,
  ): { readonly arrivals: readonly Arrival[]; readonly isLast: boolean } {
    const arrivals: Arrival[] = []
    let bytes = 0
    const cursor = after && { key: after.id.slice(0, 32), lamport: after.lamport }
    const gone: string[] = []
    let isLast = true
    for (const { key } of this.#chronicle.from(since / 1000, cursor)) {
      const packet = held(key)
      const opened = packet && this.open(packet.packet, true)
      const value = typeof opened === 'object' ? packet && this.#valueOf(packet, opened) : undefined
      if (packet === undefined || typeof opened !== 'object' || value === undefined) {
        gone.push(key)
        continue
      }
      if (arrivals.length === limit || (bytes > 0 && bytes + value.length > PAGE_BYTES_MAX)) {
        isLast = false
        break
      }
      bytes += value.length
      arrivals.push(arrivalOf(packet, opened, value, 'cache'))
    }
    for (const key of gone) this.#chronicle.remove(key)
    return { arrivals, isLast }
  }

  #valueOf(held: HeldPacket, opened: OpenedPacket): Uint8Array | undefined {
    const { header } = held.packet
    if (header.root === undefined) return opened.payload
    const keys = this.keys.at(header.createdS)
    if (keys === undefined || held.leaves === undefined || !held.isWhole) return undefined
    return openBlob(this.#crypto, keys, header, held.leaves.blob())
  }

  #expiryMs(held: HeldPacket): number {
    const { createdS, lifeMinutes } = held.packet.header
    return 1000 * (createdS + 60 * lifeMinutes + CLOCK_SLACK_S)
  }
}

function causalOf(held: HeldPacket, opened: OpenedPacket, sizeBytes: number): CausalPacket {
  return {
    key: held.name,
    parents: opened.parents.map(toHex),
    lamport: opened.lamport,
    sizeBytes,
  }
}

function arrivalOf(
  held: HeldPacket,
  opened: OpenedPacket,
  value: Uint8Array,
  via: PacketInfo['via'],
): Arrival {
  const { createdS, lifeMinutes } = held.packet.header
  const causal = causalOf(held, opened, value.length)
  const info = {
    id: toHex(held.id) as PacketId,
    author: toHex(opened.author) as PeerId,
    previous: causal.parents,
    timestamp: (createdS * 1000) as UnixMs,
    lamport: opened.lamport,
    ttlMs: lifeMinutes * 60_000,
    via,
  }
  return { ...causal, info, event: opened.event, value }
}

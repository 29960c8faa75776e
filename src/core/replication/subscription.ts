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
import { NAME_BYTES } from './packet-name.ts'
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
  /** Undefined: that of a large packet, which is made from its leaves when it is needed. */
  readonly value: Uint8Array | undefined
}

/** A packet that is delivered, or read again. */
export type Reading = Omit<Arrival, 'value'> & { readonly value: Uint8Array }

/** A page of old packets: so many bytes of values at most, or one value. Guess. */
const PAGE_BYTES_MAX = 4 * 1024 * 1024

export class Subscription {
  readonly keys: EpochSource
  readonly order: CausalOrder<Arrival>
  readonly #crypto: Crypto
  readonly #isStrict: boolean
  readonly #chronicle = new Chronicle()
  /** Names of packets that we wrote, the oldest first. */
  readonly mine = new Set<string>()

  constructor(crypto: Crypto, keys: EpochSource, order: DeliveryOrder) {
    this.#crypto = crypto
    this.keys = keys
    this.#isStrict = order === 'strict'
    this.order = new CausalOrder(this.#isStrict)
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
    if (this.order.has(held.name)) return { released: [], missing: [] }
    const arrival = arrivalOf(held, opened, via)
    const missing = this.order.missing(arrival)
    const waitMs = this.#isStrict ? this.#expiryMs(held) - wall : CAUSAL_WAIT_MS
    return { released: this.order.arrived(arrival, now, Math.max(0, waitMs)), missing }
  }

  /**
   * A packet of an earlier run, or our own: it counts as delivered. False: its parents did not come, and
   * it has to wait for them again.
   */
  adopt(held: HeldPacket, opened: OpenedPacket): boolean {
    const packet = causalOf(held, opened)
    if (this.#isStrict && this.order.missing(packet).length > 0) return false
    const { createdS } = held.packet.header
    this.#chronicle.add({ key: held.name, lamport: opened.lamport, createdS })
    this.order.published(packet)
    return true
  }

  /** It can be opened no more. */
  forget(name: string): void {
    this.#chronicle.remove(name)
    this.order.drop(name)
    this.mine.delete(name)
  }

  infoOf(
    held: HeldPacket,
    opened: OpenedPacket,
    via: PacketInfo['via'],
  ): { readonly info: Omit<PacketInfo, 'gap'>; readonly event: string } {
    return arrivalOf(held, opened, via)
  }

  /** What an arrival that is delivered says; it can be read again. Undefined: it is not held any more. */
  deliver(arrival: Arrival, held: HeldPacket | undefined): Uint8Array | undefined {
    const { key, lamport, info } = arrival
    const value = arrival.value ?? (held && this.#blobOf(held))
    if (value === undefined) return undefined
    this.#chronicle.add({ key, lamport, createdS: Math.floor(info.timestamp / 1000) })
    return value
  }

  /** Old packets in causal order: a page of them. */
  read(
    since: UnixMs,
    after: HistoryCursor | undefined,
    limit: number,
    held: (name: string) => HeldPacket | undefined,
  ): { readonly arrivals: readonly Reading[]; readonly isLast: boolean } {
    const arrivals: Reading[] = []
    let bytes = 0
    const cursor = after && { key: after.id.slice(0, 2 * NAME_BYTES), lamport: after.lamport }
    const gone: string[] = []
    let isLast = true
    for (const { key } of this.#chronicle.from(since / 1000, cursor)) {
      const packet = held(key)
      const opened = packet && this.open(packet.packet, true)
      if (packet === undefined || typeof opened !== 'object') {
        gone.push(key)
        continue
      }
      const arrival = arrivalOf(packet, opened, 'cache')
      const value = arrival.value ?? this.#blobOf(packet)
      if (value === undefined) continue
      if (arrivals.length === limit || (bytes > 0 && bytes + value.length > PAGE_BYTES_MAX)) {
        isLast = false
        break
      }
      bytes += value.length
      arrivals.push({ ...arrival, value })
    }
    for (const key of gone) this.#chronicle.remove(key)
    return { arrivals, isLast }
  }

  #blobOf(held: HeldPacket): Uint8Array | undefined {
    const { header } = held.packet
    const keys = this.keys.at(header.createdS)
    if (keys === undefined || held.leaves === undefined || !held.isWhole) return undefined
    return openBlob(this.#crypto, keys, header, held.leaves.blob())
  }

  #expiryMs(held: HeldPacket): number {
    const { createdS, lifeMinutes } = held.packet.header
    return 1000 * (createdS + 60 * lifeMinutes + CLOCK_SLACK_S)
  }
}

function causalOf(held: HeldPacket, opened: OpenedPacket): CausalPacket {
  return { key: held.name, parents: opened.parents.map(toHex), lamport: opened.lamport }
}

function arrivalOf(held: HeldPacket, opened: OpenedPacket, via: PacketInfo['via']): Arrival {
  const { createdS, lifeMinutes, root } = held.packet.header
  const causal = causalOf(held, opened)
  const info = {
    id: toHex(held.id) as PacketId,
    author: toHex(opened.author) as PeerId,
    previous: causal.parents,
    timestamp: (createdS * 1000) as UnixMs,
    lamport: opened.lamport,
    ttlMs: lifeMinutes * 60_000,
    via,
  }
  const value = root === undefined ? opened.payload : undefined
  return { ...causal, info, event: opened.event, value }
}

import type { Deadline, Instant, PeerId, RejectCode } from '../io.ts'
import { toHex } from '../wire/bytes.ts'
import type { HeldPacket, PacketStore } from './cache/packet-store.ts'
import { LeafFetch } from './leaves/leaf-fetch.ts'
import { KIND_LACK_LEAVES, KIND_LEAF, KIND_WANT_LEAVES } from './leaves/leaf-messages.ts'
import { LeafService } from './leaves/leaf-service.ts'
import { SHORT_BYTES, shortOf } from './packet-name.ts'
import type { Spread } from './spread/spread.ts'

/**
 * Packets that are the roots of larger ones: who may hold their leaves, and what follows when they are
 * there. Joins fetching and giving (`leaves/`) to what is held and to the links.
 */
export interface LargePacketsParts {
  readonly store: PacketStore
  readonly spread: Spread
  readonly progress: (held: HeldPacket, receivedBytes: number) => void
  readonly whole: (held: HeldPacket, now: Instant) => void
}

/** Roots of earlier runs that each new neighbour is asked for. Guess: as many as are fetched at a time. */
const RESUMED_MAX = 64

export class LargePackets {
  readonly #parts: LargePacketsParts
  readonly #fetch: LeafFetch
  readonly #service: LeafService
  /** Not whole yet, by name. */
  readonly #incomplete = new Map<string, HeldPacket>()
  #now = 0 as Instant

  constructor(parts: LargePacketsParts) {
    this.#parts = parts
    const { store, spread } = parts
    this.#service = new LeafService({
      held: (short) => store.byShort(short),
      send: (peer, message, onAcked) => spread.link(peer)?.sendMessage(message, onAcked),
    })
    this.#fetch = new LeafFetch({
      send: (peer, message) => spread.link(peer)?.sendMessage(message),
      rttMs: (peer) => {
        const link = spread.link(peer)
        return link?.isUp ? link.port.rttMs : undefined
      },
      take: (name, level, index, bytes) => store.addLeaf(name, level, index, bytes),
      progress: (held) => parts.progress(held, held.leaves?.receivedBytes ?? 0),
      whole: (held, now) => {
        this.#incomplete.delete(held.name)
        parts.progress(held, held.leaves?.receivedBytes ?? 0)
        parts.whole(held, now)
      },
    })
  }

  static isMessage(kind: number): boolean {
    return kind === KIND_LEAF || kind === KIND_WANT_LEAVES || kind === KIND_LACK_LEAVES
  }

  /** A root whose leaves are to be kept; `peer` gave it, and so has some. */
  want(held: HeldPacket, peer: PeerId, now: Instant): void {
    if (held.leaves === undefined || held.isWhole) return
    this.#incomplete.set(held.name, held)
    this.#fetch.want(held, now)
    this.holder(held, peer, now)
  }

  holder(held: HeldPacket, peer: PeerId, now: Instant): void {
    if (this.#incomplete.has(held.name)) this.#fetch.holder(held.name, peer, now)
  }

  /** Loaded: what was not whole is fetched on. */
  resume(now: Instant): void {
    for (const { name, isHeld } of this.#parts.store.entries()) {
      const held = isHeld ? this.#parts.store.get(name) : undefined
      if (held?.leaves === undefined || held.isWhole) continue
      this.#incomplete.set(name, held)
      this.#fetch.want(held, now)
    }
    for (const { peer } of this.#parts.spread.links()) this.met(peer, now)
  }

  /** A neighbour is in contact: it may have what is missing here. */
  met(peer: PeerId, now: Instant): void {
    let asked = 0
    for (const held of this.#incomplete.values()) {
      if (asked++ === RESUMED_MAX) return
      this.holder(held, peer, now)
    }
  }

  /** The store let it go. */
  gone(held: HeldPacket): void {
    if (this.#incomplete.delete(held.name)) this.#fetch.forget(held.name, this.#now)
  }

  message(peer: PeerId, payload: Uint8Array, now: Instant): RejectCode | undefined {
    this.#now = now
    if (payload[0] !== KIND_WANT_LEAVES) return this.#fetch.message(peer, payload, now)
    const held = this.#parts.store.byShort(shortOfPlaces(payload))
    if (held !== undefined) this.#parts.spread.receipts.isProgressing(shortOf(held.name), now)
    return this.#service.message(peer, payload)
  }

  sessionGone(peer: PeerId, now: Instant): void {
    this.#fetch.sessionGone(peer, now)
    this.#service.sessionGone(peer)
  }

  deadline(): Deadline | undefined {
    return this.#fetch.deadline()
  }

  onDeadline(now: Instant): void {
    this.#now = now
    this.#fetch.onDeadline(now)
  }
}

/** A request names its root right after its kind. */
function shortOfPlaces(payload: Uint8Array): string {
  return toHex(payload.subarray(1, 1 + SHORT_BYTES))
}

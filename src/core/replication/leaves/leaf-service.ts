import { MALFORMED } from '../../errors.ts'
import type { PeerId, RejectCode } from '../../io.ts'
import { toHex } from '../../wire/bytes.ts'
import type { HeldPacket } from '../cache/held-packet.ts'
import {
  decodeLeafMessage,
  encodeLackLeaves,
  encodeLeaf,
  KIND_WANT_LEAVES,
  type LeafPlaces,
} from './leaf-messages.ts'

/**
 * Gives leaves to those who ask for them. Decides how much a request draws: so many leaves wait for one
 * peer, and the next goes when one of those under way is acknowledged, at the pace of its session.
 */

/** Twice what a fetcher has under way (`WINDOW_MAX` of `leaf-fetch.ts`). */
export const QUEUED_LEAVES_MAX = 256
/** Guess: 75 kB under way keep 6 Mbit/s busy over 100 ms, and leave the session to others. */
export const LEAVES_UNDER_WAY_MAX = 64
/** Beyond it, who asks for what is not there without acknowledging our answers gets none. Guess. */
export const LACKS_UNDER_WAY_MAX = 16
/** As many as there are sessions. */
export const SERVED_PEERS_MAX = 1024

export interface LeafServiceHost {
  /** By 16 hex digits: `PacketStore.byShort`. */
  held(short: string): HeldPacket | undefined
  /** A reliable message; `onAcked` is called once, when it is acknowledged. */
  send(peer: PeerId, message: Uint8Array, onAcked: () => void): void
}

interface WantedLeaf {
  readonly held: HeldPacket
  readonly level: number
  readonly index: number
}

class Served {
  readonly peer: PeerId
  /** By root and place, so that what is asked for again is sent once. */
  readonly queue = new Map<string, WantedLeaf>()
  readonly underWay = new Set<string>()
  lacksUnderWay = 0

  constructor(peer: PeerId) {
    this.peer = peer
  }

  get isIdle(): boolean {
    return this.queue.size === 0 && this.underWay.size === 0 && this.lacksUnderWay === 0
  }
}

export class LeafService {
  readonly #host: LeafServiceHost
  /** Those with something queued or under way. */
  readonly #served = new Map<PeerId, Served>()

  constructor(host: LeafServiceHost) {
    this.#host = host
  }

  get servedCount(): number {
    return this.#served.size
  }

  queuedFor(peer: PeerId): number {
    return this.#served.get(peer)?.queue.size ?? 0
  }

  /** A WANT_LEAVES. What is beyond the bounds is dropped: the peer asks again. */
  message(peer: PeerId, payload: Uint8Array): RejectCode | undefined {
    const message = decodeLeafMessage(payload)
    if (message === MALFORMED || message.kind !== KIND_WANT_LEAVES) return 'malformed'
    const { root, level, first, bitmap } = message
    const served = this.#served.get(peer) ?? new Served(peer)
    if (served.isIdle && this.#served.size >= SERVED_PEERS_MAX) return 'over-limit'
    this.#served.set(peer, served)
    const held = this.#host.held(toHex(root))
    const lacks = new Uint8Array(bitmap.length)
    let isOver = false
    for (let at = 0; at < 8 * bitmap.length; at++) {
      const bit = (bitmap[at >> 3] ?? 0) & (1 << (at & 7))
      if (bit === 0) continue
      if (held?.leaves?.has(level, first + at) !== true)
        lacks[at >> 3] = (lacks[at >> 3] ?? 0) | bit
      else if (!enqueue(served, { held, level, index: first + at })) isOver = true
    }
    if (lacks.some((byte) => byte !== 0)) {
      if (served.lacksUnderWay >= LACKS_UNDER_WAY_MAX) isOver = true
      else this.#sendLack(served, { root, level, first, bitmap: lacks })
    }
    this.#pump(served)
    return isOver ? 'over-limit' : undefined
  }

  sessionGone(peer: PeerId): void {
    this.#served.delete(peer)
  }

  #sendLack(served: Served, places: LeafPlaces): void {
    served.lacksUnderWay++
    this.#host.send(served.peer, encodeLackLeaves(places), () => {
      served.lacksUnderWay--
      this.#pump(served)
    })
  }

  #pump(served: Served): void {
    if (this.#served.get(served.peer) !== served) return
    for (const [key, { held, level, index }] of served.queue) {
      if (served.underWay.size >= LEAVES_UNDER_WAY_MAX) return
      served.queue.delete(key)
      const bytes = held.leaves?.get(level, index)
      if (bytes === undefined) continue
      served.underWay.add(key)
      this.#host.send(served.peer, encodeLeaf(held.id, level, index, bytes), () => {
        served.underWay.delete(key)
        this.#pump(served)
      })
    }
    if (served.isIdle) this.#served.delete(served.peer)
  }
}

/** Whether it is in the queue now, or on its way. */
function enqueue({ queue, underWay }: Served, leaf: WantedLeaf): boolean {
  const key = `${leaf.held.name} ${leaf.level} ${leaf.index}`
  if (queue.has(key) || underWay.has(key)) return true
  if (queue.size >= QUEUED_LEAVES_MAX) return false
  queue.set(key, leaf)
  return true
}

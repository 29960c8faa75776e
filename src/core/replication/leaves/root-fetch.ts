import { BoundedMap } from '../../collections/bounded-map.ts'
import type { Instant, PeerId } from '../../io.ts'
import type { HeldPacket } from '../cache/held-packet.ts'
import { SHORT_BYTES } from '../packet-name.ts'
import { PlaceQueue } from './place-queue.ts'

/**
 * What is known about one root while its leaves are fetched: who has some, who was asked for which, what
 * is to be asked for next. Keeps these; whom to ask, when, is `leaf-fetch.ts`'s.
 */

/** Guess: with eight, one that is slow or lies costs an eighth. */
export const HOLDERS_MAX = 8
/** Guess: whoever sent wrong leaves stays away from this root, until so many others have as well. */
const BANNED_MAX = 64
/** Guess: far more than a window, and a few microseconds. */
const SCAN_MAX = 512
/** Above any index (2^16) and exact. */
const LEVEL_STEP = 2 ** 24

/** One session that holds leaves, over all roots. */
export interface Holder {
  readonly peer: PeerId
  readonly holdings: Set<Holding>
  /** How many leaves may be under way. */
  window: number
  underWay: number
  /** When it last answered anything, or was asked while nothing was under way. */
  heardAt: Instant
}

/** One root at one holder. */
export interface Holding {
  readonly root: RootFetch
  readonly holder: Holder
  /** When each leaf under way was asked for, the first first. */
  readonly asked: Map<number, Instant>
  /** What it said it has not. */
  readonly lacks: Set<number>
  /** Until then `lacks` counts. */
  lacksUntil: Instant
  /** It was too late: not asked until then. */
  pausedUntil: Instant
  /** Times in a row that it gave nothing that was asked for. */
  failures: number
}

export class RootFetch {
  readonly held: HeldPacket
  /** As messages name it. */
  readonly id: Uint8Array
  readonly holdings = new Map<PeerId, Holding>()
  readonly banned = new BoundedMap<PeerId, true>(BANNED_MAX)
  /** When it last got a leaf or its turn. */
  progressAt: Instant
  toldAt: Instant | undefined
  /** By level; none while it waits for its turn. */
  #ready: PlaceQueue[] = []

  constructor(held: HeldPacket, now: Instant) {
    this.held = held
    this.id = held.id.slice(0, SHORT_BYTES)
    this.progressAt = now
  }

  get readyCount(): number {
    let count = 0
    for (const queue of this.#ready) count += queue.size
    return count
  }

  /** Lists what is missing; from here on `took` keeps the list. */
  begin(): void {
    const { leaves } = this.held
    this.#ready = Array.from({ length: leaves?.depth ?? 0 }, () => new PlaceQueue())
    for (const [level, queue] of this.#ready.entries())
      for (const index of leaves?.missing(level, Number.POSITIVE_INFINITY) ?? []) queue.push(index)
  }

  end(): void {
    this.#ready = []
  }

  /** Up to `max` places of one level to ask a holder for; the highest level that has some. */
  next(holding: Holding, max: number): { readonly level: number; readonly indexes: number[] } {
    for (let level = this.#ready.length - 1; level >= 0; level--) {
      const indexes = this.#ready[level]?.take(max, SCAN_MAX, (index) => {
        if (this.held.leaves?.has(level, index) !== false) return 'done'
        return holding.lacks.has(placeKey(level, index)) ? 'suits not' : 'suits'
      })
      if (indexes !== undefined && indexes.length > 0) return { level, indexes }
    }
    return { level: 0, indexes: [] }
  }

  /** A leaf came: what it lists can be asked for. */
  took(level: number, index: number): void {
    const queue = this.#ready[level - 1]
    if (queue === undefined) return
    for (const below of this.held.leaves?.listedBy(level, index) ?? []) queue.push(below)
  }

  /** It is to be asked for again. */
  again(key: number): void {
    this.#ready[Math.floor(key / LEVEL_STEP)]?.push(key % LEVEL_STEP)
  }
}

export function placeKey(level: number, index: number): number {
  return level * LEVEL_STEP + index
}

import { BoundedMap } from '../collections/bounded-map.ts'
import type { PeerId } from '../io.ts'

/**
 * A budget that many sources draw on: so much for each, so much for all together. While plenty is
 * left, whoever asks gets it. When less than half is left, a source gets no more than its equal part
 * of what all may have, so that those who want little are not crowded out by those who want all.
 */
export interface FairLimits {
  readonly totalPerSecond: number
  readonly totalBurst: number
  readonly sourcePerSecond: number
  readonly sourceBurst: number
}

/** Everybody we can have a session with. */
const SOURCES_MAX = 1024
/** A source counts as one that wants its part for one to two of these after it last asked. */
const EPOCH_MS = 1_000
/** A part saves up at least one datagram of any size, and RFC 6928's first flight at most. */
const PART_BURST_MIN_BYTES = 1_500
const PART_BURST_MAX_BYTES = 12_000
/** All parts together are less than what comes in, so that the reserve grows back. Guess. */
const PARTS_SHARE = 0.9

interface Level {
  tokens: number
  at: number
}

interface Source {
  readonly own: Level
  readonly part: Level
  epoch: number
}

export class FairBudget {
  readonly #limits: FairLimits
  readonly #total: Level
  readonly #sources = new BoundedMap<PeerId, Source>(SOURCES_MAX)
  #epoch = 0
  #sourcesBefore = 0
  #sourcesNow = 0

  constructor(limits: FairLimits, now: number) {
    this.#limits = limits
    this.#total = { tokens: limits.totalBurst, at: now }
  }

  /** Takes `bytes` for `source` if it may have them. */
  take(source: PeerId, bytes: number, now: number): boolean {
    const { totalPerSecond, totalBurst, sourcePerSecond, sourceBurst } = this.#limits
    const { own, part } = this.#sourceOf(source, now)
    const wanting = this.#wanting
    refill(this.#total, totalPerSecond, totalBurst, now)
    refill(own, sourcePerSecond, sourceBurst, now)
    refill(part, (PARTS_SHARE * totalPerSecond) / wanting, this.#partBurst(wanting), now)
    const left = this.#total.tokens - bytes
    if (own.tokens < bytes || left < 0) return false
    if (left < totalBurst / 2 && part.tokens < bytes) return false
    own.tokens -= bytes
    part.tokens = Math.max(0, part.tokens - bytes)
    this.#total.tokens = left
    return true
  }

  get #wanting(): number {
    return Math.max(1, this.#sourcesBefore, this.#sourcesNow)
  }

  /** What all have saved up is no more than the half that is kept for it, if they are not too many. */
  #partBurst(wanting: number): number {
    const equal = this.#limits.totalBurst / 2 / wanting
    return Math.max(PART_BURST_MIN_BYTES, Math.min(PART_BURST_MAX_BYTES, equal))
  }

  #sourceOf(peer: PeerId, now: number): Source {
    const epoch = Math.floor(now / EPOCH_MS)
    if (epoch !== this.#epoch) {
      this.#sourcesBefore = epoch === this.#epoch + 1 ? this.#sourcesNow : 0
      this.#sourcesNow = 0
      this.#epoch = epoch
    }
    let source = this.#sources.get(peer)
    if (source === undefined) {
      const { sourceBurst } = this.#limits
      source = {
        own: { tokens: sourceBurst, at: now },
        part: { tokens: this.#partBurst(this.#wanting), at: now },
        epoch: -1,
      }
      this.#sources.set(peer, source)
    }
    if (source.epoch !== epoch) {
      source.epoch = epoch
      this.#sourcesNow++
    }
    return source
  }
}

function refill(level: Level, perSecond: number, burst: number, now: number): void {
  const earned = (Math.max(0, now - level.at) / 1000) * perSecond
  level.tokens = Math.min(burst, level.tokens + earned)
  level.at = Math.max(level.at, now)
}

import { TokenBucket } from '../collections/token-bucket.ts'

/**
 * A budget of all remotes together that no number of them uses up for another: the common part goes to
 * whoever comes first, and each remote has a little of its own, which a reserve provides for.
 */
export interface SharedLimits {
  readonly perSecond: number
  readonly burst: number
  /** What one remote has when the common part is spent. */
  readonly ownPerSecond: number
  readonly ownBurst: number
  /** At least what all remotes' own parts come to in the long run; newcomers bring full ones. */
  readonly reservePerSecond: number
  readonly reserveBurst: number
}

export class SharedBudget {
  readonly #limits: SharedLimits
  readonly #common: TokenBucket
  readonly #reserve: TokenBucket

  constructor(limits: SharedLimits, now: number) {
    const { perSecond, burst, reservePerSecond, reserveBurst } = limits
    this.#limits = limits
    this.#common = new TokenBucket(perSecond, burst, now)
    this.#reserve = new TokenBucket(reservePerSecond, reserveBurst, now)
  }

  /** One remote's own part. */
  part(now: number): TokenBucket {
    return new TokenBucket(this.#limits.ownPerSecond, this.#limits.ownBurst, now)
  }

  take(own: TokenBucket, now: number): boolean {
    if (this.#common.take(1, now)) return true
    return this.#reserve.has(1, now) && own.take(1, now) && this.#reserve.take(1, now)
  }
}

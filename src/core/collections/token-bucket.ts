/** A budget that refills with time: at most `burst` at once, `perSecond` in the long run. */
export class TokenBucket {
  readonly #perSecond: number
  readonly #burst: number
  #tokens: number
  #at: number

  constructor(perSecond: number, burst: number, now: number) {
    this.#perSecond = perSecond
    this.#burst = burst
    this.#tokens = burst
    this.#at = now
  }

  /** Takes `count` tokens if there are that many. */
  take(count: number, now: number): boolean {
    if (!this.has(count, now)) return false
    this.#tokens -= count
    return true
  }

  /** Whether there are that many. */
  has(count: number, now: number): boolean {
    const earned = ((now - this.#at) / 1000) * this.#perSecond
    this.#tokens = Math.min(this.#burst, this.#tokens + Math.max(0, earned))
    this.#at = Math.max(this.#at, now)
    return this.#tokens >= count
  }
}

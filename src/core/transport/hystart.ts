/** RFC 9406 §4.3. */
const SAMPLES = 8
const THRESHOLD_MIN_MS = 4
const THRESHOLD_MAX_MS = 16
const THRESHOLD_DIVISOR = 8
const CONSERVATIVE_ROUNDS = 5

/**
 * HyStart++ (RFC 9406): tells from growing round-trip times when slow start should end, before the
 * bottleneck's queue overflows. A round is as long as it takes to acknowledge what was sent before it.
 */
export class HyStart {
  #roundEnd = 0
  #lastMinimumMs = Number.POSITIVE_INFINITY
  #minimumMs = Number.POSITIVE_INFINITY
  #samples = 0
  #baselineMs: number | undefined
  #conservativeRounds = 0

  /** Slow start goes on, but at a quarter of its pace. */
  get isConservative(): boolean {
    return this.#baselineMs !== undefined
  }

  /** One RTT sample, of the datagram `order`; true when slow start should end. */
  sample(order: number, nextOrder: number, rttMs: number): boolean {
    if (order >= this.#roundEnd) {
      if (this.isConservative && ++this.#conservativeRounds >= CONSERVATIVE_ROUNDS) return true
      this.#roundEnd = nextOrder
      this.#lastMinimumMs = this.#minimumMs
      this.#minimumMs = Number.POSITIVE_INFINITY
      this.#samples = 0
    }
    this.#minimumMs = Math.min(this.#minimumMs, rttMs)
    if (++this.#samples < SAMPLES) return false
    if (this.#baselineMs !== undefined) {
      if (this.#minimumMs < this.#baselineMs) this.#baselineMs = undefined
    } else if (this.#lastMinimumMs !== Number.POSITIVE_INFINITY) {
      const thresholdMs = Math.max(
        THRESHOLD_MIN_MS,
        Math.min(this.#lastMinimumMs / THRESHOLD_DIVISOR, THRESHOLD_MAX_MS),
      )
      if (this.#minimumMs >= this.#lastMinimumMs + thresholdMs) {
        this.#baselineMs = this.#minimumMs
        this.#conservativeRounds = 0
      }
    }
    return false
  }
}

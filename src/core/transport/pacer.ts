import { BURST_DATAGRAMS, BURST_MS, GRANULARITY_MS } from './limits.ts'

/** RFC 9002 §7.7 suggests 1.25; slow start doubles per round trip and must not be held below that. */
const GAIN = 1.25
const SLOW_START_GAIN = 2

export interface PacedPath {
  readonly windowBytes: number
  readonly smoothedMs: number
  readonly isSlowStart: boolean
  readonly datagramBytes: number
}

/**
 * Spreads a path's datagrams over its round trip: a bucket that fills at the rate of the congestion
 * window and holds 10 datagrams, or 2 ms of the rate where that is more.
 */
export class Pacer {
  #tokens = 0
  #filledAt: number | undefined

  /** Milliseconds until a whole datagram may leave: 0, or at least 1. */
  delayMs(path: PacedPath, now: number): number {
    const gain = path.isSlowStart ? SLOW_START_GAIN : GAIN
    const rate = (gain * path.windowBytes) / Math.max(path.smoothedMs, 0.001)
    const capacity = Math.max(BURST_DATAGRAMS * path.datagramBytes, rate * BURST_MS)
    this.#tokens =
      this.#filledAt === undefined
        ? capacity
        : Math.min(capacity, this.#tokens + rate * (now - this.#filledAt))
    this.#filledAt = now
    if (this.#tokens >= path.datagramBytes) return 0
    return Math.max(GRANULARITY_MS, (path.datagramBytes - this.#tokens) / rate)
  }

  onSent(bytes: number): void {
    this.#tokens = Math.max(0, this.#tokens - bytes)
  }
}

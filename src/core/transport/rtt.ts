import { ACK_DELAY_MS, GRANULARITY_MS, INITIAL_RTT_MS, PROBE_TIMEOUT_MAX_MS } from './limits.ts'

/** Estimates one path's round-trip time (RFC 9002 §5) and the timeouts that follow from it. */
export class Rtt {
  latestMs = INITIAL_RTT_MS
  smoothedMs = INITIAL_RTT_MS
  variationMs = INITIAL_RTT_MS / 2
  minimumMs = INITIAL_RTT_MS
  /** When the first sample came; undefined while all is a guess. */
  firstSampleAt: number | undefined

  /** Starts from what another exchange on this path took, such as the handshake. */
  seed(rttMs: number): void {
    this.latestMs = rttMs
    this.smoothedMs = rttMs
    this.variationMs = rttMs / 2
    this.minimumMs = rttMs
  }

  sample(latestMs: number, ackDelayMs: number, now: number): void {
    this.latestMs = latestMs
    if (this.firstSampleAt === undefined) {
      this.firstSampleAt = now
      this.minimumMs = latestMs
      this.smoothedMs = latestMs
      this.variationMs = latestMs / 2
      return
    }
    this.minimumMs = Math.min(this.minimumMs, latestMs)
    const delayMs = Math.min(ackDelayMs, ACK_DELAY_MS)
    const adjustedMs = latestMs >= this.minimumMs + delayMs ? latestMs - delayMs : latestMs
    this.variationMs = 0.75 * this.variationMs + 0.25 * Math.abs(this.smoothedMs - adjustedMs)
    this.smoothedMs = 0.875 * this.smoothedMs + 0.125 * adjustedMs
  }

  /** RFC 9002 §6.2.1, before backoff. */
  get probeTimeoutMs(): number {
    return this.smoothedMs + Math.max(4 * this.variationMs, GRANULARITY_MS) + ACK_DELAY_MS
  }

  /** The probe timeout after `count` of them went unanswered. */
  backoffMs(count: number): number {
    const firstMs = this.probeTimeoutMs
    return Math.min(firstMs * 2 ** Math.min(count, 16), Math.max(firstMs, PROBE_TIMEOUT_MAX_MS))
  }
}

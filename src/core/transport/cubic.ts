import { HyStart } from './hystart.ts'
import {
  CONGESTION_WINDOW_MAX,
  INITIAL_WINDOW_DATAGRAMS,
  MINIMUM_WINDOW_DATAGRAMS,
} from './limits.ts'

/** RFC 9438 §4.6 and §5.1; windows in datagrams, time in seconds. */
const BETA = 0.7
const C = 0.4
/** RFC 9438 §4.3: makes the estimate grow as fast as Reno's window on average. */
const ALPHA = (3 * (1 - BETA)) / (1 + BETA)
/** RFC 9406 §4.3 (CSS_GROWTH_DIVISOR). */
const CONSERVATIVE_DIVISOR = 4

/**
 * CUBIC (RFC 9438) with HyStart++: how many bytes one path may have in flight. Decides the window
 * alone; what was lost is found by `Recovery`, when to send by `Pacer`.
 */
export class Cubic {
  windowBytes: number
  #datagramBytes: number
  #threshold = Number.POSITIVE_INFINITY
  #hystart: HyStart | undefined = new HyStart()
  /** The window before the last reduction, in datagrams. */
  #plateau = 0
  #beforeReduction = 0
  #epochAt: number | undefined
  #timeToPlateau = 0
  #renoEstimate = 0

  constructor(datagramBytes: number) {
    this.#datagramBytes = datagramBytes
    this.windowBytes = INITIAL_WINDOW_DATAGRAMS * datagramBytes
  }

  get isSlowStart(): boolean {
    return this.windowBytes < this.#threshold
  }

  resize(datagramBytes: number): void {
    this.#datagramBytes = datagramBytes
    this.windowBytes = Math.max(this.windowBytes, this.#minimum())
  }

  onRtt(order: number, nextOrder: number, rttMs: number): void {
    if (!this.isSlowStart || this.#hystart === undefined) return
    if (this.#hystart.sample(order, nextOrder, rttMs)) {
      this.#threshold = this.windowBytes
      this.#hystart = undefined
    }
  }

  /** `isIdle`: the application, not the window, held sending back (RFC 9002 §7.8). */
  onAcked(bytes: number, now: number, smoothedMs: number, isIdle: boolean): void {
    if (isIdle) {
      // RFC 9438 §5.8: time in which the window was not used does not count.
      this.#epochAt = undefined
      return
    }
    if (this.isSlowStart) {
      const isConservative = this.#hystart?.isConservative === true
      this.#set(this.windowBytes + (isConservative ? bytes / CONSERVATIVE_DIVISOR : bytes))
      return
    }
    this.#avoidCongestion(bytes / this.#datagramBytes, now, smoothedMs)
  }

  /** One reduction for all that was lost in one round trip. */
  onCongestion(): void {
    const window = this.windowBytes / this.#datagramBytes
    this.#epochAt = undefined
    // RFC 9438 §4.7: a window that did not reach the last plateau makes room for another flow.
    this.#plateau = window < this.#plateau ? (window * (1 + BETA)) / 2 : window
    this.#beforeReduction = window
    this.#set(this.windowBytes * BETA)
    this.#threshold = this.windowBytes
    this.#hystart = undefined
  }

  /** RFC 9002 §7.6.2: back to the minimum, and to slow start up to half of what there was. */
  onPersistentCongestion(): void {
    this.#epochAt = undefined
    this.windowBytes = this.#minimum()
  }

  /** RFC 9438 §4.2 to §4.5. */
  #avoidCongestion(acked: number, now: number, smoothedMs: number): void {
    const window = this.windowBytes / this.#datagramBytes
    if (this.#epochAt === undefined) {
      this.#epochAt = now
      this.#renoEstimate = window
      if (window >= this.#plateau) this.#plateau = window
      this.#timeToPlateau = Math.cbrt((this.#plateau - window) / C)
    }
    const elapsed = (now - this.#epochAt) / 1000
    const alpha = this.#renoEstimate >= this.#beforeReduction ? 1 : ALPHA
    this.#renoEstimate += (alpha * acked) / window
    if (this.#cubic(elapsed) < this.#renoEstimate) {
      this.#set(Math.max(window, this.#renoEstimate) * this.#datagramBytes)
      return
    }
    const aim = this.#cubic(elapsed + smoothedMs / 1000)
    const target = Math.min(Math.max(aim, window), 1.5 * window)
    this.#set((window + ((target - window) / window) * acked) * this.#datagramBytes)
  }

  #cubic(seconds: number): number {
    return C * (seconds - this.#timeToPlateau) ** 3 + this.#plateau
  }

  #set(bytes: number): void {
    this.windowBytes = Math.min(Math.max(bytes, this.#minimum()), CONGESTION_WINDOW_MAX)
  }

  #minimum(): number {
    return MINIMUM_WINDOW_DATAGRAMS * this.#datagramBytes
  }
}

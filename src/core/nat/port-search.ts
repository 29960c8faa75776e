import type { Instant } from '../io.ts'
import type { PortPermutation } from './port-permutation.ts'
import type { Salvo } from './salvo.ts'

/**
 * Knocks at a remote's ports at random, one of which may be a mapping of its own making towards us. With
 * 256 mappings among 64,512 ports each knock meets one with probability 1/252: half of all searches end
 * after 175 knocks (0.6 s), 99 % after 1,160 (4.5 s), 99.8 % before it gives up.
 */
export const SEARCH_KNOCKS_MAX = 1_536
const FIRST_KNOCKS = 32
const KNOCK_GAP_MS = 4
const TICK_MS = 20

export class PortSearch implements Salvo {
  readonly #ports: PortPermutation
  readonly #knock: (port: number, now: Instant) => void
  /** Knocks are earned from here on. */
  #countedTo: number
  #sent = 0
  nextAt: Instant | undefined

  constructor(ports: PortPermutation, knock: (port: number, now: Instant) => void, now: Instant) {
    this.#ports = ports
    this.#knock = knock
    this.#countedTo = now - FIRST_KNOCKS * KNOCK_GAP_MS
    this.nextAt = now
  }

  fire(now: Instant): void {
    if (this.nextAt === undefined || now < this.nextAt) return
    // A driver that slept is not answered with a burst.
    this.#countedTo = Math.max(this.#countedTo, now - FIRST_KNOCKS * KNOCK_GAP_MS)
    const earned = Math.floor((now - this.#countedTo) / KNOCK_GAP_MS)
    this.#countedTo += earned * KNOCK_GAP_MS
    const due = Math.min(earned, SEARCH_KNOCKS_MAX - this.#sent)
    this.nextAt = (now + TICK_MS) as Instant
    for (let i = 0; i < due; i++) {
      const port = this.#ports.next()
      if (port === undefined) {
        this.nextAt = undefined
        return
      }
      this.#sent++
      this.#knock(port, now)
    }
    if (this.#sent >= SEARCH_KNOCKS_MAX) this.nextAt = undefined
  }
}

import type { PeerId } from '../io.ts'
import type { KnownPeer } from './known-peers.ts'

/**
 * How many of the wanted peers of a large network are dialled at once, the nearest first. Each that
 * answers tells who is nearer still: who dials all at once dials many that it will not want.
 */
/** Guess: a leaf set in three or four round trips. */
const AT_ONCE = 12
/** Those whom one neighbour made up leave room for others. */
const PER_TELLER = 4

export class DialPace {
  readonly #isUnbounded: boolean
  readonly #ofTeller = new Map<PeerId, number>()
  #count = 0

  constructor(isUnbounded: boolean) {
    this.#isUnbounded = isUnbounded
  }

  /** Whether there is room for one more, which is counted then. */
  take({ teller }: KnownPeer): boolean {
    if (this.#isUnbounded) return true
    const before = teller === undefined ? 0 : (this.#ofTeller.get(teller) ?? 0)
    if (this.#count >= AT_ONCE || before >= PER_TELLER) return false
    this.#count++
    if (teller !== undefined) this.#ofTeller.set(teller, before + 1)
    return true
  }
}

import { SYMBOL_BYTES } from './coded-symbols.ts'
import { SALTED_ID_BYTES } from './salted-set.ts'
import type { SetDifference } from './set-difference.ts'

/**
 * How many symbols a decoder asks for, and when a list of ids is cheaper or the table has failed.
 * Too few cost a round trip, too many cost bytes.
 */

/** A table of more costs as much as the ids of 27,000 packets. */
export const SYMBOLS_MAX = 16_384
/** What one message may call forth: 41 kB. */
export const SYMBOLS_PER_ASK_MAX = 4_096
/** Beyond so many times the difference no table of an honest remote goes. */
const SYMBOLS_PER_ITEM_MAX = 2.5
/** Fewer than this are never too many: small differences vary most. */
const SYMBOLS_ALWAYS = 96

/**
 * Nine in ten differences decode with so many symbols: 1.35 d in the limit (Yang et al. 2024, §5), and
 * a spread that was measured with this mapping for d from 1 to 4096.
 */
export function symbolsFor(difference: number): number {
  return Math.ceil(1.35 * difference + 2.5 * Math.sqrt(difference))
}

/** The least that MORE must ask for: it bounds how often it can be said. */
export function leastAsk(have: number): number {
  return have + 4 + (have >> 3)
}

/** How many symbols to have next, in all; or that a list is better. */
export function nextAsk(difference: SetDifference, gap: number, listed: number): number | 'list' {
  const { symbols: have, estimate, isHopeless } = difference
  const sure = Math.max(gap, estimate)
  const isSpent = have >= Math.max(SYMBOLS_ALWAYS, SYMBOLS_PER_ITEM_MAX * sure)
  if (isHopeless || isSpent || leastAsk(have) > SYMBOLS_MAX) return 'list'
  // The estimate is off by √(2 / have) of itself in the mean. Unless it says clearly more than the gap,
  // one set contains the other; else this is what the difference surely exceeds.
  const isSubset = estimate < gap * (1 + 8 / Math.sqrt(have))
  const guess = isSubset ? gap : estimate / (1 + 2 * Math.sqrt(2 / have))
  // A round trip is dearer than a few symbols.
  const least = Math.max(have + 16, leastAsk(have) + 4)
  const wanted = Math.max(symbolsFor(guess), least)
  if ((wanted - have) * SYMBOL_BYTES > listed * SALTED_ID_BYTES) return 'list'
  return Math.min(wanted, have + SYMBOLS_PER_ASK_MAX, SYMBOLS_MAX)
}

import { Chain, type Linked } from './chain.ts'

/**
 * Finds one of the largest shares among siblings in O(1): shares stand in ranks, four for each power of
 * two, so the one it finds is at most a fifth smaller than the largest.
 */
export interface Share<S> extends Linked<S> {
  bytes: number
  /** -1: not among its siblings. */
  rank: number
}

/** A share of less is of rank 0: no packet is charged less than twice that. */
const UNIT_BYTES = 256

export class RankedShares<S extends Share<S>> {
  readonly #ranks: (Chain<S> | undefined)[] = []
  #highest = -1

  /** After the share's bytes changed; one without bytes leaves. */
  place(share: S): void {
    const rank = share.bytes === 0 ? -1 : rankOf(share.bytes)
    if (rank === share.rank) return
    if (share.rank >= 0) this.#ranks[share.rank]?.remove(share)
    share.rank = rank
    if (rank < 0) return
    this.#highest = Math.max(this.#highest, rank)
    let chain = this.#ranks[rank]
    if (chain === undefined) {
      chain = new Chain(0)
      for (let lower = this.#ranks.length; lower < rank; lower++) this.#ranks.push(undefined)
      this.#ranks[rank] = chain
    }
    chain.push(share)
  }

  /** Of several in the highest rank, the one that has been there longest. */
  get largest(): S | undefined {
    for (; this.#highest >= 0; this.#highest--) {
      const first = this.#ranks[this.#highest]?.first
      if (first !== undefined) return first
    }
    return undefined
  }
}

/** The exponent of two and the two bits behind it. */
function rankOf(bytes: number): number {
  const units = Math.max(1, Math.min(Math.floor(bytes / UNIT_BYTES), 0xffffffff))
  const power = 31 - Math.clz32(units)
  return 4 * power + Math.floor((4 * units) / 2 ** power) - 4
}

import { FairQueue } from './fair-queue.ts'
import type { Held } from './held.ts'
import { MinuteBuckets } from './minute-buckets.ts'

/**
 * A budget of bytes and what is held within it. Decides who goes when there is no room: first whoever
 * is past its life, then by the order of the duties, within a duty fairly (`fair-queue.ts`). Whoever
 * uses less than four fifths of an equal share of its duty's bytes stays, whatever the others do.
 */

/** Measured (cost.test.ts): 600 bytes of memory beside its own; more when it is alone of its tag. */
export const PACKET_OVERHEAD_BYTES = 768
/** Measured on V8: 220. */
export const LEAF_OVERHEAD_BYTES = 256
/** No packet is charged less than its part of this, so that bytes alone bound the number as well. */
export const SHELF_ENTRIES_MAX = 65_536
/** A held packet's place among those of its minute. */
const SLOT_OF_MINUTE = 1

export class FairShelf {
  readonly budgetBytes: number
  readonly #chargeMin: number
  /** In the order in which they are given up. */
  readonly #queues: readonly FairQueue[]
  readonly #minutes = new MinuteBuckets<Held>(SLOT_OF_MINUTE)
  readonly #rankOf: (held: Held) => number
  #bytes = 0
  #count = 0

  /** `rankOf`: which of the `ranks` a packet is in; the lowest is given up first. */
  constructor(budgetBytes: number, ranks: number, rankOf: (held: Held) => number) {
    this.budgetBytes = budgetBytes
    this.#chargeMin = Math.ceil(budgetBytes / SHELF_ENTRIES_MAX)
    this.#queues = Array.from({ length: ranks }, () => new FairQueue())
    this.#rankOf = rankOf
  }

  /** What is charged. */
  get bytes(): number {
    return this.#bytes
  }

  get count(): number {
    return this.#count
  }

  /** One of those whose life is over first. */
  get soonest(): Held | undefined {
    return this.#minutes.first
  }

  chargeOf(held: Held): number {
    const bare = Math.max(held.sizeBytes + PACKET_OVERHEAD_BYTES, this.#chargeMin)
    return bare + held.leavesCharge
  }

  /** Who goes, if someone has to so that there is room for `bytes`: `kept` only if nobody else can. */
  victim(bytes: number, kept: Held | undefined, nowMinute: number): Held | undefined {
    if (this.#bytes + bytes <= this.budgetBytes) return undefined
    const soonest = this.#minutes.first
    if (soonest !== undefined && soonest.overAtMinute <= nowMinute) return soonest
    for (const queue of this.#queues) {
      const victim = queue.victim(kept)
      if (victim !== undefined) return victim
    }
    return undefined
  }

  add(held: Held): void {
    held.charge = this.chargeOf(held)
    this.#bytes += held.charge
    this.#count++
    this.#minutes.add(held)
    this.#queueOf(held)?.add(held)
  }

  remove(held: Held): void {
    this.#queueOf(held)?.remove(held)
    this.#minutes.remove(held)
    this.#bytes -= held.charge
    this.#count--
  }

  /** One more leaf of a packet that is here. */
  addLeaf(held: Held, bytes: number): void {
    held.leavesCharge += bytes
    held.charge += bytes
    this.#bytes += bytes
    this.#queueOf(held)?.recharge(held, bytes)
  }

  #queueOf(held: Held): FairQueue | undefined {
    return this.#queues[this.#rankOf(held)]
  }
}

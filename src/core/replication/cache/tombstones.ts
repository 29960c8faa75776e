import { shortOf } from '../packet-name.ts'
import { Chain } from './chain.ts'
import { type Dated, MinuteBuckets } from './minute-buckets.ts'

/**
 * Remembers packets that were held and are so no more, so that nobody gives us them again and again:
 * until a day after nobody takes them any more, or until too many others have followed.
 */

/** Guess: as many as a cache of small packets loses in one turnover. */
export const TOMBSTONES_MAX = 32_768
const SLOT_OF_AGE = 0
const SLOT_OF_MINUTE = 1

class Tombstone implements Dated<Tombstone> {
  readonly links: (Tombstone | undefined)[] = [undefined, undefined, undefined, undefined]
  readonly name: string
  readonly tag: string
  readonly overAtMinute: number

  constructor(name: string, tag: string, overAtMinute: number) {
    this.name = name
    this.tag = tag
    this.overAtMinute = overAtMinute
  }
}

export class Tombstones {
  readonly #byName = new Map<string, Tombstone>()
  /** First 8 bytes of names: how messages name packets. */
  readonly #shorts = new Set<string>()
  readonly #byAge = new Chain<Tombstone>(SLOT_OF_AGE)
  readonly #minutes = new MinuteBuckets<Tombstone>(SLOT_OF_MINUTE)

  get size(): number {
    return this.#byName.size
  }

  get soonestMinute(): number | undefined {
    return this.#minutes.first?.overAtMinute
  }

  has(name: string): boolean {
    return this.#byName.has(name)
  }

  hasShort(short: string): boolean {
    return this.#shorts.has(short)
  }

  add(name: string, tag: string, overAtMinute: number): void {
    if (this.#byName.has(name)) return
    const tombstone = new Tombstone(name, tag, overAtMinute)
    this.#byName.set(name, tombstone)
    this.#shorts.add(shortOf(name))
    this.#byAge.push(tombstone)
    this.#minutes.add(tombstone)
    const oldest = this.#byAge.first
    if (this.#byName.size > TOMBSTONES_MAX && oldest !== undefined) this.#remove(oldest)
  }

  /** Looks at all: for rare occasions. */
  forgetTag(tag: string): void {
    for (const tombstone of this.#byAge) if (tombstone.tag === tag) this.#remove(tombstone)
  }

  expire(nowMinute: number): void {
    for (;;) {
      const first = this.#minutes.first
      if (first === undefined || first.overAtMinute > nowMinute) return
      this.#remove(first)
    }
  }

  /** The oldest first. */
  [Symbol.iterator](): Iterator<{ readonly name: string; readonly tag: string }> {
    return this.#byAge[Symbol.iterator]()
  }

  #remove(tombstone: Tombstone): void {
    this.#byName.delete(tombstone.name)
    this.#shorts.delete(shortOf(tombstone.name))
    this.#byAge.remove(tombstone)
    this.#minutes.remove(tombstone)
  }
}

import { compareCausally } from './causal.ts'

/**
 * The packets of one subcluster that can be read again, in causal order. Knows names and times alone;
 * what they say is opened from the store when it is asked for.
 */
export interface ChronicleEntry {
  /** Hex of the id's first 16 bytes. */
  readonly key: string
  readonly lamport: number
  readonly createdS: number
}

export class Chronicle {
  readonly #entries: ChronicleEntry[] = []
  readonly #byKey = new Map<string, ChronicleEntry>()

  get size(): number {
    return this.#entries.length
  }

  add(entry: ChronicleEntry): void {
    if (this.#byKey.has(entry.key)) return
    this.#byKey.set(entry.key, entry)
    this.#entries.splice(this.#placeOf(entry), 0, entry)
  }

  remove(key: string): void {
    const entry = this.#byKey.get(key)
    if (entry === undefined) return
    this.#byKey.delete(key)
    this.#entries.splice(this.#placeOf(entry), 1)
  }

  /** Those created at `sinceS` or later that come after `after`, the least first. */
  *from(
    sinceS: number,
    after: Pick<ChronicleEntry, 'key' | 'lamport'> | undefined,
  ): Generator<ChronicleEntry> {
    let at = after === undefined ? 0 : this.#placeOf(after)
    if (after !== undefined && this.#entries[at]?.key === after.key) at++
    for (; at < this.#entries.length; at++) {
      const entry = this.#entries[at]
      if (entry !== undefined && entry.createdS >= sinceS) yield entry
    }
  }

  /** The first place whose entry does not come before this one. */
  #placeOf(entry: Pick<ChronicleEntry, 'key' | 'lamport'>): number {
    let low = 0
    let high = this.#entries.length
    const last = this.#entries[high - 1]
    // Nearly all come last.
    if (last !== undefined && compareCausally(last, entry) < 0) return high
    while (low < high) {
      const middle = (low + high) >> 1
      const other = this.#entries[middle]
      if (other !== undefined && compareCausally(other, entry) < 0) low = middle + 1
      else high = middle
    }
    return low
  }
}

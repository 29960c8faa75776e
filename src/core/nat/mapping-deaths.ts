/**
 * At what age mappings end however busy they are. One death may have any cause; two at nearly the same
 * age have one.
 */
const DEATHS_MAX = 8
/** transport.md §5.9. */
const LIKENESS = 0.2
/** Guess: a NAT that ends busy mappings earlier would break every call through it. */
const AGE_MIN_MS = 30_000

export class MappingDeaths {
  #agesMs: number[] = []
  #oldestMs = 0

  /** A mapping in use ended this long after it was made. */
  died(ageMs: number): void {
    if (ageMs >= AGE_MIN_MS) this.#agesMs = [...this.#agesMs, ageMs].slice(-DEATHS_MAX)
  }

  /** A mapping this old works. */
  lived(ageMs: number): void {
    this.#oldestMs = Math.max(this.#oldestMs, ageMs)
  }

  clear(): void {
    this.#agesMs = []
    this.#oldestMs = 0
  }

  /** The last death may have been of old age. */
  get isUnexplained(): boolean {
    const last = this.#agesMs.at(-1)
    return last !== undefined && this.#oldestMs <= (1 + LIKENESS) * last
  }

  get absoluteLifetimeMs(): number | undefined {
    const last = this.#agesMs.at(-1)
    const before = this.#agesMs.at(-2)
    if (last === undefined || before === undefined) return undefined
    const longer = Math.max(last, before)
    const isAlike = longer - Math.min(last, before) <= LIKENESS * longer
    const hasSurvivor = Math.max(this.#oldestMs, ...this.#agesMs) > (1 + LIKENESS) * longer
    return isAlike && !hasSurvivor ? Math.min(last, before) : undefined
  }
}

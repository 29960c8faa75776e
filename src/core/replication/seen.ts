/**
 * Remembers at least the last `capacity` keys and at most twice as many, in two generations: when the
 * young one is full it becomes the old one and the old one is forgotten. O(1), no clock.
 */
export class SeenSet {
  readonly #capacity: number
  /** Undefined while empty: every session has such a set, and most of them remember nothing. */
  #young: Set<string> | undefined
  #old: Set<string> | undefined

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  get size(): number {
    return (this.#young?.size ?? 0) + (this.#old?.size ?? 0)
  }

  has(key: string): boolean {
    return this.#young?.has(key) === true || this.#old?.has(key) === true
  }

  add(key: string): void {
    if (this.has(key)) return
    if (this.#young === undefined || this.#young.size >= this.#capacity) {
      this.#old = this.#young
      this.#young = new Set()
    }
    this.#young.add(key)
  }
}

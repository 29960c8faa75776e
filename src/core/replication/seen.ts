/**
 * Remembers at least the last `capacity` keys and at most twice as many, in two generations: when the
 * young one is full it becomes the old one and the old one is forgotten. O(1), no clock.
 */
export class SeenSet {
  readonly #capacity: number
  #young = new Set<string>()
  #old = new Set<string>()

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  get size(): number {
    return this.#young.size + this.#old.size
  }

  has(key: string): boolean {
    return this.#young.has(key) || this.#old.has(key)
  }

  add(key: string): void {
    if (this.has(key)) return
    if (this.#young.size >= this.#capacity) {
      this.#old = this.#young
      this.#young = new Set()
    }
    this.#young.add(key)
  }
}

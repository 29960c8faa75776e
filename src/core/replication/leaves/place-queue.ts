/** Indexes of leaves that wait to be asked for, in order. Taking costs O(taken + passed over). */
export class PlaceQueue {
  #items: number[] = []
  #head = 0

  get size(): number {
    return this.#items.length - this.#head
  }

  push(index: number): void {
    this.#items.push(index)
  }

  /**
   * Up to `max` that suit, among the first `scanMax`. Those that do not suit go to the end, so that the
   * next call sees others; those that are `done` are dropped.
   */
  take(
    max: number,
    scanMax: number,
    judge: (index: number) => 'suits' | 'suits not' | 'done',
  ): number[] {
    const taken: number[] = []
    const end = Math.min(this.#items.length, this.#head + scanMax)
    while (this.#head < end && taken.length < max) {
      const index = this.#items[this.#head++] ?? 0
      const verdict = judge(index)
      if (verdict === 'suits') taken.push(index)
      else if (verdict === 'suits not') this.#items.push(index)
    }
    if (this.#head >= 1024 && 2 * this.#head >= this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return taken
  }
}

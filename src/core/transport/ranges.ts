/**
 * A set of whole numbers as ordered, disjoint, non-adjacent ranges [start, end). Appending at the end
 * is constant, the rest logarithmic plus a move of what follows: owners bound the number of ranges.
 */
export class RangeSet {
  /** start, end, start, end, … ascending. */
  readonly #bounds: number[] = []

  /** Number of ranges. */
  get size(): number {
    return this.#bounds.length >> 1
  }

  start(index: number): number {
    return this.#bounds[2 * index] ?? 0
  }

  end(index: number): number {
    return this.#bounds[2 * index + 1] ?? 0
  }

  has(value: number): boolean {
    const index = this.#firstEndingAfter(value)
    return index < this.size && this.start(index) <= value
  }

  /** Whether adding [start, end) would make no further range. */
  touches(start: number, end: number): boolean {
    const index = this.#firstEndingAfter(start - 1)
    return index < this.size && this.start(index) <= end
  }

  /** Adds [start, end); returns how many of its numbers were missing. */
  add(start: number, end: number): number {
    const bounds = this.#bounds
    const highest = bounds.at(-1)
    if (highest === undefined || start > highest) {
      bounds.push(start, end)
      return end - start
    }
    const from = this.#firstEndingAfter(start - 1)
    let to = from
    let added = end - start
    let low = start
    let high = end
    for (; to < this.size && this.start(to) <= end; to++) {
      added -= Math.max(0, Math.min(end, this.end(to)) - Math.max(start, this.start(to)))
      low = Math.min(low, this.start(to))
      high = Math.max(high, this.end(to))
    }
    if (to === from) bounds.splice(2 * from, 0, low, high)
    else {
      bounds[2 * from] = low
      bounds[2 * from + 1] = high
      if (to > from + 1) bounds.splice(2 * from + 2, 2 * (to - from - 1))
    }
    return added
  }

  /** Takes [start, end) out. */
  remove(start: number, end: number): void {
    const from = this.#firstEndingAfter(start)
    let to = from
    const kept: number[] = []
    for (; to < this.size && this.start(to) < end; to++) {
      if (this.start(to) < start) kept.push(this.start(to), start)
      if (this.end(to) > end) kept.push(end, this.end(to))
    }
    if (to > from) this.#bounds.splice(2 * from, 2 * (to - from), ...kept)
  }

  /** Takes the range at `index` out. */
  removeAt(index: number): void {
    this.#bounds.splice(2 * index, 2)
  }

  /** The parts of [start, end) that are not in the set: start, end, start, end, … */
  missing(start: number, end: number): number[] {
    const parts: number[] = []
    let at = start
    for (let i = this.#firstEndingAfter(start); i < this.size && this.start(i) < end; i++) {
      if (this.start(i) > at) parts.push(at, this.start(i))
      at = this.end(i)
    }
    if (at < end) parts.push(at, end)
    return parts
  }

  /** Index of the first range whose end is above `value`. */
  #firstEndingAfter(value: number): number {
    let low = 0
    let high = this.size
    if (high > 0 && this.start(high - 1) <= value) low = high - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.end(middle) > value) high = middle
      else low = middle + 1
    }
    return low
  }
}

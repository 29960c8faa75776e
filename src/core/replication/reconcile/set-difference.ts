import { CodedSymbols, chanceOf, checkOf, nextIndex, SymbolEncoder } from './coded-symbols.ts'
import { idKey, type SaltedSet } from './salted-set.ts'

/**
 * Finds what two sets differ in, from the symbols of theirs: subtracts those of ours and peels. Decides
 * which ids are in one set alone, and how large the difference may be while that is not known. Symbols
 * that no set has cost as much as others and never end in `isDone`, or they end in ids nobody has.
 */
interface Found {
  readonly high: number
  readonly low: number
  readonly check: number
  /** 1: theirs, −1: ours. */
  readonly sign: number
  next: number
  draws: number
}

export class SetDifference {
  readonly #ours: SymbolEncoder
  /** Items in theirs minus items in ours, by what they told. */
  readonly #gap: number
  #cells = new CodedSymbols(0, 0)
  readonly #found: Found[] = []
  #squares = 0
  #variance = 0
  #isDone = false
  #isHopeless = false

  constructor(ours: SaltedSet, theirSize: number) {
    this.#ours = new SymbolEncoder(ours)
    this.#gap = theirSize - ours.size
  }

  /** Symbols added so far. */
  get symbols(): number {
    return this.#cells.count
  }

  get isDone(): boolean {
    return this.#isDone
  }

  /** No further symbols would help. */
  get isHopeless(): boolean {
    return this.#isHopeless
  }

  /**
   * A guess of how many items differ: of d items each is in symbol i with a chance p, so that the count
   * of a symbol is off from gap · p by a square of d · p · (1 − p) in the mean.
   */
  get estimate(): number {
    return this.#variance === 0 ? 0 : this.#squares / this.#variance
  }

  /** Ids in one set alone. */
  keys(side: 'theirs' | 'ours'): Set<number> {
    const sign = side === 'theirs' ? 1 : -1
    const found = this.#found.filter((item) => item.sign === sign)
    return new Set(found.map(({ high, low }) => idKey(high, low)))
  }

  /** Adds their next symbols, which must begin where the last ones ended. */
  add(theirs: CodedSymbols): void {
    const ours = this.#ours.take(theirs.end)
    const cells = new CodedSymbols(0, theirs.end)
    cells.high.set(this.#cells.high)
    cells.low.set(this.#cells.low)
    cells.check.set(this.#cells.check)
    cells.items.set(this.#cells.items)
    for (let at = 0; at < theirs.count; at++) {
      const index = theirs.first + at
      cells.high[index] = (theirs.high[at] ?? 0) ^ (ours.high[at] ?? 0)
      cells.low[index] = (theirs.low[at] ?? 0) ^ (ours.low[at] ?? 0)
      cells.check[index] = (theirs.check[at] ?? 0) ^ (ours.check[at] ?? 0)
      const items = (theirs.items[at] ?? 0) - (ours.items[at] ?? 0)
      cells.items[index] = items
      this.#weigh(index, items)
    }
    this.#cells = cells
    for (const item of this.#found) this.#takeOut(item, [])
    this.#peel(theirs.first)
    this.#isDone = cells.isZero()
  }

  #weigh(index: number, items: number): void {
    const chance = chanceOf(index)
    // Counts are mod 256: the residue nearest to what is expected.
    const off = ((items - Math.round(this.#gap * chance) + 128) & 0xff) - 128
    this.#squares += off * off
    this.#variance += chance * (1 - chance)
  }

  #peel(from: number): void {
    const cells = this.#cells
    const waiting: number[] = []
    for (let index = cells.count - 1; index >= from; index--) waiting.push(index)
    for (;;) {
      const index = waiting.pop()
      if (index === undefined) return
      const items = cells.items[index] ?? 0
      if (items !== 1 && items !== 0xff) continue
      const high = cells.high[index] ?? 0
      const low = cells.low[index] ?? 0
      const check = checkOf(high, low)
      if (check !== cells.check[index]) continue
      // Each item that is found empties a symbol for good, unless the symbols are made up.
      if (this.#found.length === cells.count) {
        this.#isHopeless = true
        return
      }
      const item = { high, low, check, sign: items === 1 ? 1 : -1, next: 0, draws: 0 }
      this.#found.push(item)
      this.#takeOut(item, waiting)
    }
  }

  /** Takes an item out of all symbols that it is in and has not been taken out of yet. */
  #takeOut(item: Found, touched: number[]): void {
    const { high, low, check, sign } = item
    while (item.next < this.#cells.count) {
      this.#cells.toggle(item.next, high, low, check, -sign)
      touched.push(item.next)
      item.next = nextIndex(item.next, high, low, ++item.draws)
    }
  }
}

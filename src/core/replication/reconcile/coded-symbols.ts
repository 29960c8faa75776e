import type { SaltedSet } from './salted-set.ts'

/**
 * Coded symbols of a set (Yang, Gilad, Alizadeh: Practical Rateless Set Reconciliation, 2024): symbol
 * i is the XOR of the ids and of their checks, and the number mod 256, of those items that are mapped
 * to i. Symbols of two sets subtract to those of their difference. Every item is in symbol 0, and in
 * symbol i with a chance of about 2 / i. Decides the mapping and the symbols; decodes nothing.
 */
export const SYMBOL_BYTES = 10
const GOLDEN_RATIO_32 = 0x9e3779b9

/** The integer finalizer "lowbias32" (C. Wellons, hash-prospector): each bit of it depends on all bits. */
function mix(value: number): number {
  let x = value
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d)
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b)
  return (x ^ (x >>> 16)) >>> 0
}

/** The k-th of an id's 32-bit draws. They need not be unforeseeable, since the ids are. */
function draw(high: number, low: number, k: number): number {
  return mix(low + mix(high + Math.imul(k, GOLDEN_RATIO_32)))
}

/** 24 bits that are no linear function of the id: they tell one id from the XOR of several. */
export function checkOf(high: number, low: number): number {
  return draw(high, low, 0) >>> 8
}

/**
 * The next symbol after `index` that an id is mapped to, by its k-th draw, k from 1 on: the inverse of
 * the distribution function (§4.2 of the paper with α = 1/2). IEEE division and square root are exact
 * to the last bit, so that all hosts agree.
 */
export function nextIndex(index: number, high: number, low: number, k: number): number {
  const skip = (index + 1.5) * (65536 / Math.sqrt(draw(high, low, k) + 0.5) - 1)
  return Math.min(0xffffffff, index + Math.ceil(skip))
}

/**
 * The chance that an item is in a symbol: with P(next > j | i) = ((i + 1.5) / (j + 1.5))² and a start
 * at 0, the sum over all ways to `index` telescopes to this.
 */
export function chanceOf(index: number): number {
  return index === 0 ? 1 : (2 * index + 2) / (index + 1.5) ** 2
}

/** Consecutive symbols, the first of them being symbol `first`. */
export class CodedSymbols {
  readonly first: number
  readonly count: number
  readonly high: Uint16Array
  readonly low: Uint32Array
  readonly check: Uint32Array
  /** Items mod 256. */
  readonly items: Uint8Array

  constructor(first: number, count: number) {
    this.first = first
    this.count = count
    this.high = new Uint16Array(count)
    this.low = new Uint32Array(count)
    this.check = new Uint32Array(count)
    this.items = new Uint8Array(count)
  }

  get end(): number {
    return this.first + this.count
  }

  /** Adds an item to a symbol (`sign` 1) or takes it out (−1). */
  toggle(index: number, high: number, low: number, check: number, sign: number): void {
    const at = index - this.first
    this.high[at] = (this.high[at] ?? 0) ^ high
    this.low[at] = (this.low[at] ?? 0) ^ low
    this.check[at] = (this.check[at] ?? 0) ^ check
    this.items[at] = (this.items[at] ?? 0) + sign
  }

  isZero(): boolean {
    for (let at = 0; at < this.count; at++) {
      const bits = (this.high[at] ?? 0) | (this.low[at] ?? 0) | (this.check[at] ?? 0)
      if ((bits | (this.items[at] ?? 0)) !== 0) return false
    }
    return true
  }

  /** Id (6), check (3), items (1) of each. */
  toBytes(): Uint8Array {
    const bytes = new Uint8Array(this.count * SYMBOL_BYTES)
    const view = new DataView(bytes.buffer)
    for (let at = 0; at < this.count; at++) {
      const offset = at * SYMBOL_BYTES
      view.setUint16(offset, this.high[at] ?? 0)
      view.setUint32(offset + 2, this.low[at] ?? 0)
      view.setUint32(offset + 6, ((this.check[at] ?? 0) << 8) | (this.items[at] ?? 0))
    }
    return bytes
  }

  static fromBytes(first: number, bytes: Uint8Array): CodedSymbols {
    const symbols = new CodedSymbols(first, Math.floor(bytes.length / SYMBOL_BYTES))
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    for (let at = 0; at < symbols.count; at++) {
      const offset = at * SYMBOL_BYTES
      symbols.high[at] = view.getUint16(offset)
      symbols.low[at] = view.getUint32(offset + 2)
      const rest = view.getUint32(offset + 6)
      symbols.check[at] = rest >>> 8
      symbols.items[at] = rest & 0xff
    }
    return symbols
  }
}

/** Makes a set's symbols in their order, as many as are asked for. */
export class SymbolEncoder {
  readonly #set: SaltedSet
  /** Of each item: the next symbol it is mapped to, and how many draws led there. */
  readonly #next: Uint32Array
  readonly #draws: Uint16Array
  #position = 0

  constructor(set: SaltedSet) {
    this.#set = set
    this.#next = new Uint32Array(set.size)
    this.#draws = new Uint16Array(set.size)
  }

  /** The symbols made so far. */
  get position(): number {
    return this.#position
  }

  /** The symbols from the position to `end`. One pass over the set: ask for many at a time. */
  take(end: number): CodedSymbols {
    const { high: highs, low: lows } = this.#set
    const symbols = new CodedSymbols(this.#position, Math.max(0, end - this.#position))
    for (let item = 0; item < this.#set.size; item++) {
      let index = this.#next[item] ?? 0
      if (index >= end) continue
      const high = highs[item] ?? 0
      const low = lows[item] ?? 0
      const check = checkOf(high, low)
      let draws = this.#draws[item] ?? 0
      for (; index < end; index = nextIndex(index, high, low, ++draws))
        symbols.toggle(index, high, low, check, 1)
      this.#next[item] = index
      this.#draws[item] = draws
    }
    this.#position = symbols.end
    return symbols
  }
}

import { SYMBOL_BYTES } from './coded-symbols.ts'
import { SYMBOLS_PER_MESSAGE } from './reconcile-wire.ts'

/** What comes in several messages, in any order: symbols `first` to `until`. */
export class GatheredSymbols {
  readonly first: number
  readonly until: number
  readonly bytes: Uint8Array
  readonly #seen: Uint8Array
  #left: number

  constructor(first: number, until: number) {
    this.first = first
    this.until = until
    this.bytes = new Uint8Array((until - first) * SYMBOL_BYTES)
    this.#seen = new Uint8Array(Math.ceil((until - first) / SYMBOLS_PER_MESSAGE))
    this.#left = this.#seen.length
  }

  get isWhole(): boolean {
    return this.#left === 0
  }

  /** False when the piece is none of these, or came before. */
  put(first: number, symbols: Uint8Array): boolean {
    const at = first - this.first
    const piece = at / SYMBOLS_PER_MESSAGE
    if (this.#seen[piece] !== 0) return false
    const count = Math.min(SYMBOLS_PER_MESSAGE, this.until - first)
    if (symbols.length !== count * SYMBOL_BYTES) return false
    this.#seen[piece] = 1
    this.#left--
    this.bytes.set(symbols, at * SYMBOL_BYTES)
    return true
  }
}

/** A list of ids: `total` of them, equal ones counted apart. */
export class GatheredIds {
  readonly total: number
  readonly keys: number[] = []

  constructor(total: number) {
    this.total = total
  }

  get isWhole(): boolean {
    return this.keys.length === this.total
  }

  put(total: number, keys: readonly number[]): boolean {
    if (total !== this.total || this.keys.length + keys.length > total) return false
    for (const key of keys) this.keys.push(key)
    return true
  }
}

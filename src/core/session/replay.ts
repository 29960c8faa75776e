import { assert } from '../errors.ts'

/** How far behind the highest number a datagram may come: DESIGN §5, RFC 6479's purpose. */
export const REPLAY_WINDOW = 8192
const FIRST_WINDOW = 256
const WORD_BITS = 32

/**
 * Which packet numbers of a session were received, so that none counts twice. A ring of one bit per
 * number: number n lies at n modulo the ring's size. The ring starts small and doubles up to
 * `REPLAY_WINDOW`, always before it would wrap, so a session that said little costs 32 bytes.
 */
export class ReplayWindow {
  #highest = -1
  #words: Uint32Array | undefined

  /** The highest number accepted; −1 before the first. */
  get highest(): number {
    return this.#highest
  }

  /** Bytes held for the bits. */
  get sizeBytes(): number {
    return this.#words?.byteLength ?? 0
  }

  /** Whether `number` is neither received before nor too old to tell. */
  check(number: number): boolean {
    if (number > this.#highest) return true
    if (number <= this.#highest - REPLAY_WINDOW || this.#words === undefined) return false
    return ((this.#words[this.#wordOf(number)] ?? 0) & bitOf(number)) === 0
  }

  /** Remembers a number that `check` let through and whose datagram was authentic. */
  accept(number: number): void {
    assert(Number.isSafeInteger(number) && number >= 0, 'a packet number is a safe integer')
    assert(this.check(number), 'a number is accepted once')
    if (number > this.#highest) {
      this.#grow(number)
      this.#forgetUpTo(number)
      this.#highest = number
    }
    const words = this.#words
    assert(words !== undefined, 'a window with a number has bits')
    const word = this.#wordOf(number)
    words[word] = (words[word] ?? 0) | bitOf(number)
  }

  #grow(number: number): void {
    const held = this.#words?.length ?? 0
    let window = Math.max(FIRST_WINDOW, held * WORD_BITS)
    while (window < REPLAY_WINDOW && number >= window) window *= 2
    if (window === held * WORD_BITS) return
    const words = new Uint32Array(window / WORD_BITS)
    if (this.#words !== undefined) words.set(this.#words)
    this.#words = words
  }

  /** Clears the bits that the numbers above `highest`, up to `number`, are about to take over. */
  #forgetUpTo(number: number): void {
    const words = this.#words
    if (words === undefined) return
    if (number - this.#highest >= words.length * WORD_BITS) {
      words.fill(0)
      return
    }
    for (let n = this.#highest + 1; n <= number; ) {
      const word = this.#wordOf(n)
      if (n % WORD_BITS === 0 && n + WORD_BITS - 1 <= number) {
        words[word] = 0
        n += WORD_BITS
      } else {
        words[word] = (words[word] ?? 0) & ~bitOf(n)
        n++
      }
    }
  }

  /** Bitwise on the low 32 bits alone, which is exact: the ring's size divides 2^32. */
  #wordOf(number: number): number {
    return (number >>> 5) & ((this.#words?.length ?? 1) - 1)
  }
}

function bitOf(number: number): number {
  return 1 << (number & (WORD_BITS - 1))
}

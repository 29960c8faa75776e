import type { Random } from '../core/crypto.ts'

/**
 * The simulator's randomness: xoshiro128** 1.1 (Blackman and Vigna, prng.di.unimi.it), seeded through
 * MurmurHash3's finaliser. Anyone who sees its output can predict the rest: it is for simulations,
 * where that is the point, and never for keys that protect anything.
 */
export class SeededRandom implements Random {
  readonly #path: string
  #a: number
  #b: number
  #c: number
  #d: number

  /** Equal seeds give equal sequences. */
  constructor(seed: number | string) {
    this.#path = String(seed)
    let hash = 0x811c9dc5
    for (let i = 0; i < this.#path.length; i++) {
      hash = Math.imul(hash ^ this.#path.charCodeAt(i), 0x01000193)
    }
    const word = () => {
      hash = (hash + 0x9e3779b9) | 0
      let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
      mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
      return mixed ^ (mixed >>> 16)
    }
    this.#a = word()
    this.#b = word()
    this.#c = word()
    this.#d = word() | 1
  }

  /** A generator of its own, whose sequence depends on this one's seed and the name alone. */
  fork(name: string): SeededRandom {
    return new SeededRandom(`${this.#path}/${name}`)
  }

  /** An integer from 0 to 2^32 − 1. */
  word(): number {
    const scrambled = Math.imul(this.#b, 5)
    const result = Math.imul((scrambled << 7) | (scrambled >>> 25), 9) >>> 0
    const shifted = this.#b << 9
    this.#c ^= this.#a
    this.#d ^= this.#b
    this.#b ^= this.#c
    this.#a ^= this.#d
    this.#c ^= shifted
    this.#d = (this.#d << 11) | (this.#d >>> 21)
    return result
  }

  /** At least 0, below 1. */
  fraction(): number {
    return this.word() / 0x100000000
  }

  /** An integer from 0 to `limit` − 1. The bias is below limit / 2^32. */
  below(limit: number): number {
    return Math.floor(this.fraction() * limit)
  }

  /** True with probability `rate`; draws nothing when the answer is certain. */
  chance(rate: number): boolean {
    return rate > 0 && (rate >= 1 || this.fraction() < rate)
  }

  pick<T>(from: readonly [T, ...T[]]): T {
    return from[this.below(from.length)] ?? from[0]
  }

  /** A shuffled copy (Fisher and Yates). */
  shuffled<T>(items: readonly T[]): T[] {
    const rest = [...items]
    const result: T[] = []
    while (rest.length > 0) result.push(...rest.splice(this.below(rest.length), 1))
    return result
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    for (let i = 0; i < length; i += 4) {
      const word = this.word()
      for (let k = 0; k < 4 && i + k < length; k++) bytes[i + k] = word >>> (8 * k)
    }
    return bytes
  }
}

import type { Random } from '../crypto.ts'

/**
 * Every port of a range once, from a random one on: a walk by the golden section of the range, so that
 * wherever a run of mappings lies, few steps meet it; and 64,512 ports take no memory.
 */
const GOLDEN = (Math.sqrt(5) - 1) / 2

export class PortPermutation {
  readonly #first: number
  readonly #size: number
  readonly #stride: number
  #at: number
  #left: number

  constructor(random: Random, first: number, last: number) {
    this.#first = first
    this.#size = last - first + 1
    this.#left = this.#size
    this.#at = random.bytes(4).reduce((value, byte) => value * 256 + byte, 0) % this.#size
    let stride = Math.max(1, Math.round(GOLDEN * this.#size))
    while (commonDivisor(stride, this.#size) !== 1) stride++
    this.#stride = stride
  }

  /** Undefined when every port was given. */
  next(): number | undefined {
    if (this.#left === 0) return undefined
    this.#left--
    const port = this.#first + this.#at
    this.#at = (this.#at + this.#stride) % this.#size
    return port
  }
}

function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b)
}

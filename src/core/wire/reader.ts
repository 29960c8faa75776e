import { MALFORMED, type Malformed } from '../errors.ts'

/**
 * A cursor over received bytes. Integers are big-endian. Reading past the end does not throw: it sets
 * `failed` and yields zeros, so that a decoder checks once, at its end.
 */
export class Reader {
  readonly bytes: Uint8Array
  offset = 0
  failed = false

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  get remaining(): number {
    return this.failed ? 0 : this.bytes.length - this.offset
  }

  u8(): number {
    if (this.offset >= this.bytes.length) return this.#fail()
    return this.bytes[this.offset++] ?? 0
  }

  u16(): number {
    return this.u8() * 0x100 + this.u8()
  }

  u32(): number {
    return this.u16() * 0x10000 + this.u16()
  }

  /** RFC 9000 §16; a value above 2^53 − 1 fails. */
  varint(): number {
    const first = this.u8()
    const length = 1 << (first >> 6)
    let value = first & 0x3f
    for (let i = 1; i < length; i++) value = value * 0x100 + this.u8()
    if (value > Number.MAX_SAFE_INTEGER) return this.#fail()
    return value
  }

  /** A view of the next `length` bytes: copy what is kept. */
  take(length: number): Uint8Array {
    const end = this.offset + length
    if (end > this.bytes.length || length < 0) {
      this.#fail()
      return new Uint8Array(0)
    }
    const view = this.bytes.subarray(this.offset, end)
    this.offset = end
    return view
  }

  /** A view of all that is left. */
  rest(): Uint8Array {
    return this.take(this.bytes.length - this.offset)
  }

  /** A varint length of at most `max`, then that many bytes, as a view. */
  block(max: number): Uint8Array {
    const length = this.varint()
    if (length > max) {
      this.#fail()
      return new Uint8Array(0)
    }
    return this.take(length)
  }

  /** The decoder's verdict: `value`, or malformed when something was missing or left over. */
  end<T>(value: T): T | Malformed {
    return this.failed || this.offset !== this.bytes.length ? MALFORMED : value
  }

  #fail(): number {
    this.failed = true
    this.offset = this.bytes.length
    return 0
  }
}

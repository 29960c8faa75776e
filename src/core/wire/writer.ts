import { assert } from '../errors.ts'

/** Bytes that `varint` takes for a value (RFC 9000 §16). */
export function varintSize(value: number): 1 | 2 | 4 | 8 {
  if (value < 0x40) return 1
  if (value < 0x4000) return 2
  if (value < 0x40000000) return 4
  return 8
}

/** Writes big-endian fields into one buffer of fixed capacity; overrunning it is our own fault. */
export class Writer {
  readonly buffer: Uint8Array
  length = 0

  constructor(capacity: number) {
    this.buffer = new Uint8Array(capacity)
  }

  get room(): number {
    return this.buffer.length - this.length
  }

  u8(value: number): this {
    assert(this.length < this.buffer.length, 'writer has room')
    this.buffer[this.length++] = value
    return this
  }

  u16(value: number): this {
    return this.u8(value >>> 8).u8(value & 0xff)
  }

  u32(value: number): this {
    return this.u16(value >>> 16).u16(value & 0xffff)
  }

  varint(value: number): this {
    assert(Number.isSafeInteger(value) && value >= 0, 'a varint is a safe non-negative integer')
    if (value < 0x40) return this.u8(value)
    if (value < 0x4000) return this.u16(0x4000 + value)
    if (value < 0x40000000) return this.u32(0x80000000 + value)
    const high = Math.floor(value / 0x100000000)
    return this.u32((0xc0000000 + high) >>> 0).u32(value % 0x100000000)
  }

  put(bytes: Uint8Array): this {
    assert(bytes.length <= this.room, 'writer has room')
    this.buffer.set(bytes, this.length)
    this.length += bytes.length
    return this
  }

  /** A varint length, then the bytes. */
  block(bytes: Uint8Array): this {
    return this.varint(bytes.length).put(bytes)
  }

  /** What was written, as a view of the buffer. */
  done(): Uint8Array {
    return this.buffer.subarray(0, this.length)
  }
}

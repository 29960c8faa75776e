import { TICKS_PER_MS } from './clock.ts'

export type Direction = 'send' | 'receive'

/** One datagram leaving or reaching a host's socket. Borrowed for the call. */
export interface TraceRecord {
  readonly atMs: number
  readonly host: string
  readonly direction: Direction
  /** Where to, or where from as the receiver sees it. */
  readonly remoteHost: string
  readonly remotePort: number
  readonly data: Uint8Array
}

/** A datagram's bytes, hashed once for its sending and its arrival. */
export interface Digest {
  readonly a: number
  readonly b: number
}

/**
 * A hash of everything that crossed a socket, in order: two runs with the same hash did the same.
 * Two lanes of MurmurHash3's 32-bit mixing give 64 bits; it detects differences, not adversaries.
 */
export class Trace {
  #a = 0x3c6ef372
  #b = 0x5be0cd19
  #listener: ((record: TraceRecord) => void) | undefined

  /** 16 hex digits. */
  hash(): string {
    return hex(finish(this.#a)) + hex(finish(this.#b))
  }

  /** Shows every record to `listener`, instead of an earlier one. */
  listen(listener: ((record: TraceRecord) => void) | undefined): void {
    this.#listener = listener
  }

  add(record: TraceRecord, digest: Digest): void {
    const ticks = record.atMs * TICKS_PER_MS
    this.#mix(ticks | 0)
    this.#mix(Math.floor(ticks / 0x100000000))
    this.#mix(record.direction === 'send' ? 1 : 2)
    this.#text(record.host)
    this.#text(record.remoteHost)
    this.#mix(record.remotePort)
    this.#mix(record.data.length)
    this.#mix(digest.a)
    this.#mix(digest.b)
    this.#listener?.(record)
  }

  #text(text: string): void {
    this.#mix(text.length)
    for (let i = 0; i < text.length; i++) this.#mix(text.charCodeAt(i))
  }

  #mix(word: number): void {
    this.#a = mix(this.#a, word)
    this.#b = mix(this.#b, word ^ 0x6a09e667)
  }
}

export function digestOf(data: Uint8Array): Digest {
  let a = 0x9e3779b9
  let b = 0x243f6a88
  const words = data.length & ~3
  for (let i = 0; i < words; i += 4) {
    const word =
      (data[i] ?? 0) |
      ((data[i + 1] ?? 0) << 8) |
      ((data[i + 2] ?? 0) << 16) |
      ((data[i + 3] ?? 0) << 24)
    a = mix(a, word)
    b = mix(b, word ^ 0x6a09e667)
  }
  for (let i = words; i < data.length; i++) {
    a = mix(a, data[i] ?? 0)
    b = mix(b, (data[i] ?? 0) ^ 0x6a09e667)
  }
  return { a: finish(a), b: finish(b) }
}

function mix(hash: number, word: number): number {
  const scattered = Math.imul(word, 0xcc9e2d51)
  const mixed = hash ^ Math.imul((scattered << 15) | (scattered >>> 17), 0x1b873593)
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64) | 0
}

function finish(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return mixed ^ (mixed >>> 16)
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0')
}

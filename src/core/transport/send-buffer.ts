import type { Writer } from '../wire/writer.ts'

interface Chunk {
  readonly start: number
  readonly data: Uint8Array
}

/**
 * The bytes of one stream from the first that is not acknowledged, as the chunks they were written
 * in: kept, never copied or joined until they go into a datagram.
 */
export class SendBuffer {
  #chunks: Chunk[] = []
  #head = 0
  #length = 0

  append(data: Uint8Array): void {
    if (data.length === 0) return
    this.#chunks.push({ start: this.#length, data })
    this.#length += data.length
  }

  /** Puts the bytes [start, end) into `writer`. */
  copyTo(writer: Writer, start: number, end: number): void {
    let at = start
    for (let i = this.#indexOf(start); at < end; i++) {
      const chunk = this.#chunks[i]
      if (chunk === undefined) return
      const to = Math.min(end - chunk.start, chunk.data.length)
      writer.put(chunk.data.subarray(at - chunk.start, to))
      at = chunk.start + to
    }
  }

  /** Lets go of chunks that lie wholly before `offset`. */
  release(offset: number): void {
    const chunks = this.#chunks
    while (this.#head < chunks.length) {
      const chunk = chunks[this.#head]
      if (chunk !== undefined && chunk.start + chunk.data.length > offset) break
      chunks[this.#head++] = RELEASED
    }
    if (this.#head === chunks.length) {
      chunks.length = 0
      this.#head = 0
    } else if (this.#head >= 64 && this.#head * 2 >= chunks.length) {
      chunks.splice(0, this.#head)
      this.#head = 0
    }
  }

  clear(): void {
    this.#chunks.length = 0
    this.#head = 0
  }

  #indexOf(offset: number): number {
    let low = this.#head
    let high = this.#chunks.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((this.#chunks[middle]?.start ?? 0) <= offset) low = middle
      else high = middle - 1
    }
    return low
  }
}

const RELEASED: Chunk = Object.freeze({ start: 0, data: new Uint8Array(0) })

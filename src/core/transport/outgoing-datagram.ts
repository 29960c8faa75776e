import { FRAMES_MAX, PLAINTEXT_BYTES_MAX } from '../wire/frames.ts'
import { Writer } from '../wire/writer.ts'
import type { Carried } from './carried.ts'

/** A datagram while it is filled: the bytes, what they carry, and how much room is left. */
export class OutgoingDatagram {
  readonly writer = new Writer(PLAINTEXT_BYTES_MAX)
  carried: Carried[] = []
  isEliciting = false
  #limit = 0
  #frames = 0
  #isClosed = false

  begin(limit: number): void {
    this.writer.length = 0
    this.carried = []
    this.isEliciting = false
    this.#limit = limit
    this.#frames = 0
    this.#isClosed = false
  }

  /** Bytes that further frames may take. */
  get room(): number {
    if (this.#isClosed || this.#frames >= FRAMES_MAX) return 0
    return this.#limit - this.writer.length
  }

  get isEmpty(): boolean {
    return this.#frames === 0
  }

  /** Counts a frame just written. */
  add(carried: Carried | undefined, isEliciting: boolean): void {
    this.#frames++
    if (carried !== undefined) this.carried.push(carried)
    if (isEliciting) this.isEliciting = true
  }

  /** A frame without a length was written: nothing can follow. */
  close(): void {
    this.#isClosed = true
  }
}

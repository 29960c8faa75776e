import type { PieceBudget } from './flow.ts'

interface Piece {
  readonly start: number
  readonly data: Uint8Array
}

/** A view shorter than this would keep a whole datagram's bytes alive: copied instead. */
const VIEW_BYTES_MIN = 512

/**
 * Puts the bytes of one stream in order. In-order data passes through as it came; what waits for an
 * earlier piece is kept without overlaps and counted against a budget. Where copies of a byte
 * disagree, the first to come stands.
 */
export class Assembler {
  /** Everything before this was read. */
  offset = 0
  readonly #budget: PieceBudget
  #pieces: Piece[] = []

  constructor(budget: PieceBudget) {
    this.#budget = budget
  }

  /** Takes data in; false when it needs more pieces than the budget has. */
  insert(offset: number, data: Uint8Array): boolean {
    const end = offset + data.length
    let at = Math.max(offset, this.offset)
    if (at >= end) return true
    // What continues the bytes read so far is read at once: it needs no room.
    const isNext = at === this.offset
    let i = this.#firstEndingAfter(at)
    while (at < end) {
      const next = this.#pieces[i]
      if (next !== undefined && next.start <= at) {
        at = Math.max(at, next.start + next.data.length)
        i++
        continue
      }
      const to = next === undefined ? end : Math.min(end, next.start)
      if (!isNext && this.#budget.isFull) return false
      const part = data.subarray(at - offset, to - offset)
      const mustCopy = !isNext && part.length < VIEW_BYTES_MIN
      this.#pieces.splice(i, 0, { start: at, data: mustCopy ? part.slice() : part })
      this.#budget.used++
      i++
      at = to
    }
    return true
  }

  /** The next piece in order, if it is there. */
  read(): Uint8Array | undefined {
    const piece = this.#pieces[0]
    if (piece === undefined || piece.start !== this.offset) return undefined
    this.#pieces.shift()
    this.#budget.used--
    this.offset += piece.data.length
    return piece.data
  }

  /** Forgets what waits. */
  clear(): void {
    this.#budget.used -= this.#pieces.length
    this.#pieces = []
  }

  #firstEndingAfter(offset: number): number {
    const last = this.#pieces.at(-1)
    if (last === undefined) return 0
    let low = 0
    let high = this.#pieces.length
    if (last.start + last.data.length <= offset) return high
    while (low < high) {
      const middle = (low + high) >> 1
      const piece = this.#pieces[middle]
      if (piece !== undefined && piece.start + piece.data.length > offset) high = middle
      else low = middle + 1
    }
    return low
  }
}

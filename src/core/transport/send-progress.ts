import { RangeSet } from './ranges.ts'

/**
 * Which of the bytes [0, length) of a stream or message were sent, acknowledged or lost. Holds no
 * bytes. The number of ranges is bounded by the datagrams in flight.
 */
export class SendProgress {
  length = 0
  /** Everything from here on was never sent. */
  sent = 0
  /** Everything before this was acknowledged. */
  acked = 0
  #ackedBeyond: RangeSet | undefined
  #lost: RangeSet | undefined

  get hasLost(): boolean {
    return this.#lost !== undefined && this.#lost.size > 0
  }

  get isAcked(): boolean {
    return this.acked === this.length
  }

  /** The first lost range's bounds; meaningful while `hasLost`. */
  get lostStart(): number {
    return this.#lost?.start(0) ?? 0
  }

  get lostEnd(): number {
    return this.#lost?.end(0) ?? 0
  }

  onSent(start: number, end: number): void {
    this.#lost?.remove(start, end)
    if (end > this.sent) this.sent = end
  }

  onAcked(start: number, end: number): void {
    this.#lost?.remove(start, end)
    if (start > this.acked) {
      this.#ackedBeyond ??= new RangeSet()
      this.#ackedBeyond.add(start, end)
      return
    }
    this.acked = Math.max(this.acked, end)
    const beyond = this.#ackedBeyond
    while (beyond !== undefined && beyond.size > 0 && beyond.start(0) <= this.acked) {
      this.acked = Math.max(this.acked, beyond.end(0))
      beyond.removeAt(0)
    }
  }

  onLost(start: number, end: number): void {
    const from = Math.max(start, this.acked)
    if (from >= end) return
    this.#lost ??= new RangeSet()
    const beyond = this.#ackedBeyond
    if (beyond === undefined || beyond.size === 0) {
      this.#lost.add(from, end)
      return
    }
    const parts = beyond.missing(from, end)
    for (let i = 0; i < parts.length; i += 2) this.#lost.add(parts[i] ?? 0, parts[i + 1] ?? 0)
  }
}

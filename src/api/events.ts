import type { EventItem, Loose } from './types.ts'

/** Values that wait for their loop. Guess, unmeasured: some seconds of a busy room. */
export const EVENTS_WAITING_MAX = 1_024

/** Turns calls into a loop: bounded, the oldest dropped and counted when the loop is slower. */
export class EventLoop implements AsyncIterableIterator<EventItem<Loose>> {
  #waiting: EventItem<Loose>[] = []
  #missed = 0
  #isEnded = false
  #wanted: ((result: IteratorResult<EventItem<Loose>>) => void)[] = []
  readonly #ended: () => void

  constructor(ended: () => void) {
    this.#ended = ended
  }

  push(value: Loose, packet: Loose): void {
    if (this.#isEnded) return
    const want = this.#wanted.shift()
    if (want !== undefined) return want({ done: false, value: { value, packet, missed: 0 } })
    this.#waiting.push({ value, packet, missed: 0 })
    if (this.#waiting.length <= EVENTS_WAITING_MAX) return
    this.#waiting.shift()
    this.#missed++
  }

  end(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#ended()
    for (const want of this.#wanted.splice(0)) want({ done: true, value: undefined })
  }

  next(): Promise<IteratorResult<EventItem<Loose>>> {
    const item = this.#waiting.shift()
    if (item !== undefined) {
      const missed = this.#missed
      this.#missed = 0
      return Promise.resolve({ done: false, value: { ...item, missed } })
    }
    if (this.#isEnded) return Promise.resolve({ done: true, value: undefined })
    return new Promise((resolve) => this.#wanted.push(resolve))
  }

  return(): Promise<IteratorResult<EventItem<Loose>>> {
    this.#waiting = []
    this.end()
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}

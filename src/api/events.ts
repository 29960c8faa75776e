import type { KeptItem } from './history.ts'
import type { EventItem, Loose } from './types.ts'

/** Values that wait for their loop. Guess, unmeasured: a room's day, and no more than its memory. */
export const EVENTS_WAITING_MAX = 16_384
export const EVENTS_WAITING_BYTES_MAX = 64 * 1024 * 1024

type Item = EventItem<Loose>
type Result = IteratorResult<Item>

interface Waiting {
  readonly item: Item
  readonly sizeBytes: number
}

/** Turns calls into a loop: bounded, the oldest dropped and counted when the loop is slower. */
export class EventLoop implements AsyncIterableIterator<Item> {
  #waiting: Waiting[] = []
  #first = 0
  #bytes = 0
  #missed = 0
  #isEnded = false
  #wanted: ((result: Result) => void)[] = []
  readonly #event: string | undefined
  readonly #ended: () => void

  /** `event`: undefined for every event. */
  constructor(event: string | undefined, ended: () => void) {
    this.#event = event
    this.#ended = ended
  }

  push(event: string, value: Loose, packet: Loose, sizeBytes: number): void {
    if (this.#isEnded || (this.#event !== undefined && event !== this.#event)) return
    const item = { event, value, packet, missed: 0 }
    const want = this.#wanted.shift()
    if (want !== undefined) return want({ done: false, value: item })
    this.#waiting.push({ item, sizeBytes })
    this.#bytes += sizeBytes
    while (this.#isTooMuch()) {
      this.#take()
      this.#missed++
    }
  }

  end(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#ended()
    for (const want of this.#wanted.splice(0)) want({ done: true, value: undefined })
  }

  next(): Promise<Result> {
    const item = this.#take()
    if (item !== undefined) {
      const missed = this.#missed
      this.#missed = 0
      return Promise.resolve({ done: false, value: { ...item, missed } })
    }
    if (this.#isEnded) return Promise.resolve({ done: true, value: undefined })
    return new Promise((resolve) => this.#wanted.push(resolve))
  }

  return(): Promise<Result> {
    this.#waiting = []
    this.#first = 0
    this.end()
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** One is kept whatever its size. */
  #isTooMuch(): boolean {
    const count = this.#waiting.length - this.#first
    return count > EVENTS_WAITING_MAX || (count > 1 && this.#bytes > EVENTS_WAITING_BYTES_MAX)
  }

  /** From the front, without moving the rest each time. */
  #take(): Item | undefined {
    const taken = this.#waiting[this.#first]
    if (taken === undefined) return undefined
    this.#first++
    this.#bytes -= taken.sizeBytes
    if (this.#first * 2 > this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#first)
      this.#first = 0
    }
    return taken.item
  }
}

/**
 * What is kept first, then what comes: nothing twice, and nothing missed in between, since `live` began
 * before `past` is asked for.
 */
export function pastThenLive(
  past: AsyncGenerator<KeptItem>,
  live: EventLoop,
): AsyncIterableIterator<Item> {
  const items = joined(past, live)
  return {
    next: () => items.next(),
    return: async () => {
      await live.return()
      return items.return(undefined)
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

async function* joined(
  past: AsyncGenerator<KeptItem>,
  live: EventLoop,
): AsyncGenerator<Item, undefined, undefined> {
  /** Grows no larger than what the peer keeps. */
  const seen = new Set<string>()
  for await (const item of past) {
    seen.add(item.packet.id)
    yield { ...item, missed: 0 }
  }
  let missed = 0
  for await (const item of live) {
    const { id } = item.packet
    missed += item.missed
    if (id !== undefined && seen.delete(id)) continue
    yield { ...item, missed }
    missed = 0
  }
  return undefined
}

/** A laboratory for transports: virtual time, seeded links with latency, loss, duplicates, reordering
 * and a bottleneck queue, and endpoints that drive a `Transport` as a session would. */
import { SeededRandom } from '../seeded.fixture.ts'
import { Transport, type TransportEvent } from './transport.ts'

interface Occasion {
  readonly at: number
  readonly order: number
  readonly run: () => void
}

/** Virtual time: a heap of what is to happen. */
export class Timeline {
  now = 0
  #order = 0
  readonly #heap: Occasion[] = []

  at(at: number, run: () => void): void {
    const heap = this.#heap
    heap.push({ at: Math.max(at, this.now), order: this.#order++, run })
    let i = heap.length - 1
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (!this.#isBefore(i, parent)) break
      this.#swap(i, parent)
      i = parent
    }
  }

  /** Runs until `done` or nothing is left or `until` is reached; false when it was not `done`. */
  run(done: () => boolean, until = 3_600_000): boolean {
    while (!done()) {
      const next = this.#shift()
      if (next === undefined || next.at > until) return done()
      this.now = next.at
      next.run()
    }
    return true
  }

  #shift(): Occasion | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (first === undefined || last === undefined || heap.length === 0) return first
    heap[0] = last
    for (let i = 0; ; ) {
      let least = i
      for (const child of [2 * i + 1, 2 * i + 2])
        if (child < heap.length && this.#isBefore(child, least)) least = child
      if (least === i) return first
      this.#swap(i, least)
      i = least
    }
  }

  #isBefore(a: number, b: number): boolean {
    const [x, y] = [this.#heap[a], this.#heap[b]]
    if (x === undefined || y === undefined) return false
    return x.at < y.at || (x.at === y.at && x.order < y.order)
  }

  #swap(a: number, b: number): void {
    const [x, y] = [this.#heap[a], this.#heap[b]]
    if (x === undefined || y === undefined) return
    this.#heap[a] = y
    this.#heap[b] = x
  }
}

export interface LinkOptions {
  readonly latencyMs: number
  /** Added at random to each datagram's latency: reorders. */
  readonly jitterMs?: number
  readonly loss?: number
  readonly duplicates?: number
  /** A bottleneck, with a drop-tail queue of `queueBytes`. */
  readonly bytesPerMs?: number
  readonly queueBytes?: number
}

/** One direction of a link; flows may share one. */
export class Link {
  isUp = true
  delivered = 0
  deliveredBytes = 0
  readonly #timeline: Timeline
  readonly #random: SeededRandom
  readonly #options: LinkOptions
  #freeAt = 0

  constructor(timeline: Timeline, random: SeededRandom, options: LinkOptions) {
    this.#timeline = timeline
    this.#random = random
    this.#options = options
  }

  send(bytes: number, deliver: () => void): void {
    const { latencyMs, jitterMs = 0, loss = 0, duplicates = 0 } = this.#options
    if (!this.isUp || this.#random.next() < loss) return
    const departsAt = this.#depart(bytes)
    if (departsAt === undefined) return
    const copies = this.#random.next() < duplicates ? 2 : 1
    for (let i = 0; i < copies; i++) {
      this.#timeline.at(departsAt + latencyMs + this.#random.next() * jitterMs, () => {
        if (!this.isUp) return
        this.delivered++
        this.deliveredBytes += bytes
        deliver()
      })
    }
  }

  #depart(bytes: number): number | undefined {
    const { bytesPerMs, queueBytes = Number.POSITIVE_INFINITY } = this.#options
    const { now } = this.#timeline
    if (bytesPerMs === undefined) return now
    const startsAt = Math.max(now, this.#freeAt)
    if ((startsAt - now) * bytesPerMs + bytes > queueBytes + bytes) return undefined
    this.#freeAt = startsAt + bytes / bytesPerMs
    return this.#freeAt
  }
}

/** A transport with a driver: filters replays as a session does, sends on one link per path. */
export class Endpoint {
  readonly transport: Transport
  readonly #timeline: Timeline
  readonly #links = new Map<number, { readonly link: Link; readonly to: Endpoint }>()
  readonly #seen = new Set<number>()
  readonly #onEvent: (event: TransportEvent) => void
  #wakeAt = Number.POSITIVE_INFINITY
  violations = 0

  constructor(timeline: Timeline, isInitiator: boolean, onEvent: (event: TransportEvent) => void) {
    this.transport = new Transport({ isInitiator })
    this.#timeline = timeline
    this.#onEvent = onEvent
  }

  addPath(path: number, link: Link, to: Endpoint, datagramBytes = 1200): void {
    this.#links.set(path, { link, to })
    this.transport.addPath(path, { datagramBytes })
  }

  receive(path: number, number: number, frames: Uint8Array): void {
    if (this.#seen.has(number)) return
    this.#seen.add(number)
    const taken = this.transport.receive(path, number, frames, this.#timeline.now)
    if (taken === 'violation') this.violations++
    this.pump()
  }

  /** Hands out events, sends what may be sent, sets the alarm. */
  pump(): void {
    const { transport } = this
    for (;;) {
      const event = transport.poll()
      if (event !== undefined) {
        this.#onEvent(event)
        continue
      }
      const next = transport.next(this.#timeline.now)
      if (next === undefined) break
      const way = this.#links.get(next.path)
      if (way === undefined) throw new Error(`sent on unknown path ${next.path}`)
      const frames = next.frames.slice()
      way.link.send(frames.length + 25, () => way.to.receive(next.path, next.number, frames))
    }
    const at = transport.deadline()?.at
    if (at === undefined || at >= this.#wakeAt) return
    this.#wakeAt = at
    this.#timeline.at(at, () => {
      if (this.#wakeAt !== at) return
      this.#wakeAt = Number.POSITIVE_INFINITY
      transport.onDeadline(this.#timeline.now)
      this.pump()
    })
  }
}

export interface Pair {
  readonly timeline: Timeline
  readonly a: Endpoint
  readonly b: Endpoint
  readonly ab: Link
  readonly ba: Link
}

/** Two endpoints, joined by path 0 with a link of equal options each way. */
export function pair(
  seed: number,
  options: LinkOptions,
  onA: (event: TransportEvent) => void,
  onB: (event: TransportEvent) => void,
): Pair {
  const timeline = new Timeline()
  const random = new SeededRandom(seed)
  const a = new Endpoint(timeline, true, onA)
  const b = new Endpoint(timeline, false, onB)
  const ab = new Link(timeline, random, options)
  const ba = new Link(timeline, random, options)
  join(a, b, 0, ab, ba)
  a.transport.setActivePath(0)
  b.transport.setActivePath(0)
  return { timeline, a, b, ab, ba }
}

/** Adds a path between two endpoints. */
export function join(a: Endpoint, b: Endpoint, path: number, ab: Link, ba: Link): void {
  a.addPath(path, ab, b)
  b.addPath(path, ba, a)
}

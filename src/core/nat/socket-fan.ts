import type { Instant } from '../io.ts'
import type { Salvo } from './salvo.ts'

export interface FanOptions {
  readonly sockets: number
  /** That many are opened at once, then the next after `batchGapMs`: opening takes a driver time. */
  readonly batch: number
  readonly batchGapMs: number
  /** When all knock again, counted from the first. */
  readonly repeatsMs: readonly number[]
  /** One more; undefined when there are none left. */
  open(): number | undefined
  knock(socket: number, now: Instant): void
}

/** Opens sockets, each of which knocks at once and then with all the others again and again. */
export class SocketFan implements Salvo {
  readonly #options: FanOptions
  readonly #startedAt: Instant
  readonly #sockets: number[] = []
  #unopened: number
  #openAt: Instant
  #repeats = 0
  nextAt: Instant | undefined

  constructor(options: FanOptions, now: Instant) {
    this.#options = options
    this.#startedAt = now
    this.#unopened = options.sockets
    this.#openAt = now
    this.nextAt = now
  }

  fire(now: Instant): void {
    if (this.nextAt === undefined || now < this.nextAt) return
    if (this.#unopened > 0 && now >= this.#openAt) this.#openBatch(now)
    const repeatMs = this.#options.repeatsMs[this.#repeats]
    if (repeatMs !== undefined && now >= this.#startedAt + repeatMs) {
      this.#repeats++
      for (const socket of this.#sockets) this.#options.knock(socket, now)
    }
    this.nextAt = this.#next()
  }

  #openBatch(now: Instant): void {
    const { batch, batchGapMs } = this.#options
    this.#openAt = (now + batchGapMs) as Instant
    for (let i = Math.min(batch, this.#unopened); i > 0; i--) {
      const socket = this.#options.open()
      if (socket === undefined) {
        this.#unopened = 0
        return
      }
      this.#unopened--
      this.#sockets.push(socket)
      this.#options.knock(socket, now)
    }
  }

  #next(): Instant | undefined {
    const repeatMs = this.#options.repeatsMs[this.#repeats]
    const repeatAt = repeatMs === undefined ? undefined : this.#startedAt + repeatMs
    if (this.#unopened === 0) return repeatAt as Instant | undefined
    return Math.min(this.#openAt, repeatAt ?? this.#openAt) as Instant
  }
}

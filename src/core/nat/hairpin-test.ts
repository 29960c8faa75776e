import type { Deadline, Instant, LocalAddress } from '../io.ts'
import type { Question, Reflections } from './reflections.ts'

/** Whether our NAT brings a datagram from one of our sockets to another's external address back. */
const TRIES_AT_MS: readonly number[] = [0, 100]
/** Guess, unmeasured: the way to our own NAT and back, a carrier's included. */
const GIVE_UP_MS = 400

export interface HairpinEnd {
  readonly socket: number
  readonly external: LocalAddress
}

export class HairpinTest {
  readonly #reflections: Reflections
  readonly #ends: readonly [HairpinEnd, HairpinEnd]
  readonly #questions: readonly [Question, Question]
  readonly #startedAt: Instant
  #tries = 0
  #isWorking: boolean | undefined

  constructor(reflections: Reflections, ends: readonly [HairpinEnd, HairpinEnd], now: Instant) {
    const [a, b] = ends
    this.#reflections = reflections
    this.#ends = ends
    this.#questions = [
      reflections.expect('hairpin', b.socket, b.external, now),
      reflections.expect('hairpin', a.socket, a.external, now),
    ]
    this.#startedAt = now
  }

  /** Undefined while it goes on. */
  get isWorking(): boolean | undefined {
    return this.#isWorking
  }

  deadline(): Deadline | undefined {
    if (this.#isWorking !== undefined) return undefined
    const dueMs = TRIES_AT_MS[this.#tries] ?? GIVE_UP_MS
    return { at: (this.#startedAt + dueMs) as Instant, reason: 'nat-hairpin' }
  }

  advance(now: Instant): void {
    if (this.#isWorking !== undefined) return
    if (this.#questions.some((question) => question.answer !== undefined)) return this.#end(true)
    if (now >= this.#startedAt + GIVE_UP_MS) return this.#end(false)
    while (now >= this.#startedAt + (TRIES_AT_MS[this.#tries] ?? Number.POSITIVE_INFINITY)) {
      this.#tries++
      const [a, b] = this.#ends
      // The second opens a filter for the first, and the other way round.
      this.#reflections.send(this.#questions[0], a.socket, now)
      this.#reflections.send(this.#questions[1], b.socket, now)
    }
  }

  close(): void {
    for (const question of this.#questions) this.#reflections.close(question)
  }

  #end(isWorking: boolean): void {
    this.#isWorking = isWorking
    this.close()
  }
}

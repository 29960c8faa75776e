import { BoundedMap } from '../collections/bounded-map.ts'
import { TimerQueue } from '../collections/timer-queue.ts'
import type { Deadline, Instant } from '../io.ts'
import type { Established } from './handshakes.ts'
import type { NoiseHandshake } from './noise.ts'

/**
 * The first messages that we answered and whose senders have not yet proved that they got the
 * answer. A flood of them is a bounded, expiring list of notes and nothing more.
 */
export interface Answer {
  /** The initiator's ephemeral key, in hex: names its first message. */
  readonly ephemeral: string
  readonly cid: number
  readonly remoteCid: number
  readonly response: Uint8Array
  /** XX: reads the third message. */
  readonly noise: NoiseHandshake | undefined
  /** IK: what the first sealed datagram will confirm. */
  readonly result: Established | undefined
}

export const ANSWERS_MAX = 1024
const ANSWER_MS = 10_000
/** Replays of a first message draw nothing while its key is among the last so many answered. */
const RECENT_MAX = 8192

export class Answers {
  readonly #byEphemeral = new BoundedMap<string, Answer>(ANSWERS_MAX)
  readonly #byCid = new Map<number, Answer>()
  readonly #recent = new BoundedMap<string, true>(RECENT_MAX)
  readonly #timers = new TimerQueue<string>()

  get count(): number {
    return this.#byEphemeral.size
  }

  /** The answer that a repeated first message draws again. */
  to(ephemeral: string): Answer | undefined {
    return this.#byEphemeral.get(ephemeral)
  }

  wasAnswered(ephemeral: string): boolean {
    return this.#recent.has(ephemeral)
  }

  withCid(cid: number): Answer | undefined {
    return this.#byCid.get(cid)
  }

  add(answer: Answer, now: Instant): void {
    const evicted = this.#byEphemeral.set(answer.ephemeral, answer)
    if (evicted !== undefined) this.#forget(evicted.value)
    this.#byCid.set(answer.cid, answer)
    this.#recent.set(answer.ephemeral, true)
    this.#timers.set(answer.ephemeral, now + ANSWER_MS, 'answer expires')
  }

  remove(answer: Answer): void {
    this.#byEphemeral.delete(answer.ephemeral)
    this.#forget(answer)
  }

  deadline(): Deadline | undefined {
    const next = this.#timers.earliest()
    return next && { at: next.at as Instant, reason: next.reason }
  }

  onDeadline(now: Instant): void {
    for (;;) {
      const ephemeral = this.#timers.takeDue(now)
      if (ephemeral === undefined) return
      const answer = this.#byEphemeral.get(ephemeral)
      if (answer !== undefined) this.remove(answer)
    }
  }

  #forget(answer: Answer): void {
    this.#byCid.delete(answer.cid)
    this.#timers.clear(answer.ephemeral)
  }
}

import type { Deadline, Instant } from '../io.ts'
import type { Question, Reflections } from './reflections.ts'
import type { Reflector } from './reflector.ts'

/**
 * Whether one reflector gets through our NAT where it may not be expected: `written`, from another
 * port than the one we wrote to; `unwritten`, where we wrote to others only. A knock that does not
 * come says something only if the same reflector's knock came where it had to (the control).
 */
export type FilterRole = 'written' | 'unwritten'

/** `unserved`: nothing came, but perhaps nothing was sent. */
export type FilterOutcome = 'arrived' | 'silent' | 'unserved'

/** transport.md §5.3. */
const TRIES_AT_MS: readonly number[] = [0, 100, 300]
const GIVE_UP_MIN_MS = 600
/** Guess, unmeasured: twice the round trip to the other side of the world. */
const GIVE_UP_MAX_MS = 1_500

export interface FilterProbeOptions {
  readonly role: FilterRole
  readonly reflector: Reflector
  readonly reflections: Reflections
  /** Where it knocks, and at which external port that is. */
  readonly target: { readonly socket: number; readonly port: number }
  /** Where its knock must come in. */
  readonly control: { readonly socket: number; readonly port: number }
  readonly rttMs: number
}

export class FilterProbe {
  readonly role: FilterRole
  readonly #reflector: Reflector
  readonly #reflections: Reflections
  readonly #options: FilterProbeOptions
  readonly #test: Question
  readonly #control: Question
  readonly #startedAt: Instant
  readonly #endsAt: Instant
  #tries = 0
  #outcome: FilterOutcome | undefined

  constructor(options: FilterProbeOptions, now: Instant) {
    const { reflector, reflections, target, control, rttMs } = options
    this.role = options.role
    this.#reflector = reflector
    this.#reflections = reflections
    this.#options = options
    this.#test = reflections.expect('knock', target.socket, reflector.endpoint, now)
    this.#control = reflections.expect('knock', control.socket, reflector.endpoint, now)
    this.#startedAt = now
    const lastTryMs = TRIES_AT_MS.at(-1) ?? 0
    const waitMs = Math.min(GIVE_UP_MAX_MS, Math.max(GIVE_UP_MIN_MS, lastTryMs + 2 * rttMs))
    this.#endsAt = (now + waitMs) as Instant
  }

  /** Undefined while it goes on. */
  get outcome(): FilterOutcome | undefined {
    return this.#outcome
  }

  deadline(): Deadline | undefined {
    if (this.#outcome !== undefined) return undefined
    const dueMs = TRIES_AT_MS[this.#tries]
    const at = dueMs === undefined ? this.#endsAt : ((this.#startedAt + dueMs) as Instant)
    return { at, reason: 'nat-filter' }
  }

  advance(now: Instant): void {
    if (this.#outcome !== undefined) return
    const answer = this.#test.answer
    if (answer !== undefined) {
      const isFitting =
        this.role === 'unwritten' || answer.fromPort !== this.#reflector.endpoint.port
      this.#end(isFitting ? 'arrived' : 'unserved')
    } else if (now >= this.#endsAt) {
      this.#end(this.#control.answer === undefined ? 'unserved' : 'silent')
    } else {
      while (now >= this.#startedAt + (TRIES_AT_MS[this.#tries] ?? Number.POSITIVE_INFINITY)) {
        this.#try()
      }
    }
  }

  close(): void {
    this.#end('unserved')
  }

  /** Four knocks at most: what a reflector serves at once. */
  #try(): void {
    const isLast = ++this.#tries === TRIES_AT_MS.length
    const { target, control } = this.#options
    const isControlMissing = this.#control.answer === undefined
    if (!isLast || !isControlMissing) {
      this.#knock(this.#test, target.port, this.role === 'written')
    }
    if (this.#tries === 1 || (isLast && isControlMissing)) {
      this.#knock(this.#control, control.port, false)
    }
  }

  #knock(question: Question, port: number, isFromOtherPort: boolean): void {
    const { transaction } = question
    this.#reflector.send({ type: 'knock', transaction, port, isFromOtherPort })
  }

  #end(outcome: FilterOutcome): void {
    this.#outcome ??= outcome
    this.#reflections.close(this.#test)
    this.#reflections.close(this.#control)
  }
}

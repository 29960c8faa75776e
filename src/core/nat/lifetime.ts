import type { Deadline, Instant } from '../io.ts'
import type { Question, Reflections } from './reflections.ts'
import type { Reflector } from './reflector.ts'
import type { ScratchSockets } from './scratch-sockets.ts'

/**
 * How long a mapping outlives silence: on a socket of its own it falls silent for longer and longer, and
 * has a reflector knock each time. What a reflector fails to do, a second one is asked to do too, so
 * that nobody alone makes lifetimes look short; nobody can make them look long.
 */
const START_MS = 5_000
/** transport.md §5.9, of which 240 s is left out: keepalive never waits longer than 120 s. */
const SILENCES_MS: readonly number[] = [30_000, 60_000, 120_000, 180_000]
/** A router that tells streams from questions wants a second datagram out after one in. */
const STREAM_MS = 3_000
const RETRY_MS = 1_000
const TRIES = 2
const AGAIN_MS = 3_600_000
const NOBODY_MS = 60_000

type Stage =
  | { readonly type: 'idle'; readonly at: Instant }
  /** Makes the mapping, or uses it once more. */
  | { readonly type: 'bind'; readonly question: Question; readonly requestsLeft: number }
  | { readonly type: 'silence'; readonly since: Instant; readonly port: number }
  | { readonly type: 'knock'; readonly question: Question; readonly port: number; at: Instant }

interface Run {
  readonly socket: number
  readonly reflector: Reflector
}

export interface LifetimeOptions {
  readonly reflections: Reflections
  readonly scratch: ScratchSockets
  reflectors(): readonly Reflector[]
}

export class Lifetime {
  readonly #options: LifetimeOptions
  #stage: Stage
  #run: Run | undefined
  #knocks = 0
  /** Index of the silence that is tried, and how many reflectors failed in it. */
  #step = 0
  #failures = 0
  #survivedMs: number | undefined
  #learnedMs: number | undefined

  constructor(options: LifetimeOptions, now: Instant) {
    this.#options = options
    this.#stage = { type: 'idle', at: (now + START_MS) as Instant }
  }

  /** A silence that mappings survive; undefined when that is not known. */
  get lifetimeMs(): number | undefined {
    const best = Math.max(this.#survivedMs ?? 0, this.#learnedMs ?? 0)
    return best === 0 ? undefined : best
  }

  /** Our network changed. */
  restart(now: Instant): void {
    this.#end()
    this.#survivedMs = undefined
    this.#learnedMs = undefined
    this.#step = 0
    this.#failures = 0
    this.#stage = { type: 'idle', at: (now + START_MS) as Instant }
  }

  deadline(): Deadline | undefined {
    return { at: this.#dueAt(), reason: 'nat-lifetime' }
  }

  advance(now: Instant): void {
    const stage = this.#stage
    if (stage.type === 'knock' && stage.question.answer !== undefined) return this.#survived(now)
    if (now < this.#dueAt()) return
    switch (stage.type) {
      case 'idle':
        return this.#begin(now)
      case 'bind':
        return this.#bound(stage, now)
      case 'silence':
        return this.#knockAfter(stage, now)
      case 'knock':
        if (this.#knocks >= TRIES) return this.#failed(now)
        return this.#knock(stage, now)
    }
  }

  #dueAt(): Instant {
    const stage = this.#stage
    switch (stage.type) {
      case 'idle':
      case 'knock':
        return stage.at
      case 'bind': {
        const { question, requestsLeft } = stage
        return (question.sentAt + (requestsLeft > 0 ? STREAM_MS : RETRY_MS)) as Instant
      }
      case 'silence':
        return (stage.since + this.#silenceMs()) as Instant
    }
  }

  #silenceMs(): number {
    return SILENCES_MS[this.#step] ?? 0
  }

  #begin(now: Instant): void {
    const reflectors = this.#options.reflectors()
    const reflector = reflectors[this.#failures % Math.max(1, reflectors.length)]
    const socket = reflector && this.#options.scratch.open()
    if (reflector === undefined || socket === undefined) {
      this.#stage = { type: 'idle', at: (now + NOBODY_MS) as Instant }
      return
    }
    this.#run = { socket, reflector }
    this.#bind(this.#run, 1, now)
  }

  #bind({ socket, reflector }: Run, requestsLeft: number, now: Instant): void {
    const question = this.#options.reflections.ask(socket, reflector.endpoint, now)
    this.#stage = { type: 'bind', question, requestsLeft }
  }

  #bound({ question, requestsLeft }: Stage & { type: 'bind' }, now: Instant): void {
    const run = this.#run
    if (run === undefined) return
    const address = question.answer?.address
    if (requestsLeft === 0 && address === undefined && question.tries < TRIES) {
      return this.#options.reflections.send(question, run.socket, now)
    }
    this.#options.reflections.close(question)
    if (requestsLeft > 0) return this.#bind(run, requestsLeft - 1, now)
    if (address === undefined) return this.#failed(now)
    this.#stage = { type: 'silence', since: question.sentAt, port: address.port }
  }

  #knockAfter({ since, port }: Stage & { type: 'silence' }, now: Instant): void {
    const run = this.#run
    if (run === undefined) return
    // The host slept: a mapping that ended in so long a silence says nothing about this one.
    if (now - since > this.#silenceMs() + RETRY_MS) return this.#retryAt(now)
    const question = this.#options.reflections.expect(
      'knock',
      run.socket,
      run.reflector.endpoint,
      now,
    )
    this.#knocks = 0
    this.#knock({ type: 'knock', question, port, at: now }, now)
  }

  #knock(stage: Stage & { type: 'knock' }, now: Instant): void {
    const { question, port } = stage
    this.#knocks++
    this.#stage = { ...stage, at: (now + RETRY_MS) as Instant }
    const { transaction } = question
    this.#run?.reflector.send({ type: 'knock', transaction, port, isFromOtherPort: false })
  }

  #survived(now: Instant): void {
    const run = this.#run
    if (this.#stage.type === 'knock') this.#options.reflections.close(this.#stage.question)
    this.#survivedMs = this.#silenceMs()
    this.#failures = 0
    this.#step++
    if (run === undefined || this.#step >= SILENCES_MS.length) return this.#conclude(now)
    // What came in may not have prolonged the mapping: something has to go out.
    this.#bind(run, 0, now)
  }

  #failed(now: Instant): void {
    this.#failures++
    if (this.#failures >= 2) return this.#conclude(now)
    this.#retryAt(now)
  }

  /** The same silence once more, on a fresh socket. */
  #retryAt(now: Instant): void {
    this.#end()
    this.#stage = { type: 'idle', at: now }
    this.#begin(now)
  }

  #conclude(now: Instant): void {
    this.#end()
    this.#learnedMs = this.#survivedMs
    this.#survivedMs = undefined
    this.#step = 0
    this.#failures = 0
    this.#stage = { type: 'idle', at: (now + AGAIN_MS) as Instant }
  }

  #end(): void {
    const stage = this.#stage
    if (stage.type === 'bind' || stage.type === 'knock') {
      this.#options.reflections.close(stage.question)
    }
    if (this.#run !== undefined) this.#options.scratch.close(this.#run.socket)
    this.#run = undefined
  }
}

import type { Deadline, Instant } from '../io.ts'
import { type Forecast, portAfter } from './foresight.ts'
import { viewsOf } from './judgement.ts'
import { portDistance } from './port-distance.ts'
import type { Question, Reflections } from './reflections.ts'
import type { Reflector } from './reflector.ts'
import type { ScratchSockets } from './scratch-sockets.ts'
import { REFLECTORS_MAX } from './survey-round.ts'

/**
 * Measures where the NAT will put the next mappings: two bursts of Binding requests, each from a fresh
 * socket to several reflectors, tell the step of its counter and how fast others turn it.
 */
const BURST_GAP_MS = 100
const GIVE_UP_MS = 400
/** A second asker joins a measurement that is not older. */
const JOIN_MS = 100
const WAITING_MAX = 64
/** transport.md §5.3: steps of at most 16. */
const STEP_MAX = 16
/** Guess: others who take more than 5,000 ports a second leave nothing to foresee. */
const BETWEEN_BURSTS_MAX = 512

type Done = (forecast: Forecast | undefined, now: Instant) => void

interface Mapping {
  readonly reflector: string
  readonly burst: number
  readonly order: number
  readonly host: string
  readonly port: number
  readonly localPort: number | undefined
  readonly sentAt: Instant
}

interface Asked {
  readonly question: Question
  readonly reflector: string
  readonly burst: number
  readonly order: number
}

interface Measurement {
  readonly startedAt: Instant
  readonly reflectors: readonly Reflector[]
  readonly waiting: Done[]
  readonly asked: Asked[]
  readonly sockets: number[]
}

export interface ForecasterOptions {
  readonly reflections: Reflections
  readonly scratch: ScratchSockets
  reflectors(): readonly Reflector[]
}

export class Forecaster {
  readonly #options: ForecasterOptions
  #measurement: Measurement | undefined
  /** Who asked too late to join: they have the next measurement. */
  #next: Done[] = []

  constructor(options: ForecasterOptions) {
    this.#options = options
  }

  /** `done` is called once, perhaps before this returns. */
  request(now: Instant, done: Done): void {
    const current = this.#measurement
    const queue =
      current !== undefined && now - current.startedAt <= JOIN_MS ? current.waiting : this.#next
    if (queue.length >= WAITING_MAX) return done(undefined, now)
    queue.push(done)
    if (current === undefined) this.#start(now)
  }

  deadline(): Deadline | undefined {
    const current = this.#measurement
    if (current === undefined) return undefined
    const afterMs = current.sockets.length < 2 ? BURST_GAP_MS : GIVE_UP_MS
    return { at: (current.startedAt + afterMs) as Instant, reason: 'nat-forecast' }
  }

  advance(now: Instant): void {
    const current = this.#measurement
    if (current === undefined) return
    const ageMs = now - current.startedAt
    if (current.sockets.length < 2) {
      if (ageMs < BURST_GAP_MS) return
      return this.#burst(current, now) ? undefined : this.#finish(undefined, now)
    }
    const isAnswered = current.asked.every(({ question }) => question.answer !== undefined)
    if (!isAnswered && ageMs < GIVE_UP_MS) return
    this.#finish(foresee(this.#mappings(current)), now)
  }

  /** Our network changed: what is being measured is gone. */
  abort(now: Instant): void {
    this.#next = [...(this.#measurement?.waiting.splice(0) ?? []), ...this.#next]
    const waiting = this.#next
    this.#next = []
    this.#finish(undefined, now)
    for (const done of waiting) done(undefined, now)
  }

  #start(now: Instant): void {
    const waiting = this.#next
    this.#next = []
    const reflectors = this.#options.reflectors().slice(0, REFLECTORS_MAX)
    const current = { startedAt: now, reflectors, waiting, asked: [], sockets: [] }
    this.#measurement = current
    if (reflectors.length < 2 || !this.#burst(current, now)) this.#finish(undefined, now)
  }

  /** False when there is no socket for it. */
  #burst(current: Measurement, now: Instant): boolean {
    const socket = this.#options.scratch.open()
    if (socket === undefined) return false
    const burst = current.sockets.push(socket) - 1
    for (const { peer, endpoint } of current.reflectors) {
      const question = this.#options.reflections.ask(socket, endpoint, now)
      current.asked.push({ question, reflector: peer, burst, order: current.asked.length })
    }
    return true
  }

  #mappings(current: Measurement): readonly Mapping[] {
    return current.asked.flatMap(({ question, reflector, burst, order }) => {
      const address = question.answer?.address
      if (address === undefined) return []
      const localPort = this.#options.scratch.addressOf(question.socket)?.port
      const { host, port } = address
      return { reflector, burst, order, host, port, localPort, sentAt: question.sentAt }
    })
  }

  #finish(forecast: Forecast | undefined, now: Instant): void {
    const current = this.#measurement
    if (current === undefined) return
    this.#measurement = undefined
    for (const { question } of current.asked) this.#options.reflections.close(question)
    for (const socket of current.sockets) this.#options.scratch.close(socket)
    for (const done of current.waiting) done(forecast, now)
    if (this.#next.length > 0 && this.#measurement === undefined) this.#start(now)
  }
}

/** What all, or all but one of three and more reflectors, saw as one counter. */
function foresee(mappings: readonly Mapping[]): Forecast | undefined {
  for (const view of viewsOf(mappings)) {
    const forecast = foreseeIn(view)
    if (forecast !== undefined) return forecast
  }
  return undefined
}

function foreseeIn(view: readonly Mapping[]): Forecast | undefined {
  const first = view[0]
  const last = view.at(-1)
  if (first === undefined || last === undefined || first.burst === last.burst) return undefined
  if (view.some(({ host }) => host !== first.host)) return undefined
  // A NAT that preserves ports counts from each socket's own.
  if (view.every(isPreserved)) return undefined
  const sign = Math.sign(portDistance(first.port, last.port))
  let step = Number.POSITIVE_INFINITY
  for (const [i, mapping] of view.entries()) {
    const before = view[i - 1]
    if (before === undefined) continue
    const advance = sign * portDistance(before.port, mapping.port)
    const orders = mapping.order - before.order
    const isWithinBurst = before.burst === mapping.burst
    const most = orders * STEP_MAX + (isWithinBurst ? 0 : BETWEEN_BURSTS_MAX)
    if (!(advance > 0 && advance <= most)) return undefined
    if (isWithinBurst) step = Math.min(step, advance / orders)
  }
  if (!Number.isFinite(step)) return undefined
  const perMapping = Math.max(1, Math.round(step))
  const steps = Math.abs(portDistance(first.port, last.port)) / perMapping
  const others = Math.max(0, steps - (last.order - first.order))
  const perS = (others * 1_000) / (last.sentAt - first.sentAt)
  const nextPort = portAfter(last.port, sign * perMapping, 1)
  return { host: first.host, nextPort, step: sign * perMapping, perS }
}

function isPreserved({ port, localPort }: Mapping): boolean {
  return localPort !== undefined && port >= localPort && port - localPort < STEP_MAX / 2
}

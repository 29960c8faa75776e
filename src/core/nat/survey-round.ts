import { earlier } from '../deadlines.ts'
import type { Deadline, Instant, LocalAddress } from '../io.ts'
import { FilterProbe, type FilterRole } from './filter-probe.ts'
import { HairpinTest } from './hairpin-test.ts'
import { judgeMapping, type Reflection } from './judgement.ts'
import type { Question, Reflections } from './reflections.ts'
import type { Reflector } from './reflector.ts'
import type { ScratchSockets } from './scratch-sockets.ts'

/**
 * One round of asking: three scratch sockets ask up to four reflectors where they see them, the
 * reflectors knock where the filter may refuse them, and two of the sockets write to each other's
 * external address. Gathers; what it means is judged elsewhere.
 */
export const REFLECTORS_MAX = 4
/** transport.md §5.3. */
const RETRIES_AT_MS: readonly number[] = [250, 500, 1_000]
const GIVE_UP_MS = 1_600
/** What is missing then was lost, the first repetition too: a verdict may do without it. */
const PATIENCE_MS = 500

export interface SurveyRoundOptions {
  /** Each at a host of its own, `REFLECTORS_MAX` at most. */
  readonly reflectors: readonly Reflector[]
  /** Counts rounds: who relies on whom takes turns. */
  readonly number: number
  readonly reflections: Reflections
  readonly scratch: ScratchSockets
  /** Three scratch sockets, closed when the round ends. */
  readonly sockets: readonly [number, number, number]
  /** Whether this reflector has not been asked to knock for long enough that it will. */
  mayKnock(reflector: Reflector): boolean
  isLocal(host: string): boolean
}

interface Asked {
  readonly question: Question
  readonly reflector: Reflector
  readonly order: number
}

export interface FilterResult {
  readonly role: FilterRole
  readonly hasArrived: boolean
}

export class SurveyRound {
  readonly #options: SurveyRoundOptions
  readonly #startedAt: Instant
  readonly #asked: readonly Asked[]
  readonly #probes = new Map<Reflector, FilterProbe | undefined>()
  #hairpin: HairpinTest | undefined
  #hasGivenUp = false
  #isClosed = false

  constructor(options: SurveyRoundOptions, now: Instant) {
    this.#options = options
    this.#startedAt = now
    const { reflectors, reflections } = options
    const [first, second, third] = options.sockets
    const targets: [number, Reflector][] = [
      ...reflectors.map((reflector): [number, Reflector] => [first, reflector]),
      ...this.written().map((reflector): [number, Reflector] => [second, reflector]),
      ...reflectors.slice(-2).map((reflector): [number, Reflector] => [third, reflector]),
    ]
    this.#asked = targets.map(([socket, reflector], order) => {
      const { host, port } = reflector.endpoint
      return { question: reflections.ask(socket, { host, port }, now), reflector, order }
    })
  }

  /** Every answer is here, or is late enough for a verdict without it. */
  isJudgeable(now: Instant): boolean {
    return now >= this.#startedAt + PATIENCE_MS || this.#asked.every(isAnswered)
  }

  get isDone(): boolean {
    const isSettled = this.#hasGivenUp || this.#asked.every(isAnswered)
    if (!isSettled || this.#hairpin?.deadline() !== undefined) return false
    return [...this.#probes.values()].every((probe) => probe?.deadline() === undefined)
  }

  /** What was answered, in the order of asking. */
  reflections(): readonly Reflection[] {
    const { scratch } = this.#options
    return this.#asked.flatMap(({ question, reflector, order }) => {
      const address = question.answer?.address
      if (address === undefined) return []
      const { socket, tries } = question
      return {
        socket,
        reflector: reflector.peer,
        localPort: scratch.addressOf(socket)?.port,
        host: address.host,
        port: address.port,
        order: tries > 1 ? undefined : order,
      }
    })
  }

  /** What was answered to the socket that asked everyone. */
  mappingReflections(): readonly Reflection[] {
    return this.reflections().filter(({ socket }) => socket === this.#options.sockets[0])
  }

  filterResults(): readonly FilterResult[] {
    return [...this.#probes.values()].flatMap((probe) => {
      if (probe?.outcome === undefined || probe.outcome === 'unserved') return []
      return { role: probe.role, hasArrived: probe.outcome === 'arrived' }
    })
  }

  get hairpin(): boolean | undefined {
    return this.#hairpin?.isWorking
  }

  /** Who was asked to knock. */
  knockers(): readonly Reflector[] {
    return [...this.#probes].flatMap(([reflector, probe]) => (probe ? reflector : []))
  }

  /** Who is written to by the socket at which all knock: half, so that others are left that are not. */
  written(): readonly Reflector[] {
    const { reflectors } = this.#options
    return reflectors.slice(0, reflectors.length > 2 ? 2 : 1)
  }

  advance(now: Instant): void {
    if (this.#isClosed) return
    this.#hasGivenUp = now >= this.#startedAt + GIVE_UP_MS
    for (const asked of this.#asked) this.#retry(asked, now)
    for (const [index, reflector] of this.#options.reflectors.entries()) {
      this.#startProbe(reflector, index, now)
    }
    for (const probe of this.#probes.values()) probe?.advance(now)
    this.#settleFilter()
    this.#startHairpin(now)
    this.#hairpin?.advance(now)
  }

  deadline(): Deadline | undefined {
    if (this.#isClosed) return undefined
    let first = this.#hairpin?.deadline()
    for (const probe of this.#probes.values()) first = earlier(first, probe?.deadline())
    for (const asked of this.#asked) first = earlier(first, this.#retryDeadline(asked))
    return first
  }

  close(): void {
    this.#isClosed = true
    const { reflections, scratch, sockets } = this.#options
    for (const { question } of this.#asked) reflections.close(question)
    for (const probe of this.#probes.values()) probe?.close()
    this.#hairpin?.close()
    for (const socket of sockets) scratch.close(socket)
  }

  #retry(asked: Asked, now: Instant): void {
    const deadline = this.#retryDeadline(asked)
    if (deadline === undefined || deadline.at > now) return
    const { question } = asked
    if (question.tries <= RETRIES_AT_MS.length) {
      this.#options.reflections.send(question, question.socket, now)
    }
  }

  #retryDeadline({ question }: Asked): Deadline | undefined {
    if (question.answer !== undefined || this.#hasGivenUp) return undefined
    const afterMs = RETRIES_AT_MS[question.tries - 1] ?? GIVE_UP_MS
    return { at: (this.#startedAt + afterMs) as Instant, reason: 'nat-survey' }
  }

  #startProbe(reflector: Reflector, index: number, now: Instant): void {
    const { reflectors, reflections, sockets } = this.#options
    if (reflectors.length < 2 || this.#probes.has(reflector)) return
    const isWritten = this.written().includes(reflector)
    const control = this.#answerOf(sockets[0], reflector)
    if (control === undefined) return
    const { host } = control.address
    const target = isWritten
      ? this.#answerOf(sockets[1], reflector)
      : this.#targetOfUnwritten(index, host, now)
    if (target === undefined) return
    // Who knocks sees us at one host: it would miss a mapping at another.
    if (host !== target.address.host || !this.#options.mayKnock(reflector)) {
      this.#probes.set(reflector, undefined)
      return
    }
    const options = {
      role: isWritten ? ('written' as const) : ('unwritten' as const),
      reflector,
      reflections,
      target: { socket: sockets[1], port: target.address.port },
      control: { socket: sockets[0], port: control.address.port },
      rttMs: Math.max(control.rttMs, target.rttMs),
    }
    this.#probes.set(reflector, new FilterProbe(options, now))
  }

  #isDependent(): boolean {
    return judgeMapping(this.mappingReflections(), false).mapping === 'endpoint-dependent'
  }

  /** Each relies on another's word for where our socket is, so that one liar misleads one. */
  #targetOfUnwritten(index: number, host: string, now: Instant) {
    const written = this.written()
    const turn = (index + this.#options.number) % written.length
    const words = [...written.slice(turn), ...written.slice(0, turn)].map((reflector) =>
      this.#answerOf(this.#options.sockets[1], reflector),
    )
    const [own] = words
    if (own === undefined || own.address.host === host) return own
    const mayCome = now < this.#startedAt + PATIENCE_MS && words.includes(undefined)
    return mayCome ? undefined : (words.find((word) => word?.address.host === host) ?? own)
  }

  #answerOf(socket: number, reflector: Reflector) {
    const asked = this.#asked.find(
      (each) => each.question.socket === socket && each.reflector === reflector,
    )
    const answer = asked?.question.answer
    if (asked === undefined || answer?.address === undefined) return undefined
    return { address: answer.address, rttMs: answer.at - asked.question.sentAt }
  }

  /** Once a stranger got through, nothing more is to be learned. */
  #settleFilter(): void {
    const probes = [...this.#probes.values()]
    const isOpen = probes.some((probe) => {
      return probe?.role === 'unwritten' && probe.outcome === 'arrived'
    })
    if (!isOpen) return
    for (const probe of probes) probe?.close()
    for (const reflector of this.#options.reflectors) {
      if (!this.#probes.has(reflector)) this.#probes.set(reflector, undefined)
    }
  }

  /**
   * Only towards a host that two reflectors call ours: nobody may have us write to a third party
   * because it calls that our address.
   */
  #startHairpin(now: Instant): void {
    if (this.#hairpin !== undefined || !this.isJudgeable(now)) return
    const { sockets, reflections, isLocal } = this.#options
    const all = this.reflections()
    const host = all.find(({ host, reflector }) =>
      all.some((other) => other.host === host && other.reflector !== reflector),
    )?.host
    if (host === undefined || isLocal(host)) return
    const [a, b] = sockets.flatMap((socket) => {
      const external = this.#externalOf(socket, host)
      return external === undefined ? [] : { socket, external }
    })
    if (a === undefined || b === undefined) return
    this.#hairpin = new HairpinTest(reflections, [a, b], now)
  }

  /** The address at `host` at which most see the socket; any, when each sees another. */
  #externalOf(socket: number, host: string): LocalAddress | undefined {
    const ports = this.reflections()
      .filter((each) => each.socket === socket && each.host === host)
      .map((each) => each.port)
    const count = (port: number | undefined) => ports.filter((other) => other === port).length
    const [port, rival] = [...new Set(ports)].sort((x, y) => count(y) - count(x))
    if (port === undefined) return undefined
    const isTie = rival !== undefined && count(rival) === count(port)
    return isTie && !this.#isDependent() ? undefined : { host, port }
  }
}

function isAnswered({ question }: Asked): boolean {
  return question.answer !== undefined
}

import type { Deadline, Instant, LocalAddress, PeerId } from '../io.ts'
import type { Question, Reflections } from './reflections.ts'
import type { Reflector } from './reflector.ts'

/**
 * Where reflectors see one of our sockets: asks some of them at once, again those that are silent, and
 * tells what they said. It does not decide who is believed.
 */
export interface Sighting {
  readonly reporter: PeerId
  readonly reporterHost: string
  readonly address: LocalAddress
}

export interface WhereaboutsOptions {
  readonly reflections: Reflections
  reflectors(): readonly Reflector[]
}

type Done = (sightings: readonly Sighting[], now: Instant) => void

interface Look {
  readonly socket: number
  readonly asked: readonly { readonly reflector: Reflector; readonly question: Question }[]
  readonly done: Done
}

/** RFC 8489 §6.2.1 begins with 500 ms; neighbours are nearer than servers. */
const REPEAT_MS = 250
const TRIES = 4
/** With three questions each, far from the most that may be open. */
const LOOKS_MAX = 4

export class Whereabouts {
  readonly #options: WhereaboutsOptions
  #looks: readonly Look[] = []

  constructor(options: WhereaboutsOptions) {
    this.#options = options
  }

  /** `done` is called once: with nothing, perhaps before this returns, when nobody answers. */
  look(socket: number, reflectorsMax: number, now: Instant, done: Done): void {
    const reflectors = this.#options.reflectors().slice(0, reflectorsMax)
    if (this.#looks.length >= LOOKS_MAX || reflectors.length === 0) return done([], now)
    const asked = reflectors.map((reflector) => {
      const question = this.#options.reflections.ask(socket, reflector.endpoint, now)
      return { reflector, question }
    })
    this.#looks = [...this.#looks, { socket, asked, done }]
  }

  deadline(): Deadline | undefined {
    let at = Number.POSITIVE_INFINITY
    for (const { asked } of this.#looks)
      for (const { question } of asked)
        if (question.answer === undefined) at = Math.min(at, question.sentAt + REPEAT_MS)
    return Number.isFinite(at) ? { at: at as Instant, reason: 'nat-whereabouts' } : undefined
  }

  advance(now: Instant): void {
    for (const look of this.#looks) if (this.#isOver(look, now)) this.#finish(look, now)
  }

  /** Our network changed: what was asked is of no use. */
  abort(now: Instant): void {
    for (const look of this.#looks) this.#finish(look, now)
  }

  #isOver({ socket, asked }: Look, now: Instant): boolean {
    let isOver = true
    for (const { question } of asked) {
      if (question.answer !== undefined) continue
      const isDue = now >= question.sentAt + REPEAT_MS
      if (isDue && question.tries < TRIES) this.#options.reflections.send(question, socket, now)
      if (!isDue || now < question.sentAt + REPEAT_MS) isOver = false
    }
    return isOver
  }

  #finish(look: Look, now: Instant): void {
    this.#looks = this.#looks.filter((other) => other !== look)
    const sightings: Sighting[] = []
    for (const { reflector, question } of look.asked) {
      this.#options.reflections.close(question)
      const address = question.answer?.address
      if (address === undefined) continue
      const { peer, endpoint } = reflector
      sightings.push({ reporter: peer, reporterHost: endpoint.host, address })
    }
    look.done(sightings, now)
  }
}

/** What most of them saw; undefined when fewer than two of several agree. */
export function agreedAddress(sightings: readonly Sighting[]): LocalAddress | undefined {
  const quorum = Math.min(2, sightings.length)
  let best: LocalAddress | undefined
  let bestVotes = quorum - 1
  for (const { address } of sightings) {
    const isSame = (other: Sighting) =>
      other.address.host === address.host && other.address.port === address.port
    const votes = sightings.filter(isSame).length
    if (votes <= bestVotes) continue
    best = address
    bestVotes = votes
  }
  return best
}

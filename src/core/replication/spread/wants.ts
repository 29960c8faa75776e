import { BoundedMap } from '../../collections/bounded-map.ts'
import { TimerQueue } from '../../collections/timer-queue.ts'
import type { Deadline, Instant, PeerId } from '../../io.ts'

/**
 * Packets that we heard of and do not have: whom to ask for each, when, and whom next. Decides only
 * that; who sends the questions is the spread.
 */

/** Guess: thirty packets a second of a slow minute. The oldest is forgotten; reconciling finds it. */
export const WANTED_MAX = 8192
/** Of one packet. */
export const HOLDERS_MAX = 8
/** A pushed copy may be just behind its announcement, and who tells a little later may be nearer (research). */
const FIRST_WAIT_MS = 10
/** Beyond a trip to who is asked and a quarter. Guess: what a busy remote takes. */
const NEXT_WAIT_MS = 20
const TRIPS = 1.25
/** How often all holders are gone through. A lost session's answer comes late. */
const ROUNDS = 2

interface Wanted {
  readonly holders: PeerId[]
  asked: number
}

export interface Question {
  readonly peer: PeerId
  readonly short: string
}

export class Wants {
  readonly #wanted = new BoundedMap<string, Wanted>(WANTED_MAX)
  readonly #timers = new TimerQueue<string>()

  get size(): number {
    return this.#wanted.size
  }

  has(short: string): boolean {
    return this.#wanted.has(short)
  }

  /** `peer` says it has it. */
  heard(short: string, peer: PeerId, now: Instant, waitMs = FIRST_WAIT_MS): void {
    const wanted = this.#wanted.get(short)
    if (wanted !== undefined) {
      if (wanted.holders.length < HOLDERS_MAX && !wanted.holders.includes(peer))
        wanted.holders.push(peer)
      return
    }
    const dropped = this.#wanted.set(short, { holders: [peer], asked: 0 })
    if (dropped !== undefined) this.#timers.clear(dropped.key)
    this.#timers.set(short, now + waitMs, 'want')
  }

  /** Asked for later, without counting this time. */
  postpone(short: string, at: number): void {
    const wanted = this.#wanted.get(short)
    if (wanted === undefined) return
    wanted.asked--
    this.#timers.set(short, at, 'want later')
  }

  /** It came, or nobody should look for it any more. */
  settle(short: string): void {
    if (this.#wanted.delete(short)) this.#timers.clear(short)
  }

  /** Whoever was asked does not have it: the next one is asked at once. */
  lacked(short: string, peer: PeerId, now: Instant): void {
    const wanted = this.#wanted.get(short)
    if (wanted === undefined || !wanted.holders.includes(peer)) return
    if (wanted.asked > 0) this.#timers.set(short, now, 'want')
  }

  deadline(): Deadline | undefined {
    const first = this.#timers.earliest()
    return first && { at: first.at as Instant, reason: first.reason }
  }

  /** Whom to ask now. `rttMs` undefined: there is no session with that peer. */
  due(now: Instant, rttMs: (peer: PeerId) => number | undefined): Question[] {
    const questions: Question[] = []
    for (;;) {
      const short = this.#timers.takeDue(now)
      if (short === undefined) return questions
      const wanted = this.#wanted.get(short)
      if (wanted === undefined) continue
      const question = this.#next(short, wanted, now, rttMs)
      if (question !== undefined) questions.push(question)
      else this.#wanted.delete(short)
    }
  }

  #next(
    short: string,
    wanted: Wanted,
    now: Instant,
    rttMs: (peer: PeerId) => number | undefined,
  ): Question | undefined {
    const { holders } = wanted
    while (wanted.asked < ROUNDS * holders.length) {
      nearestFirst(holders, wanted.asked % holders.length, rttMs)
      const peer = holders[wanted.asked++ % holders.length]
      const tripMs = peer === undefined ? undefined : rttMs(peer)
      if (peer === undefined || tripMs === undefined) continue
      this.#timers.set(short, now + NEXT_WAIT_MS + TRIPS * tripMs, 'want again')
      return { peer, short }
    }
    return undefined
  }
}

/** Of those that this round has not asked, from `start` on, the nearest comes to the front. */
function nearestFirst(
  holders: PeerId[],
  start: number,
  rttMs: (peer: PeerId) => number | undefined,
): void {
  const tripMs = (peer: PeerId) => rttMs(peer) ?? Number.MAX_SAFE_INTEGER
  const rest = holders.splice(start).sort((a, b) => tripMs(a) - tripMs(b))
  holders.push(...rest)
}

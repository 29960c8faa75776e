import type { Random } from '../crypto.ts'
import type { Instant, PeerId } from '../io.ts'
import { FairBudget } from './fair-budget.ts'
import { type IdPoint, pointOf } from './id-space.ts'
import type { LivePeers } from './live-peers.ts'
import { encodeOverlayMessage } from './messages.ts'
import { GOAL_PEERS, LEAF_PEERS } from './neighbour-choice.ts'

/**
 * Places whose nearest peers we look for, our own id first: it asks whoever is nearest whom it knows
 * still nearer, and again when one of those is met. It does not decide who is dialled.
 */
export const GOALS_MAX = 64
/** Asked for again at each turn, so that all get theirs. */
const GOALS_PER_TURN = 8
/** An answer of 16 ids. */
const ANSWER_BYTES = 513
/** Guess: every goal of a peer that comes, and a few steps towards it. */
const ANSWERS = {
  totalPerSecond: 64 * ANSWER_BYTES,
  totalBurst: 512 * ANSWER_BYTES,
  sourcePerSecond: ANSWER_BYTES,
  sourceBurst: 2 * GOALS_MAX * ANSWER_BYTES,
}

interface Asked {
  readonly peer: PeerId
  sendMessage(payload: Uint8Array): number
}

interface Goal {
  readonly place: string
  readonly point: IdPoint
}

export class Goals {
  readonly #self: PeerId
  readonly #random: Random
  readonly #live: LivePeers
  readonly #sessionOf: (peer: PeerId) => Asked | undefined
  readonly #isReached: (goal: IdPoint) => boolean
  readonly #answers = new FairBudget(ANSWERS, 0)
  #goals: readonly Goal[] = []
  #next = 0

  constructor(options: {
    self: PeerId
    random: Random
    live: LivePeers
    sessionOf: (peer: PeerId) => Asked | undefined
    isReached: (goal: IdPoint) => boolean
  }) {
    this.#self = options.self
    this.#random = options.random
    this.#live = options.live
    this.#sessionOf = options.sessionOf
    this.#isReached = options.isReached
  }

  /** Their points, if they are others than before. Whoever is nearest to a new one is asked at once. */
  set(locations: readonly string[]): readonly IdPoint[] | undefined {
    const places = locations.slice(0, GOALS_MAX)
    const before = new Set(this.#goals.map(({ place }) => place))
    if (places.length === before.size && places.every((place) => before.has(place)))
      return undefined
    this.#goals = places.map((place) => ({ place, point: pointOf(place) }))
    for (const goal of this.#goals) if (!before.has(goal.place)) this.#askNearest(goal)
    return this.#goals.map(({ point }) => point)
  }

  /** Nearer than those that were met before: it may know who is nearer still. */
  sessionUp(session: Asked): void {
    for (const { place, point } of this.#goals) {
      if (this.#isReached(point)) continue
      const isNear = this.#live.near(point, GOAL_PEERS).some(({ peer }) => peer === session.peer)
      if (isNear) ask(session, place)
    }
  }

  /** Asks again, one of those near us and for some of the goals. */
  ask(): void {
    const near = this.#live.nearest.slice(0, LEAF_PEERS)
    const drawn = near[(this.#random.bytes(1)[0] ?? 0) % Math.max(1, near.length)]
    const session = drawn && this.#sessionOf(drawn.peer)
    if (session !== undefined) ask(session, this.#self)
    for (let i = 0; i < Math.min(GOALS_PER_TURN, this.#goals.length); i++) {
      const goal = this.#goals[this.#next++ % this.#goals.length]
      if (goal !== undefined) this.#askNearest(goal)
    }
  }

  mayAnswer(peer: PeerId, now: Instant): boolean {
    return this.#answers.take(peer, ANSWER_BYTES, now)
  }

  #askNearest({ place, point }: Goal): void {
    if (this.#isReached(point)) return
    const [nearest] = this.#live.near(point, 1)
    const session = nearest && this.#sessionOf(nearest.peer)
    if (session !== undefined) ask(session, place)
  }
}

function ask(session: Asked, place: string): void {
  session.sendMessage(encodeOverlayMessage({ type: 'near', place }))
}

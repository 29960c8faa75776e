import type { Random } from '../crypto.ts'
import type { Instant, PeerId } from '../io.ts'
import { commonBits, type IdPoint, POINT_BITS } from './id-space.ts'
import type { KnownPeer, KnownPeers } from './known-peers.ts'
import { type LivePeer, type LivePeers, nearestOf } from './live-peers.ts'

/**
 * Whom to have sessions with when the network is more than everyone can know: the nearest to our own id,
 * some of every distance bucket, a few at random, and the nearest to each goal. It decides who is
 * wanted; when they are dialled and when the others are let go is for `neighbours.ts`.
 */
export interface ChoiceHost {
  /** There is no session with it, and a way to it. */
  canDial(known: KnownPeer): boolean
  /** Leading bits that a place's custodians share with it. */
  bitsAt(place: IdPoint): number
}

/** A custodian's neighbourhood of 20 (placement.ts), and a few that may be about to leave. */
export const LEAF_PEERS = 20
/** Guess: one to route by, and one in reserve. */
export const BUCKET_PEERS = 2
/** Guess: what is spread to so many random peers by everyone reaches everyone. */
export const RANDOM_PEERS = 8
/** As many come from others who drew us. */
const RANDOM_DIALLED = 4
/** Guess: for a goal, so that it is reached although one of them leaves. */
export const GOAL_PEERS = 3
/** With fewer sessions, those that let us go are dialled all the same. */
export const LONELY_MAX = 4
/** A peer that did not answer so often is no candidate. */
export const TRIES_MAX = 4
/** What one neighbour made up fills no more than so many places of the nearest. */
const LEAF_PER_TELLER_MAX = 12
const WANTED_MAX = 2 * LEAF_PEERS
/** Draws for each random place: most of what is known may be met already. */
const DRAWS = 4

export class NeighbourChoice {
  readonly #known: KnownPeers
  readonly #live: LivePeers
  readonly #random: Random
  readonly #host: ChoiceHost
  /** Picked at random or for a bucket, and neither met nor failed yet. */
  #picked: KnownPeer[] = []
  goals: readonly IdPoint[] = []

  constructor(options: {
    known: KnownPeers
    live: LivePeers
    random: Random
    host: ChoiceHost
  }) {
    this.#known = options.known
    this.#live = options.live
    this.#random = options.random
    this.#host = options.host
  }

  /** Whom to meet: those who are wanted and without a session. */
  wanted(now: Instant): Set<KnownPeer> {
    const wanted = new Set<KnownPeer>()
    const edge = this.#addLeaves(wanted, now)
    this.#addFar(wanted, edge, now)
    for (const goal of this.goals) {
      if (this.isReached(goal)) continue
      const near = nearestOf(this.#goalCandidates(now), goal, GOAL_PEERS)
      for (const known of near) if (!this.#live.has(known.peer)) wanted.add(known)
    }
    return wanted
  }

  /** Enough of its custodians are met. */
  isReached(goal: IdPoint): boolean {
    const near = this.#live.near(goal, GOAL_PEERS)
    const bits = this.#host.bitsAt(goal)
    return near.length === GOAL_PEERS && near.every(({ point }) => commonBits(point, goal) >= bits)
  }

  /** Of those we have sessions with, whom we would not let go. */
  kept(): Set<PeerId> {
    const { nearest } = this.#live
    const kept = new Set<PeerId>()
    const perBucket = new Map<number, number>()
    for (const { peer } of nearest.slice(0, LEAF_PEERS)) kept.add(peer)
    const far = nearest.slice(LEAF_PEERS).sort((a, b) => a.order - b.order)
    const rest: LivePeer[] = []
    for (const live of far) {
      const before = perBucket.get(live.bits) ?? 0
      perBucket.set(live.bits, before + 1)
      if (before < BUCKET_PEERS) kept.add(live.peer)
      else rest.push(live)
    }
    for (const { peer } of rest.slice(0, RANDOM_PEERS)) kept.add(peer)
    for (const goal of this.goals) {
      for (const { peer } of this.#live.near(goal, GOAL_PEERS)) kept.add(peer)
    }
    return kept
  }

  /**
   * Returns the distance of the last. One that failed is tried again, but takes nobody's place: it may
   * have left, or never have been.
   */
  #addLeaves(wanted: Set<KnownPeer>, now: Instant): number {
    const ofTeller = new Map<PeerId, number>()
    let leaves = 0
    for (const known of this.#known.nearest) {
      if (leaves >= LEAF_PEERS || wanted.size >= WANTED_MAX) return known.distance
      if (this.#live.has(known.peer)) leaves++
      else if (this.#isCandidate(known, now) && isWithinShare(known, ofTeller)) {
        wanted.add(known)
        if (known.failures === 0) leaves++
      }
    }
    return Number.POSITIVE_INFINITY
  }

  #addFar(wanted: Set<KnownPeer>, edge: number, now: Instant): void {
    const { nearest } = this.#known
    const from = nearest.findIndex(({ distance }) => distance >= edge)
    if (from < 0) return
    this.#picked = this.#picked.filter((known) => {
      const isOpen = !this.#live.has(known.peer) && known.failures === 0
      return isOpen && known.distance >= edge && this.#isCandidate(known, now)
    })
    const counts = new Array<number>(POINT_BITS + 1).fill(0)
    let far = this.#picked.length
    for (const live of this.#live.nearest) {
      if (live.distance < edge) continue
      counts[live.bits] = (counts[live.bits] ?? 0) + 1
      far++
    }
    for (const { distance } of this.#picked) {
      const bits = bitsAt(distance)
      counts[bits] = (counts[bits] ?? 0) + 1
    }
    const buckets = bitsAt(nearest[from]?.distance ?? 0)
    for (let bits = 0; bits <= buckets; bits++) {
      if ((counts[bits] ?? 0) > 0) continue
      const [first, end] = this.#bucket(bits, from)
      for (const draw of this.#draws(end > first ? 1 : 0)) {
        if (this.#pick(draw, first, end, now)) far++
      }
    }
    const missing = buckets + 1 + RANDOM_DIALLED - far
    for (const draw of this.#draws(DRAWS * Math.max(0, missing))) {
      if (far > buckets + RANDOM_DIALLED) break
      if (this.#pick(draw, from, nearest.length, now)) far++
    }
    for (const known of this.#picked) wanted.add(known)
  }

  /** Where a bucket's peers lie among the known ones. */
  #bucket(bits: number, from: number): readonly [first: number, end: number] {
    const { nearest } = this.#known
    const first = nearest.findIndex((known, i) => i >= from && bitsAt(known.distance) <= bits)
    if (first < 0) return [0, 0]
    const end = nearest.findIndex((known, i) => i >= first && bitsAt(known.distance) < bits)
    return [first, end < 0 ? nearest.length : end]
  }

  #draws(count: number): readonly number[] {
    if (count === 0) return []
    const bytes = this.#random.bytes(2 * count)
    return Array.from({ length: count }, (_, i) => {
      return ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0)
    })
  }

  /** Of the known from `first` up to `end`, the one that is drawn, if it may be dialled. */
  #pick(draw: number, first: number, end: number, now: Instant): boolean {
    const known = this.#known.nearest[first + (draw % (end - first))]
    if (known === undefined || known.failures > 0 || this.#live.has(known.peer)) return false
    if (this.#picked.includes(known) || !this.#isCandidate(known, now)) return false
    this.#picked.push(known)
    return true
  }

  *#goalCandidates(now: Instant): Generator<KnownPeer> {
    for (const known of this.#known.nearest) {
      const isMet = this.#live.has(known.peer)
      if (isMet || (known.failures === 0 && this.#isCandidate(known, now))) yield known
    }
  }

  #isCandidate(known: KnownPeer, now: Instant): boolean {
    if (known.failures >= TRIES_MAX) return false
    if (known.restUntil > now && this.#live.size >= LONELY_MAX) return false
    return this.#host.canDial(known)
  }
}

function isWithinShare(known: KnownPeer, ofTeller: Map<PeerId, number>): boolean {
  if (known.teller === undefined) return true
  const before = ofTeller.get(known.teller) ?? 0
  ofTeller.set(known.teller, before + 1)
  return before < LEAF_PER_TELLER_MAX
}

/** The bucket of a distance: the leading bits it shares with none. */
function bitsAt(distance: number): number {
  if (distance >= 0x100000000) return Math.clz32(distance / 0x100000000)
  return 32 + Math.clz32(distance)
}

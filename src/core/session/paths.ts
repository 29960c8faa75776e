import type { Random } from '../crypto.ts'
import type { Instant, PathKind, PeerId } from '../io.ts'
import { classifyHost } from '../wire/address.ts'
import { NONCE_BYTES } from '../wire/frames.ts'
import { compare } from './path-choice.ts'
import { isSameRoute, type Route, routeKey } from './route.ts'
import type { SessionPath } from './session-path.ts'

/**
 * The ways one session can take. It decides which are proved, how often they are probed, and which one
 * makes room when there are too many; which proved one carries the data is decided in `steering.ts`.
 * A path is proved by its remote repeating a nonce that was sent there (RFC 9000 §8.2); until it once
 * was, and unless the remote named it, it draws at most three times what came from it.
 */
export const PATHS_MAX = 8
/** Punching needs several probes close together, then patience: transport.md §5.4's schedule, shortened. */
const PROBE_GAPS_MS: readonly number[] = [0, 50, 100, 200, 400, 800, 1500]
/** After the last probe, an answer may still come within this. Guess: above most round trips. */
const VERDICT_MS = 1_500
/** A path that was proved once is remembered so long after it failed. Guess. */
const FAILED_KEEP_MS = 60_000
const CHALLENGES_MAX = 8
const UNPROVED_FACTOR = 3
/** Until then one that spoke unbidden is not pushed out by the next that does: 256 may come at once. */
const UNBIDDEN_GRACE_MS = 1_000
/** A proved path that was heard within this is not pushed out. Guess. */
const FRESH_MS = 10_000

/** Why a path is made: a handshake took it, the remote named it, or a datagram came from it unbidden. */
export type PathClaim = 'agreed' | 'named' | 'heard'

export class Paths {
  readonly #random: Random
  readonly #byKey = new Map<string, SessionPath>()
  #nextNumber = 0
  #active: SessionPath | undefined

  constructor(random: Random) {
    this.#random = random
  }

  get active(): SessionPath | undefined {
    return this.#active
  }

  get all(): IterableIterator<SessionPath> {
    return this.#byKey.values()
  }

  find(route: Route): SessionPath | undefined {
    const active = this.#active
    if (active !== undefined && isSameRoute(active.route, route)) return active
    return this.#byKey.get(routeKey(route))
  }

  byNumber(number: number): SessionPath | undefined {
    if (this.#active?.number === number) return this.#active
    for (const path of this.#byKey.values()) if (path.number === number) return path
    return undefined
  }

  /** Whether there is room for another, or one that may be removed to make it. */
  roomFor(
    claim: PathClaim,
    now: Instant,
  ): { readonly evicted: SessionPath | undefined } | undefined {
    if (this.#byKey.size < PATHS_MAX) return { evicted: undefined }
    const evicted = this.#leastWorth(claim, now)
    return evicted && { evicted }
  }

  /** Adds a path, for which there must be room, and probes it at once. */
  add(route: Route, claim: PathClaim, now: Instant): SessionPath {
    const path: SessionPath = {
      number: this.#nextNumber++,
      route,
      kind: kindOf(route),
      madeAt: now,
      isInvited: claim !== 'heard',
      isProved: false,
      provedAt: undefined,
      rttMs: undefined,
      lastReceivedAt: now,
      receivedBytes: 0,
      sentBytes: 0,
      challenges: [],
      probesLeft: 0,
      dueAt: undefined,
      isRetired: false,
      checkedAt: now,
      unanswered: 0,
      activatedAt: now,
      deaths: 0,
    }
    this.#byKey.set(routeKey(route), path)
    this.startProbing(path, now)
    return path
  }

  remove(path: SessionPath): void {
    this.#byKey.delete(routeKey(path.route))
    if (this.#active === path) this.#active = undefined
  }

  activate(path: SessionPath, now: Instant): void {
    this.#active = path
    path.activatedAt = now
  }

  /** Whether `bytes` more may go to a path whose remote never proved that it is there. */
  mayCarry(path: SessionPath, bytes: number): boolean {
    if (path.isInvited || path.provedAt !== undefined) return true
    return path.sentBytes + bytes <= UNPROVED_FACTOR * path.receivedBytes
  }

  /** Begins a run of probes, whether the path is proved or not. */
  startProbing(path: SessionPath, at: Instant): void {
    path.probesLeft = PROBE_GAPS_MS.length
    path.dueAt = at
  }

  prove(path: SessionPath, now: Instant): void {
    if (!path.isProved) path.provedAt = now
    path.isProved = true
    path.probesLeft = 0
    path.dueAt = undefined
    path.challenges = []
    path.checkedAt = now
    path.unanswered = 0
  }

  /** A nonce of eight fresh bytes that `path` is to repeat. */
  challenge(path: SessionPath, now: Instant): Uint8Array {
    const nonce = this.#random.bytes(NONCE_BYTES)
    path.challenges = [...path.challenges.slice(1 - CHALLENGES_MAX), { nonce, at: now }]
    return nonce
  }

  /** The path that a nonce was sent to, and when. */
  challenged(nonce: Uint8Array): { path: SessionPath; at: Instant } | undefined {
    for (const path of this.#byKey.values()) {
      const challenge = path.challenges.find((sent) => isEqual(sent.nonce, nonce))
      if (challenge !== undefined) return { path, at: challenge.at }
    }
    return undefined
  }

  /** Takes the next step of a run of probes, if one is due. */
  step(path: SessionPath, now: Instant): 'probe' | 'failed' | 'forget' | undefined {
    if (path.dueAt === undefined || now < path.dueAt) return undefined
    if (path.probesLeft > 0) {
      path.probesLeft--
      const hasFailed = !path.isProved && path.provedAt !== undefined
      const lastGapMs = hasFailed ? FAILED_KEEP_MS : VERDICT_MS
      const gapMs = PROBE_GAPS_MS[PROBE_GAPS_MS.length - path.probesLeft] ?? lastGapMs
      path.dueAt = (now + gapMs) as Instant
      return 'probe'
    }
    const isActive = path === this.#active
    if (!path.isProved && !isActive) return 'forget'
    path.dueAt = isActive ? undefined : ((now + FAILED_KEEP_MS) as Instant)
    return 'failed'
  }

  nextDueAt(): Instant | undefined {
    let next: Instant | undefined
    for (const { dueAt } of this.#byKey.values()) {
      if (dueAt !== undefined && (next === undefined || dueAt < next)) next = dueAt
    }
    return next
  }

  /** The best proved path but the active one; of one kind, and not by a certain relay, if given. */
  bestOther(kind?: PathKind, notVia?: PeerId): SessionPath | undefined {
    let best: SessionPath | undefined
    for (const path of this.#byKey.values()) {
      if (!path.isProved || path === this.#active) continue
      if (kind !== undefined && path.kind !== kind) continue
      if (path.route.kind === 'relay' && path.route.via === notVia) continue
      if (best === undefined || compare(path, best) < 0) best = path
    }
    return best
  }

  #leastWorth(claim: PathClaim, now: Instant): SessionPath | undefined {
    const kept = [this.#active, this.bestOther(), this.bestOther('relayed')]
    let least: SessionPath | undefined
    let leastWorth = Number.POSITIVE_INFINITY
    for (const path of this.#byKey.values()) {
      if (kept.includes(path)) continue
      const worth = claim === 'agreed' ? agedWorth(path) : worthOf(path, now)
      if (worth === undefined) continue
      const isStaler = least === undefined || path.lastReceivedAt < least.lastReceivedAt
      if (worth > leastWorth || (worth === leastWorth && !isStaler)) continue
      least = path
      leastWorth = worth
    }
    return least
  }
}

/** Lower goes first; undefined stays. */
function worthOf(path: SessionPath, now: Instant): number | undefined {
  const isFresh = path.isProved
    ? now - path.lastReceivedAt < FRESH_MS
    : !path.isInvited && now - path.madeAt < UNBIDDEN_GRACE_MS
  return isFresh ? undefined : agedWorth(path)
}

function agedWorth(path: SessionPath): number {
  if (path.isProved) return 3
  if (path.probesLeft === 0) return 0
  return path.isInvited ? 1 : 2
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}

function kindOf(route: Route): PathKind {
  if (route.kind === 'relay') return 'relayed'
  const range = classifyHost(route.endpoint.host)
  return range === 'private' || range === 'loopback' || range === 'link-local' ? 'lan' : 'direct'
}

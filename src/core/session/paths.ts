import type { Random } from '../crypto.ts'
import type { Instant, PathKind } from '../io.ts'
import { classifyHost } from '../wire/address.ts'
import { isSameRoute, type Route, routeKey } from './route.ts'

/**
 * The ways one session can take. It decides which routes are proved, how often an unproved one is
 * probed, and which proved one carries the data. A path is proved by its remote repeating a nonce
 * that was sent there (RFC 9000 §8.2); until then it draws at most three times what came from it.
 */
export interface SessionPath {
  readonly number: number
  readonly route: Route
  readonly kind: PathKind
  isProved: boolean
  /** Set while the path is being proved. */
  nonce: Uint8Array | undefined
  probesLeft: number
  nextProbeAt: Instant
  /** Probes are ours to send: the remote named this address inside the session. */
  readonly isInvited: boolean
  receivedBytes: number
  sentBytes: number
  lastReceivedAt: Instant
}

export const PATHS_MAX = 8
/** Punching needs several probes close together, then patience: transport.md §5.4's schedule, shortened. */
const PROBE_GAPS_MS: readonly number[] = [0, 50, 100, 200, 400, 800, 1500]
const UNPROVED_FACTOR = 3
const NONCE_BYTES = 8

const RANK: Readonly<Record<PathKind, number>> = { lan: 0, direct: 1, relayed: 2 }

export class Paths {
  readonly #byKey = new Map<string, SessionPath>()
  #nextNumber = 0
  #active: SessionPath | undefined

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

  /** Returns the path that had to make room, if one had to. */
  add(
    route: Route,
    facts: { isProved: boolean; isInvited: boolean },
    now: Instant,
  ): { path: SessionPath; evicted: SessionPath | undefined } {
    const evicted = this.#byKey.size >= PATHS_MAX ? this.#stalest() : undefined
    if (evicted !== undefined) this.remove(evicted)
    const path: SessionPath = {
      number: this.#nextNumber++,
      route,
      kind: kindOf(route),
      isProved: facts.isProved,
      nonce: undefined,
      probesLeft: facts.isProved ? 0 : PROBE_GAPS_MS.length,
      nextProbeAt: now,
      isInvited: facts.isInvited,
      receivedBytes: 0,
      sentBytes: 0,
      lastReceivedAt: now,
    }
    this.#byKey.set(routeKey(route), path)
    return { path, evicted }
  }

  remove(path: SessionPath): void {
    this.#byKey.delete(routeKey(path.route))
    if (this.#active === path) this.#active = undefined
  }

  activate(path: SessionPath): void {
    this.#active = path
  }

  /** Whether `bytes` more may go to a path whose remote has not proved that it is there. */
  mayCarry(path: SessionPath, bytes: number): boolean {
    if (path.isProved || path.isInvited) return true
    return path.sentBytes + bytes <= UNPROVED_FACTOR * path.receivedBytes
  }

  /** The nonce to challenge `path` with, when a probe is due. */
  probe(path: SessionPath, now: Instant, random: Random): Uint8Array | undefined {
    if (path.isProved || path.probesLeft === 0 || now < path.nextProbeAt) return undefined
    path.nonce ??= random.bytes(NONCE_BYTES)
    path.probesLeft--
    const gap = PROBE_GAPS_MS[PROBE_GAPS_MS.length - path.probesLeft] ?? 0
    path.nextProbeAt = (now + gap) as Instant
    return path.nonce
  }

  nextProbeAt(): Instant | undefined {
    let next: Instant | undefined
    for (const path of this.#byKey.values()) {
      if (path.isProved || path.probesLeft === 0) continue
      if (next === undefined || path.nextProbeAt < next) next = path.nextProbeAt
    }
    return next
  }

  /** The best proved path; among equals the one heard last. */
  best(except?: SessionPath): SessionPath | undefined {
    let best: SessionPath | undefined
    for (const path of this.#byKey.values()) {
      if (!path.isProved || path === except) continue
      if (best === undefined || isBetter(path, best)) best = path
    }
    return best
  }

  #stalest(): SessionPath | undefined {
    let stalest: SessionPath | undefined
    for (const path of this.#byKey.values()) {
      if (path === this.#active) continue
      const isStaler =
        stalest === undefined ||
        (stalest.isProved && !path.isProved) ||
        (stalest.isProved === path.isProved && path.lastReceivedAt < stalest.lastReceivedAt)
      if (isStaler) stalest = path
    }
    return stalest
  }
}

/** Ranks by kind alone: LAN before direct before relayed. */
export function outranks(path: SessionPath, other: SessionPath): boolean {
  return RANK[path.kind] < RANK[other.kind]
}

function isBetter(path: SessionPath, other: SessionPath): boolean {
  const difference = RANK[path.kind] - RANK[other.kind]
  if (difference !== 0) return difference < 0
  return path.lastReceivedAt > other.lastReceivedAt
}

function kindOf(route: Route): PathKind {
  if (route.kind === 'relay') return 'relayed'
  const range = classifyHost(route.endpoint.host)
  return range === 'private' || range === 'loopback' || range === 'link-local' ? 'lan' : 'direct'
}

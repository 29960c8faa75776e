import type { PathKind } from '../io.ts'
import type { SessionPath } from './session-path.ts'

/**
 * Which of two paths is better: LAN before direct before relayed; among equals the faster by a margin,
 * so that noise moves nothing (transport.md §5.9).
 */
const RANK: Readonly<Record<PathKind, number>> = { lan: 0, direct: 1, relayed: 2 }
const MARGIN_MS = 5
const MARGIN_SHARE = 0.1
/** IPv6 has no address translation to keep alive. */
const IPV6_BONUS_MS = 3

/** Better by kind alone. */
export function outranks(path: SessionPath, other: SessionPath): boolean {
  return RANK[path.kind] < RANK[other.kind]
}

/** Whether `path` is so much faster than `active`, whose round trip is `activeMs`, as to be worth a change. */
export function isFaster(path: SessionPath, active: SessionPath, activeMs: number): boolean {
  if (path.kind !== active.kind || path.rttMs === undefined) return false
  const marginMs = Math.max(MARGIN_MS, MARGIN_SHARE * activeMs)
  return path.rttMs - bonusMs(path) + marginMs < activeMs - bonusMs(active)
}

/** Orders by kind, then by round trip as far as known, then by who was heard last. */
export function compare(a: SessionPath, b: SessionPath): number {
  if (a.kind !== b.kind) return RANK[a.kind] - RANK[b.kind]
  const [aMs, bMs] = [costMs(a), costMs(b)]
  return aMs === bMs ? b.lastReceivedAt - a.lastReceivedAt : aMs < bMs ? -1 : 1
}

function costMs(path: SessionPath): number {
  return path.rttMs === undefined ? Number.POSITIVE_INFINITY : path.rttMs - bonusMs(path)
}

function bonusMs({ route }: SessionPath): number {
  return route.kind === 'udp' && route.endpoint.host.includes(':') ? IPV6_BONUS_MS : 0
}

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

/** Better by kind alone, or of a kind with one that is given up. */
export function outranks(path: SessionPath, other: SessionPath): boolean {
  return rankOf(path) < rankOf(other)
}

/** Whether `path` is so much faster than `active`, whose round trip is `activeMs`, as to be worth a change. */
export function isFaster(path: SessionPath, active: SessionPath, activeMs: number): boolean {
  if (path.kind !== active.kind || path.rttMs === undefined) return false
  const marginMs = Math.max(MARGIN_MS, MARGIN_SHARE * activeMs)
  return path.rttMs - bonusMs(path) + marginMs < activeMs - bonusMs(active)
}

/** Orders by kind, then by round trip as far as known, then by who was heard last. */
export function compare(a: SessionPath, b: SessionPath): number {
  const byRank = rankOf(a) - rankOf(b)
  if (byRank !== 0) return byRank
  const [aMs, bMs] = [costMs(a), costMs(b)]
  return aMs === bMs ? b.lastReceivedAt - a.lastReceivedAt : aMs < bMs ? -1 : 1
}

function rankOf({ kind, isRetired }: SessionPath): number {
  return RANK[kind] + (isRetired ? 0.5 : 0)
}

function costMs(path: SessionPath): number {
  return path.rttMs === undefined ? Number.POSITIVE_INFINITY : path.rttMs - bonusMs(path)
}

function bonusMs({ route }: SessionPath): number {
  return route.kind === 'udp' && route.endpoint.host.includes(':') ? IPV6_BONUS_MS : 0
}

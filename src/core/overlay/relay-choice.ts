import type { PathKind, PeerId } from '../io.ts'

/**
 * Which neighbours are asked to relay to a peer. Only our own half of the round trip is known, so the
 * nearest neighbour comes first; the race of the first two at every dial decides by the whole of it.
 */
export interface RelayCandidate {
  readonly peer: PeerId
  readonly path: PathKind
  readonly rttMs: number
  readonly madeAt: number
  /** The app named it. */
  readonly isKept: boolean
}

/** Neighbours remembered for one peer. */
export const RELAYS_MAX = 4
/** transport.md §5.9: differences below it are noise. */
const RTT_STEP_MS = 5

/** Negative when `a` is the better relay: direct, near, named by the app, long known. */
export function compareRelays(a: RelayCandidate, b: RelayCandidate): number {
  const isRelayed = Number(a.path === 'relayed') - Number(b.path === 'relayed')
  if (isRelayed !== 0) return isRelayed
  const steps = Math.floor(a.rttMs / RTT_STEP_MS) - Math.floor(b.rttMs / RTT_STEP_MS)
  return steps !== 0 ? steps : compareTrust(a, b)
}

/**
 * The best of at most `RELAYS_MAX` + 1 that may stay. The most trusted one stays whatever its round
 * trip: near neighbours that come later, and together, cannot take every place.
 */
export function bestRelays(candidates: readonly RelayCandidate[]): RelayCandidate[] {
  const [trusted] = [...candidates].sort(compareTrust)
  if (trusted === undefined) return []
  const others = candidates.filter((candidate) => candidate !== trusted).sort(compareRelays)
  return [...others.slice(0, RELAYS_MAX - 1), trusted].sort(compareRelays)
}

function compareTrust(a: RelayCandidate, b: RelayCandidate): number {
  const isNamed = Number(b.isKept) - Number(a.isKept)
  return isNamed !== 0 ? isNamed : a.madeAt - b.madeAt
}

import type { Instant, PeerId } from '../io.ts'
import type { Session } from '../session/session.ts'

/**
 * Which sessions to let go when there are more than we need: those that nobody needs and nobody used
 * lately, the longest unused first. It decides nothing while a session is anything's way to anyone.
 */
export type SurplusSession = Pick<
  Session,
  'peer' | 'state' | 'route' | 'madeAt' | 'usedAt' | 'owes'
>

/** Guess: above what it takes to meet the others, through whoever came first. */
const IDLE_MS = 10_000
/** When the table is half full, newcomers need the room. */
const CROWD = 512
const CROWD_IDLE_MS = 3_000
/** So many good-byes at a time. */
const BATCH = 64

export function surplusSessions(
  sessions: readonly SurplusSession[],
  limits: {
    readonly kept: ReadonlySet<PeerId>
    readonly excess: number
    isBusy(peer: PeerId): boolean
  },
  now: Instant,
): readonly PeerId[] {
  const idleMs = sessions.length > CROWD ? CROWD_IDLE_MS : IDLE_MS
  const relays = new Set<PeerId>()
  for (const { route } of sessions) if (route?.kind === 'relay') relays.add(route.via)
  const isSurplus = ({ peer, state, madeAt, usedAt, owes }: SurplusSession) =>
    state === 'up' &&
    !owes &&
    now - Math.max(madeAt, usedAt) >= idleMs &&
    !limits.kept.has(peer) &&
    !relays.has(peer) &&
    !limits.isBusy(peer)
  return sessions
    .filter(isSurplus)
    .sort((a, b) => a.usedAt - b.usedAt)
    .slice(0, Math.min(BATCH, limits.excess))
    .map(({ peer }) => peer)
}

import type { Instant, PeerId } from '../io.ts'
import type { Route } from '../session/route.ts'
import type { Session } from '../session/session.ts'

/** What `neighbours.ts` sees of a session, and what it asks of the peer around it. */
export type Neighbour = Pick<
  Session,
  | 'peer'
  | 'state'
  | 'path'
  | 'route'
  | 'rttMs'
  | 'madeAt'
  | 'usedAt'
  | 'owes'
  | 'isLetGo'
  | 'sendMessage'
>

export interface NeighbourHost {
  dial(peer: PeerId | undefined, routes: readonly Route[], now: Instant): void
  isDialing(peer: PeerId): boolean
  sessionOf(peer: PeerId): Neighbour | undefined
  sessions(): Iterable<Neighbour>
  hasIpv6(): boolean
  store(key: string, value: Uint8Array | undefined): void
  /** Ends a session that we do not need any more. */
  letGo(peer: PeerId, now: Instant): void
  /** It shares a subcluster with us. */
  isMember(peer: PeerId): boolean
  /** When we last relayed for it. */
  relayedAt(peer: PeerId): number | undefined
}

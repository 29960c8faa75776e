import type { Instant, PathKind, PeerId } from '../io.ts'
import type { Route } from '../session/route.ts'

/** What a traversal asks of a session, and all that it asks. */
export interface TraversalSession {
  readonly peer: PeerId
  readonly isInitiator: boolean
  readonly state: 'up' | 'lost' | 'down'
  readonly isDormant: boolean
  readonly path: PathKind
  readonly route: Route | undefined
  readonly paths: readonly TraversalPath[]
  readonly rttMs: number
  sendMessage(payload: Uint8Array): unknown
  /** Begins to probe a route, or begins again when probing it failed. */
  tryRoute(route: Route, now: Instant): void
  /** Sends one small sealed datagram along a route, without making a path of it. */
  knock(route: Route, now: Instant): void
  /** Forgets the paths over a socket that is about to close. */
  letGo(socket: number): void
}

export interface TraversalPath {
  readonly route: Route
  readonly isProved: boolean
  readonly lastReceivedAt: Instant
}

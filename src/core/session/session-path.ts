import type { Instant, PathKind } from '../io.ts'
import type { Route } from './route.ts'

/** One way to the remote: what is known of it, and how far it is proved. */
export interface SessionPath {
  readonly number: number
  readonly route: Route
  readonly kind: PathKind
  readonly madeAt: Instant
  /** Probes are ours to send: the remote named this address inside the session, or we chose a relay. */
  isInvited: boolean
  isProved: boolean
  /** When it was last proved, whether it still is or not. */
  provedAt: Instant | undefined
  /** From challenge to response. */
  rttMs: number | undefined
  /** When it was made, until something comes. */
  lastReceivedAt: Instant
  receivedBytes: number
  sentBytes: number
  /** Nonces that are out, oldest first. */
  challenges: readonly { readonly nonce: Uint8Array; readonly at: Instant }[]
  probesLeft: number
  /** When the next probe leaves, or, after the last, when it is judged. */
  dueAt: Instant | undefined
  /** It leaves by a socket that is given up: the last choice of its kind. */
  isRetired: boolean
  /** When it was last challenged as a standby, or answered. */
  checkedAt: Instant
  /** Challenges as a standby since it last answered. */
  unanswered: number
  activatedAt: Instant
  /** How often it was left for silence without a long good time between. */
  deaths: number
}

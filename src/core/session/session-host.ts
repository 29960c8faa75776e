import type { Instant, PathKind, RejectCode } from '../io.ts'
import type { TransportEvent } from '../transport/transport.ts'
import type { Address } from '../wire/address.ts'
import type { SessionFrame } from '../wire/frames.ts'
import type { Route } from './route.ts'
import type { Session } from './session.ts'

/** What a session tells those who hold it, and what it asks of them. */
export type SessionEvent =
  | { readonly type: 'transport'; readonly event: TransportEvent }
  | { readonly type: 'relay'; readonly frame: SessionFrame }
  | { readonly type: 'lost' }
  | { readonly type: 'back' }
  /** A dormant session is about to be used. */
  | { readonly type: 'woke' }
  /** Another path carries the data, or a path was proved or given up. */
  | { readonly type: 'path' }
  /** The remote should have answered by now: look for it by other ways too. */
  | { readonly type: 'silent' }
  /** The path that carried the data ended under traffic, so long after it was proved. */
  | { readonly type: 'pathDied'; readonly ageMs: number; readonly kind: PathKind }
  /** The remote sees us at `address` when we write to it by `route`. */
  | { readonly type: 'observed'; readonly address: Address; readonly route: Route }
  | { readonly type: 'down'; readonly why: 'closed' | 'timeout' }

export interface SessionHost {
  send(route: Route, datagram: Uint8Array): void
  event(session: Session, event: SessionEvent, now: Instant): void
  reject(code: RejectCode, route: Route | undefined): void
  /** The session has something to send: settle it before the input is done with. */
  touch(session: Session): void
}

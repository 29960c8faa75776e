import type { Instant, PeerId, RejectCode } from '../io.ts'
import type { Route } from '../session/route.ts'
import type { Session } from '../session/session.ts'
import { toHex } from '../wire/bytes.ts'
import type { SessionFrame } from '../wire/frames.ts'
import { type Relay, routeThrough } from './relay.ts'

/**
 * What becomes of relay frames: those for others are carried, those for us are a datagram that came by a
 * roundabout way, and refusals end such ways. How much is carried for whom is decided by `relay.ts`.
 */
export interface RelayingHost {
  sessions(): Iterable<Session>
  withPrefix(prefix: string): Session | undefined
  /** A relay does not carry to the peer with this prefix. */
  refused(relay: PeerId, prefix: string, why: RefusalReason, now: Instant): void
  receive(datagram: Uint8Array, route: Route): void
  count(name: 'relayedDatagrams' | 'relayRefusals'): void
  reject(code: RejectCode, route: Route | undefined): void
}

type RefusalReason = Extract<SessionFrame, { type: 'relayRefused' }>['why']

export class Relaying {
  readonly #relay: Relay
  readonly #host: RelayingHost

  constructor(parts: { readonly relay: Relay; readonly host: RelayingHost }) {
    this.#relay = parts.relay
    this.#host = parts.host
  }

  frame(session: Session, frame: SessionFrame, now: Instant): void {
    const { receive, reject, withPrefix, count } = this.#host
    switch (frame.type) {
      case 'relayed': {
        const route = routeThrough(session, frame)
        if (route === undefined) return reject('over-limit', session.route)
        return receive(frame.datagram, route)
      }
      case 'relayRefused':
        return this.#refused(session, toHex(frame.prefix), frame.why, now)
      case 'relay': {
        const { prefix, datagram } = frame
        const fate = this.#relay.carry(session, withPrefix(toHex(prefix)), datagram.slice(), now)
        count(fate === 'carried' ? 'relayedDatagrams' : 'relayRefusals')
        if (fate === 'carried') return
        session.relay({ type: 'relayRefused', prefix: prefix.slice(), why: fate })
      }
    }
  }

  /** Whoever is relayed by this peer has to find another way. */
  gone(peer: PeerId, now: Instant): void {
    for (const session of this.#host.sessions()) session.relayGone(peer, now)
  }

  /** When something was last carried from or to this peer. */
  carriedAt(peer: PeerId): number | undefined {
    return this.#relay.carriedAt(peer)
  }

  #refused(relay: Session, prefix: string, why: RefusalReason, now: Instant): void {
    this.#host.refused(relay.peer, prefix, why, now)
    if (why === 'unknown') this.#host.withPrefix(prefix)?.relayGone(relay.peer, now)
  }
}

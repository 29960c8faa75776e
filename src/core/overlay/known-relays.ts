import type { PathKind, PeerId } from '../io.ts'
import { prefixOf, type Route } from '../session/route.ts'
import type { KnownPeer, KnownPeers } from './known-peers.ts'
import { bestRelays, compareRelays, RELAYS_MAX, type RelayCandidate } from './relay-choice.ts'

/** Which neighbours can relay to whom: who said so, of those whose sessions can carry it. */
export interface RelaySession {
  readonly peer: PeerId
  readonly state: 'up' | 'lost' | 'down'
  readonly path: PathKind
  readonly route: Route | undefined
  readonly rttMs: number
  readonly madeAt: number
}

export class KnownRelays {
  readonly #known: KnownPeers
  readonly #sessionOf: (peer: PeerId) => RelaySession | undefined

  constructor(known: KnownPeers, sessionOf: (peer: PeerId) => RelaySession | undefined) {
    this.#known = known
    this.#sessionOf = sessionOf
  }

  /** A neighbour has a session with the peer. The best of them are remembered. */
  add(known: KnownPeer, via: PeerId): void {
    if (known.via.includes(via)) return
    known.via = [...known.via, via]
    if (known.via.length <= RELAYS_MAX) return
    known.via = bestRelays(this.to(known)).map(({ peer }) => peer)
  }

  /** The neighbours that can relay to a peer at this moment, best first. */
  to(known: KnownPeer): RelayCandidate[] {
    const relays: RelayCandidate[] = []
    for (const via of known.via) {
      const session = this.#sessionOf(via)
      if (session === undefined || !this.#canRelay(session, known.peer)) continue
      const { path, rttMs, madeAt } = session
      relays.push({ peer: via, path, rttMs, madeAt, isKept: this.#known.get(via)?.isKept ?? false })
    }
    return relays.sort(compareRelays)
  }

  /** Two relays in a chain are the most, and the second is not the peer that is looked for. */
  #canRelay(session: RelaySession, target: PeerId): boolean {
    const route = session.route
    if (session.state !== 'up' || route === undefined) return false
    if (route.kind === 'udp') return true
    if (route.isChained === true) return false
    const first = this.#sessionOf(route.via)
    return route.via !== target && first?.state === 'up' && first.path !== 'relayed'
  }
}

export function relayRoute({ peer: via, path }: RelayCandidate, peer: PeerId): Route {
  const route: Route = { kind: 'relay', via, prefix: prefixOf(peer) }
  return path === 'relayed' ? { ...route, isChained: true } : route
}

import assert from 'node:assert/strict'
import { SeededRandom } from '../../sim/random.ts'
import type { Instant, PathKind, PeerId, UnixMs } from '../io.ts'
import { prefixOf, type Route } from '../session/route.ts'
import { decodeOverlayMessage, type OverlayMessage, type TellMessage } from './messages.ts'
import type { Neighbour, NeighbourHost } from './neighbour-host.ts'
import { Neighbours } from './neighbours.ts'

export const SELF = id(500)
export const WALL = 1_790_000_000_000 as UnixMs

export interface FakeSession extends Neighbour {
  state: 'up' | 'lost' | 'down'
  isLetGo: boolean
  owes: boolean
  usedAt: Instant
}

/** What the peer around it does for `Neighbours`, in virtual time and without handshakes. */
export class Host implements NeighbourHost {
  readonly dials: { peer: PeerId | undefined; routes: readonly Route[] }[] = []
  readonly neighbours: Neighbours
  readonly letGone: PeerId[] = []
  readonly members = new Set<PeerId>()
  readonly #sessions = new Map<PeerId, FakeSession>()
  readonly #dialling = new Map<PeerId, Route[]>()
  readonly #messages = new Map<PeerId, OverlayMessage[]>()
  #hosts = 0
  now = 0 as Instant

  constructor(self: PeerId = SELF) {
    this.neighbours = new Neighbours(self, new SeededRandom(1), this)
  }

  up(peer: PeerId, facts: { path?: PathKind; route?: Route; rttMs?: number } = {}): FakeSession {
    const endpoint = {
      kind: 'udp',
      socket: 0,
      host: `198.18.${this.#hosts >> 8}.${this.#hosts++ & 255}`,
      port: 1,
    }
    const session: FakeSession = {
      peer,
      state: 'up',
      path: facts.path ?? 'direct',
      route: facts.route ?? ({ kind: 'udp', endpoint } as Route),
      rttMs: facts.rttMs ?? 20,
      madeAt: (this.now + this.#sessions.size) as Instant,
      usedAt: this.now,
      owes: false,
      isLetGo: false,
      sendMessage: (payload) => this.#note(peer, payload),
    }
    this.#sessions.set(peer, session)
    this.#dialling.delete(peer)
    this.neighbours.sessionUp(session, this.now, WALL)
    return session
  }

  gone(session: FakeSession, shouldRetry = false): void {
    session.state = 'down'
    this.#sessions.delete(session.peer)
    this.neighbours.sessionGone(session, this.now, shouldRetry)
  }

  hear(from: Neighbour, type: TellMessage['type'], peers: readonly PeerId[]): void {
    this.neighbours.message(from, { type, peers }, this.now)
  }

  runTo(at: number): void {
    for (;;) {
      const next = this.neighbours.deadline()
      if (next === undefined || next.at > at) break
      this.now = Math.max(this.now, next.at) as Instant
      this.neighbours.onDeadline(this.now)
    }
    this.now = at as Instant
  }

  routesOf(peer: PeerId): readonly Route[] {
    return this.#dialling.get(peer) ?? []
  }

  told(session: Neighbour): readonly OverlayMessage[] {
    return this.#messages.get(session.peer) ?? []
  }

  dial(peer: PeerId | undefined, routes: readonly Route[]): void {
    const key = peer ?? id(0)
    const under = this.#dialling.get(key)
    if (under === undefined) this.dials.push({ peer, routes })
    const all = under ?? []
    for (const route of routes) {
      if (!all.some((known) => JSON.stringify(known) === JSON.stringify(route))) all.push(route)
    }
    this.#dialling.set(key, all)
  }

  isDialing(peer: PeerId): boolean {
    return this.#dialling.has(peer)
  }

  /** Nobody answered. */
  giveUp(peer: PeerId): void {
    this.#dialling.delete(peer)
    this.neighbours.gaveUp(peer, [], this.now)
  }

  sessionOf(peer: PeerId): Neighbour | undefined {
    return this.#sessions.get(peer)
  }

  sessions(): Iterable<Neighbour> {
    return this.#sessions.values()
  }

  hasIpv6(): boolean {
    return false
  }

  store(): void {}

  letGo(peer: PeerId): void {
    const session = this.#sessions.get(peer)
    assert.ok(session !== undefined)
    session.isLetGo = true
    this.letGone.push(peer)
    this.gone(session, true)
  }

  isMember(peer: PeerId): boolean {
    return this.members.has(peer)
  }

  relayedAt(): undefined {}

  #note(peer: PeerId, payload: Uint8Array): number {
    const message = decodeOverlayMessage(payload)
    assert.ok(typeof message === 'object')
    const messages = this.#messages.get(peer) ?? []
    messages.push(message)
    this.#messages.set(peer, messages)
    return messages.length
  }
}

export function via(relay: PeerId, peer: PeerId): Route {
  return { kind: 'relay', via: relay, prefix: prefixOf(peer) }
}

/** Ids whose first 8 bytes differ, in the order of their numbers. */
export function id(n: number): PeerId {
  return n.toString(16).padStart(16, '0').padEnd(64, '0') as PeerId
}

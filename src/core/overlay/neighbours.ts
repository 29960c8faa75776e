import { TimerQueue } from '../collections/timer-queue.ts'
import { TokenBucket } from '../collections/token-bucket.ts'
import type { Bootstrap } from '../config.ts'
import type { Random } from '../crypto.ts'
import { MALFORMED } from '../errors.ts'
import type {
  Deadline,
  Endpoint,
  Instant,
  LocalAddress,
  PeerId,
  StoredRecord,
  UnixMs,
} from '../io.ts'
import { SOCKET_IPV4, SOCKET_IPV6 } from '../io.ts'
import { prefixOf, type Route } from '../session/route.ts'
import type { Session } from '../session/session.ts'
import { classifyHost, isDialable } from '../wire/address.ts'
import { isSameAddress, type KnownPeer, KnownPeers } from './known-peers.ts'
import {
  encodeCandidates,
  encodePeers,
  type OverlayMessage,
  PEERS_PER_MESSAGE_MAX,
} from './messages.ts'
import {
  decodeRemembered,
  encodeRemembered,
  REMEMBERED_MAX,
  REMEMBERED_PREFIX,
  rememberedKey,
} from './remembered.ts'

/**
 * Whom to have a session with. Below `EVERYONE_MAX` peers the network is simply everyone: each peer
 * tells its neighbours whom else it knows, they dial through it, and then meet directly. It decides
 * whom to dial, when, and by which routes; making keys and proving paths is the session's business.
 *
 * An address is only ever dialled when the app named it, when it worked before, when the datagram
 * that drew the dial came from it, or when its owner named it inside a session (DESIGN §4, rule 2).
 */
export interface NeighbourHost {
  dial(peer: PeerId | undefined, routes: readonly Route[], now: Instant): void
  isDialing(peer: PeerId): boolean
  sessionOf(peer: PeerId): Session | undefined
  sessions(): IterableIterator<Session>
  sessionCount(): number
  /** Our own addresses that a remote may try. */
  candidates(): readonly LocalAddress[]
  hasIpv6(): boolean
  store(key: string, value: Uint8Array | undefined): void
}

/** DESIGN §7: below this the network is simply everyone. */
export const EVERYONE_MAX = 64
/** Dials begun on hearsay stop here; who dials us is welcome up to the session table's own bound. */
const HEARSAY_MAX = 96
/** Several peers learned at once are announced in one message. */
const ANNOUNCE_MS = 50
/** The lower id of a pair dials first; the higher waits, so that most pairs dial once. */
const HIGHER_WAIT_MS = 400
const HEARSAY_JITTER_MS = 30
const RETRY_MIN_MS = 500
const RETRY_MAX_MS = 60_000
/** What the app named is retried oftener: it may be the only way in. */
const KEPT_RETRY_MAX_MS = 5_000
const HEARSAY_TRIES_MAX = 4
/** Guess: eight addresses of every peer of a network of 64, then one every quarter of a second. */
const CANDIDATES_BURST = 512
const CANDIDATES_PER_S = 4
/** Two neighbours are enough to carry a first message. */
const RELAYS_PER_DIAL = 2

export class Neighbours {
  readonly #self: PeerId
  readonly #random: Random
  readonly #host: NeighbourHost
  readonly #known = new KnownPeers()
  readonly #timers = new TimerQueue<string>()
  /** Addresses that remotes named and that we may yet probe. */
  readonly #candidates: TokenBucket
  readonly #anonymous = new Map<string, LocalAddress>()
  readonly #remembered = new Map<PeerId, UnixMs>()
  #unannounced = new Set<PeerId>()

  constructor(self: PeerId, random: Random, host: NeighbourHost, now: Instant) {
    this.#self = self
    this.#random = random
    this.#host = host
    this.#candidates = new TokenBucket(CANDIDATES_PER_S, CANDIDATES_BURST, now)
  }

  /** Peers and addresses that the app named. */
  addBootstrap(bootstrap: Bootstrap, now: Instant): void {
    if (bootstrap.peer === undefined) {
      for (const address of bootstrap.addresses) {
        const key = `@${address.host}|${address.port}`
        this.#anonymous.set(key, address)
        this.#timers.set(key, now, 'bootstrap')
      }
      return
    }
    const known = this.#known.ensure(bootstrap.peer)
    if (known === undefined || bootstrap.peer === this.#self) return
    known.isKept = true
    this.#known.addAddresses(known, bootstrap.addresses)
    this.#retry(known, now, 'bootstrap')
  }

  /** Peers met in an earlier run. Returns how many records could not be read. */
  load(records: readonly StoredRecord[], now: Instant): number {
    let unreadable = 0
    for (const { key, value } of records) {
      const peer = key.slice(REMEMBERED_PREFIX.length) as PeerId
      const remembered = decodeRemembered(value)
      const known = remembered === MALFORMED ? undefined : this.#known.ensure(peer)
      if (remembered === MALFORMED || known === undefined) {
        unreadable++
        continue
      }
      this.#remembered.set(peer, remembered.seenAt)
      known.isKept = true
      this.#known.addAddresses(known, remembered.addresses)
      if (this.#host.sessionOf(peer) === undefined) this.#retry(known, now, 'remembered')
    }
    return unreadable
  }

  sessionUp(session: Session, now: Instant, wall: UnixMs): void {
    const known = this.#known.ensure(session.peer)
    if (known !== undefined) {
      known.failures = 0
      known.retryAt = undefined
    }
    this.#timers.clear(session.peer)
    const others: PeerId[] = []
    for (const other of this.#host.sessions()) {
      if (other !== session && other.state === 'up' && other.path !== 'relayed') {
        others.push(other.peer)
      }
    }
    for (let i = 0; i < others.length; i += PEERS_PER_MESSAGE_MAX) {
      session.sendMessage(encodePeers(others.slice(i, i + PEERS_PER_MESSAGE_MAX)))
    }
    this.sendCandidates(session)
    this.pathChanged(session, now, wall)
  }

  /** A session found, or changed, its way: remember where, and tell the others once it is direct. */
  pathChanged(session: Session, now: Instant, wall: UnixMs): void {
    const route = session.route
    if (route?.kind !== 'udp') return
    const { host, port } = route.endpoint
    const known = this.#known.ensure(session.peer)
    if (known !== undefined) this.#known.addAddresses(known, [{ host, port }])
    if (!this.#unannounced.has(session.peer)) {
      this.#unannounced.add(session.peer)
      if (this.#unannounced.size === 1) this.#timers.set('announce', now + ANNOUNCE_MS, 'announce')
    }
    if (known !== undefined) this.#remember(known, wall)
  }

  sessionGone(session: Session, now: Instant, shouldRetry: boolean): void {
    this.#known.dropVia(session.peer)
    const known = this.#known.get(session.peer)
    if (known !== undefined && shouldRetry) this.#retry(known, now, 'session gone')
  }

  sendCandidates(session: Session): void {
    const addresses = this.#host.candidates()
    if (addresses.length > 0) session.sendMessage(encodeCandidates(addresses))
  }

  message(session: Session, message: OverlayMessage, now: Instant): void {
    if (message.type === 'candidates') return this.#onCandidates(session, message.addresses, now)
    for (const peer of message.peers) this.#onHearsay(peer, session.peer, now)
  }

  /** A relay says that it has no session with the peer. */
  refused(relay: PeerId, prefix: string): void {
    for (const known of this.#known.values()) {
      if (prefixOf(known.peer) === prefix) known.via.delete(relay)
    }
  }

  /** Looks for a peer by every way we know: it should have answered, or the app asks for it. */
  seek(peer: PeerId, now: Instant): void {
    const known = this.#known.ensure(peer)
    if (known !== undefined) this.#host.dial(peer, this.#routesTo(known), now)
  }

  gaveUp(peer: PeerId | undefined, routes: readonly Route[], now: Instant): void {
    if (peer === undefined) {
      const route = routes[0]
      if (route?.kind !== 'udp') return
      const key = `@${route.endpoint.host}|${route.endpoint.port}`
      const address = this.#anonymous.get(key)
      if (address !== undefined) this.#timers.set(key, now + RETRY_MIN_MS, 'bootstrap')
      return
    }
    const known = this.#known.get(peer)
    if (known === undefined) return
    known.failures++
    if (known.isKept || known.failures < HEARSAY_TRIES_MAX) this.#retry(known, now, 'dial again')
  }

  /** An address that the app named turned out to be this peer. */
  identified(route: Route, peer: PeerId): void {
    if (route.kind !== 'udp') return
    const key = `@${route.endpoint.host}|${route.endpoint.port}`
    const address = this.#anonymous.get(key)
    const known = address && this.#known.ensure(peer)
    if (address === undefined || known === undefined) return
    known.isKept = true
    this.#known.addAddresses(known, [address])
  }

  deadline(): Deadline | undefined {
    const next = this.#timers.earliest()
    return next && { at: next.at as Instant, reason: next.reason }
  }

  onDeadline(now: Instant): void {
    for (;;) {
      const key = this.#timers.takeDue(now)
      if (key === undefined) return
      if (key === 'announce') this.#announce()
      else if (key.startsWith('@')) this.#dialAnonymous(key, now)
      else this.#dialKnown(key as PeerId, now)
    }
  }

  /** The network of this host changed: what failed may work, so try at once. */
  networkChanged(now: Instant): void {
    for (const known of this.#known.values()) {
      if (!known.isKept || this.#host.sessionOf(known.peer)?.state === 'up') continue
      known.failures = 0
      this.#retry(known, now, 'network changed')
    }
    for (const key of this.#anonymous.keys()) this.#timers.set(key, now, 'network changed')
  }

  #onHearsay(peer: PeerId, neighbour: PeerId, now: Instant): void {
    if (peer === this.#self) return
    const known = this.#known.ensure(peer)
    if (known === undefined) return
    this.#known.addVia(known, neighbour)
    if (this.#host.sessionOf(peer) !== undefined || this.#host.isDialing(peer)) return
    if (this.#host.sessionCount() >= HEARSAY_MAX) return
    const jitterMs = ((this.#random.bytes(1)[0] ?? 0) / 255) * HEARSAY_JITTER_MS
    const waitMs = this.#self < peer ? 0 : HIGHER_WAIT_MS
    this.#timers.set(peer, now + waitMs + jitterMs, 'hearsay')
  }

  #onCandidates(session: Session, addresses: readonly LocalAddress[], now: Instant): void {
    const isLoopbackNear = this.#host.candidates().some((own) => isLoopback(own))
    const usable = addresses.filter(
      (address) => isDialable(address) && (isLoopbackNear || !isLoopback(address)),
    )
    if (session.path === 'lan') return
    for (const address of usable) {
      const endpoint = this.#endpoint(address)
      if (endpoint === undefined || !this.#candidates.take(1, now)) continue
      session.tryRoute({ kind: 'udp', endpoint }, now)
    }
  }

  #dialAnonymous(key: string, now: Instant): void {
    const address = this.#anonymous.get(key)
    const endpoint = address && this.#endpoint(address)
    if (address === undefined || endpoint === undefined) return
    const isMet = [...this.#host.sessions()].some(
      (session) => session.state === 'up' && this.#isKnownAt(session.peer, address),
    )
    this.#timers.set(key, now + KEPT_RETRY_MAX_MS, 'bootstrap')
    if (!isMet) this.#host.dial(undefined, [{ kind: 'udp', endpoint }], now)
  }

  #isKnownAt(peer: PeerId, address: LocalAddress): boolean {
    const known = this.#known.get(peer)
    return known?.addresses.some((other) => isSameAddress(other, address)) ?? false
  }

  #dialKnown(peer: PeerId, now: Instant): void {
    const known = this.#known.get(peer)
    if (known === undefined || this.#host.sessionOf(peer)?.state === 'up') return
    const routes = this.#routesTo(known)
    if (routes.length > 0) this.#host.dial(peer, routes, now)
    else if (known.isKept) {
      known.failures++
      this.#retry(known, now, 'no route')
    }
  }

  #routesTo(known: KnownPeer): Route[] {
    const routes: Route[] = []
    for (const address of known.addresses) {
      const endpoint = this.#endpoint(address)
      if (endpoint !== undefined) routes.push({ kind: 'udp', endpoint })
    }
    let relays = 0
    for (const via of known.via) {
      const session = this.#host.sessionOf(via)
      if (session?.state !== 'up' || session.path === 'relayed') continue
      routes.push({ kind: 'relay', via, prefix: prefixOf(known.peer) })
      if (++relays === RELAYS_PER_DIAL) break
    }
    return routes
  }

  #endpoint(address: LocalAddress): Endpoint | undefined {
    const isIpv6 = address.host.includes(':')
    if (isIpv6 && !this.#host.hasIpv6()) return undefined
    const socket = isIpv6 ? SOCKET_IPV6 : SOCKET_IPV4
    return { kind: 'udp', socket, host: address.host, port: address.port }
  }

  #retry(known: KnownPeer, now: Instant, reason: string): void {
    const capMs = known.isKept ? KEPT_RETRY_MAX_MS : RETRY_MAX_MS
    const waitMs = known.failures === 0 ? 0 : Math.min(capMs, RETRY_MIN_MS * 2 ** known.failures)
    this.#timers.set(known.peer, now + waitMs, reason)
  }

  #announce(): void {
    const peers = [...this.#unannounced]
    this.#unannounced = new Set()
    for (const session of this.#host.sessions()) {
      if (session.state !== 'up') continue
      const others = peers.filter((peer) => peer !== session.peer)
      for (let i = 0; i < others.length; i += PEERS_PER_MESSAGE_MAX) {
        session.sendMessage(encodePeers(others.slice(i, i + PEERS_PER_MESSAGE_MAX)))
      }
    }
  }

  #remember(known: KnownPeer, wall: UnixMs): void {
    this.#remembered.delete(known.peer)
    this.#remembered.set(known.peer, wall)
    this.#host.store(
      rememberedKey(known.peer),
      encodeRemembered({ seenAt: wall, addresses: known.addresses }),
    )
    if (this.#remembered.size <= REMEMBERED_MAX) return
    const oldest = this.#remembered.keys().next().value
    if (oldest === undefined) return
    this.#remembered.delete(oldest)
    this.#host.store(rememberedKey(oldest), undefined)
  }
}

function isLoopback(address: LocalAddress): boolean {
  return classifyHost(address.host) === 'loopback'
}

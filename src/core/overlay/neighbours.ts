import { TimerQueue } from '../collections/timer-queue.ts'
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
import type { RelayRefusal } from '../wire/frames.ts'
import { isSameAddress, type KnownPeer, KnownPeers } from './known-peers.ts'
import { encodeOverlayMessage, type OverlayMessage, PEERS_PER_MESSAGE_MAX } from './messages.ts'
import { bestRelays, compareRelays, RELAYS_MAX, type RelayCandidate } from './relay-choice.ts'
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
export type Neighbour = Pick<
  Session,
  'peer' | 'state' | 'path' | 'route' | 'rttMs' | 'madeAt' | 'sendMessage'
>

export interface NeighbourHost {
  dial(peer: PeerId | undefined, routes: readonly Route[], now: Instant): void
  isDialing(peer: PeerId): boolean
  sessionOf(peer: PeerId): Neighbour | undefined
  sessions(): Iterable<Neighbour>
  sessionCount(): number
  hasIpv6(): boolean
  store(key: string, value: Uint8Array | undefined): void
}

/** DESIGN §7: below this the network is simply everyone. */
export const EVERYONE_MAX = 64
/** Dials begun on hearsay stop here; who dials us is welcome up to the session table's own bound. */
const HEARSAY_MAX = 96
/** Several peers that came at once are announced in one message. */
const ANNOUNCE_MS = 50
/**
 * Who comes dials; who was there waits this long before it dials too, the higher id of the pair twice
 * as long. Guess: a relayed round trip across the earth.
 */
const SETTLED_WAIT_MS = 400
const SETTLED_JITTER_MS = 30
const RETRY_MIN_MS = 500
const RETRY_MAX_MS = 60_000
/** What the app named is retried oftener: it may be the only way in. */
const KEPT_RETRY_MAX_MS = 5_000
const HEARSAY_TRIES_MAX = 4
/** Half of the handshakes that may be under way, and a network's worth on the word of one neighbour. */
const HEARSAY_DIALS_MAX = 256
const HEARSAY_DIALS_PER_TELLER_MAX = EVERYONE_MAX
const HEARSAY_DIAL_WAIT_MS = 1_000
/** The first answer wins, and so the shorter of two whole round trips. */
const RELAYS_PER_DIAL = 2
/** No answer through the first two by then: through all that are known. Guess: three retries. */
const MORE_RELAYS_MS = 1_000

export class Neighbours {
  readonly #self: PeerId
  readonly #random: Random
  readonly #host: NeighbourHost
  readonly #known: KnownPeers
  readonly #timers = new TimerQueue<string>()
  readonly #anonymous = new Map<string, LocalAddress>()
  readonly #remembered = new Map<PeerId, UnixMs>()
  /** Dials on a neighbour's word, by the peer that is dialled. */
  readonly #hearsayDials = new Map<PeerId, PeerId>()
  readonly #announced = new Set<PeerId>()
  #unannounced = new Set<PeerId>()

  constructor(self: PeerId, random: Random, host: NeighbourHost) {
    this.#self = self
    this.#random = random
    this.#host = host
    this.#known = new KnownPeers((peer) => this.#timers.clear(peer))
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
    known.isNamed = true
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

  sessionUp(session: Neighbour, now: Instant, wall: UnixMs): void {
    const known = this.#known.ensure(session.peer)
    if (known !== undefined) {
      known.failures = 0
      known.dialAt = undefined
    }
    this.#timers.clear(session.peer)
    const others: PeerId[] = []
    for (const other of this.#host.sessions()) {
      if (other !== session && other.state === 'up' && other.path !== 'relayed') {
        others.push(other.peer)
      }
    }
    tell(session, 'peers', others)
    this.pathChanged(session, now, wall)
  }

  /** A session found, or changed, its way: remember it, and tell the others once it is direct. */
  pathChanged(session: Neighbour, now: Instant, wall: UnixMs): void {
    const route = session.route
    const known = this.#known.ensure(session.peer)
    if (known !== undefined && route?.kind === 'relay') this.#addVia(known, route.via)
    if (route?.kind !== 'udp') return
    const { host, port } = route.endpoint
    if (known !== undefined) {
      this.#known.addAddresses(known, [{ host, port }])
      this.#remember(known, wall)
    }
    if (this.#announced.has(session.peer)) return
    this.#announced.add(session.peer)
    this.#unannounced.add(session.peer)
    if (this.#unannounced.size === 1) this.#timers.set('announce', now + ANNOUNCE_MS, 'announce')
  }

  sessionGone(session: Neighbour, now: Instant, shouldRetry: boolean): void {
    this.#announced.delete(session.peer)
    this.#unannounced.delete(session.peer)
    // A lost session may come back, and its remote, which missed nothing, would not tell again.
    if (session.state !== 'lost') this.#known.dropVia(session.peer)
    const known = this.#known.get(session.peer)
    if (known !== undefined && shouldRetry) this.#retry(known, now, 'session gone')
  }

  message(session: Neighbour, message: OverlayMessage, now: Instant): void {
    for (const peer of message.peers) this.#onHearsay(peer, session.peer, message.type, now)
  }

  /** A relay did not pass a datagram on. One whose budget is spent may carry the next. */
  refused(relay: PeerId, prefix: string, why: RelayRefusal, now: Instant): void {
    const known = this.#known.withPrefix(prefix)
    if (known === undefined || why !== 'unknown' || !known.via.delete(relay)) return
    if (this.#host.isDialing(known.peer)) this.#dial(known, RELAYS_PER_DIAL, now)
  }

  /** Whether the app named it, or where it is. */
  isNamed(peer: PeerId): boolean {
    return this.#known.get(peer)?.isNamed === true
  }

  /** Routes to a peer through our neighbours, best first. */
  relaysTo(peer: PeerId): Route[] {
    const known = this.#known.get(peer)
    return known === undefined ? [] : this.#relays(known).map((via) => relayed(via, peer))
  }

  /** Looks for a peer by every way we know: it should have answered, or the app asks for it. */
  seek(peer: PeerId, now: Instant): void {
    const known = this.#known.ensure(peer)
    if (known !== undefined) this.#dial(known, RELAYS_PER_DIAL, now)
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
    known.isNamed = true
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

  #onHearsay(peer: PeerId, teller: PeerId, type: OverlayMessage['type'], now: Instant): void {
    if (peer === this.#self || peer === teller) return
    const known = this.#known.hear(peer, teller)
    if (known === undefined) return
    this.#addVia(known, teller)
    if (this.#host.sessionOf(peer) !== undefined) return
    if (this.#host.isDialing(peer)) {
      if (known.via.size <= RELAYS_PER_DIAL) this.#dial(known, RELAYS_PER_DIAL, now)
      return
    }
    if (!known.isKept && this.#host.sessionCount() >= HEARSAY_MAX) return
    const waitMs = type === 'peers' || known.isKept ? 0 : this.#settledWaitMs(peer)
    if (known.dialAt !== undefined && known.dialAt <= now + waitMs) return
    this.#schedule(known, now + waitMs, 'hearsay')
  }

  #settledWaitMs(peer: PeerId): number {
    const jitterMs = ((this.#random.bytes(1)[0] ?? 0) / 255) * SETTLED_JITTER_MS
    return (this.#self < peer ? SETTLED_WAIT_MS : 2 * SETTLED_WAIT_MS) + jitterMs
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
    if (known === undefined) return
    known.dialAt = undefined
    if (this.#host.sessionOf(peer)?.state === 'up') return
    const isFirst = !this.#host.isDialing(peer)
    if (isFirst && !this.#mayDial(known)) {
      return this.#schedule(known, now + HEARSAY_DIAL_WAIT_MS, 'too many dials')
    }
    const isEasy = isFirst && known.failures === 0
    if (this.#dial(known, isEasy ? RELAYS_PER_DIAL : RELAYS_MAX, now)) {
      if (isFirst) this.#schedule(known, now + MORE_RELAYS_MS, 'more relays')
    } else if (known.isKept) {
      known.failures++
      this.#retry(known, now, 'no route')
    }
  }

  /** False when there is no route. Gives more routes to a dial that is under way. */
  #dial(known: KnownPeer, relaysMax: number, now: Instant): boolean {
    const routes: Route[] = []
    for (const address of known.addresses) {
      const endpoint = this.#endpoint(address)
      if (endpoint !== undefined) routes.push({ kind: 'udp', endpoint })
    }
    const relays = this.#relays(known)
    const direct = relays.filter(({ path }) => path !== 'relayed')
    const chosen = direct.length > 0 ? direct : relays
    for (const via of chosen.slice(0, relaysMax)) routes.push(relayed(via, known.peer))
    if (routes.length > 0) this.#host.dial(known.peer, routes, now)
    return routes.length > 0
  }

  /** Whether one more dial may begin on the word of whoever told of this peer. */
  #mayDial(known: KnownPeer): boolean {
    if (known.teller === undefined) return true
    let ofTeller = 0
    for (const [peer, teller] of this.#hearsayDials) {
      if (!this.#host.isDialing(peer)) this.#hearsayDials.delete(peer)
      else if (teller === known.teller) ofTeller++
    }
    if (this.#hearsayDials.size >= HEARSAY_DIALS_MAX) return false
    if (ofTeller >= HEARSAY_DIALS_PER_TELLER_MAX) return false
    this.#hearsayDials.set(known.peer, known.teller)
    return true
  }

  #addVia(known: KnownPeer, via: PeerId): void {
    known.via.add(via)
    if (known.via.size <= RELAYS_MAX) return
    const best = bestRelays(this.#relays(known))
    known.via.clear()
    for (const { peer } of best) known.via.add(peer)
  }

  /** The neighbours that can relay to a peer at this moment, best first. */
  #relays(known: KnownPeer): RelayCandidate[] {
    const relays: RelayCandidate[] = []
    for (const via of known.via) {
      const session = this.#host.sessionOf(via)
      if (session === undefined || !this.#canRelay(session, known.peer)) continue
      const { path, rttMs, madeAt } = session
      relays.push({ peer: via, path, rttMs, madeAt, isKept: this.#known.get(via)?.isKept ?? false })
    }
    return relays.sort(compareRelays)
  }

  /** Two relays in a chain are the most, and the second is not the peer that is looked for. */
  #canRelay(session: Neighbour, target: PeerId): boolean {
    const route = session.route
    if (session.state !== 'up' || route === undefined) return false
    if (route.kind === 'udp') return true
    if (route.isChained === true) return false
    const first = this.#host.sessionOf(route.via)
    return route.via !== target && first?.state === 'up' && first.path !== 'relayed'
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
    this.#schedule(known, now + waitMs, reason)
  }

  #schedule(known: KnownPeer, at: number, reason: string): void {
    known.dialAt = at
    this.#timers.set(known.peer, at, reason)
  }

  #announce(): void {
    const peers = [...this.#unannounced]
    this.#unannounced = new Set()
    for (const session of this.#host.sessions()) {
      if (session.state !== 'up') continue
      const others = peers.filter((peer) => peer !== session.peer)
      tell(session, 'newcomers', others)
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

function tell(session: Neighbour, type: OverlayMessage['type'], peers: readonly PeerId[]): void {
  for (let i = 0; i < peers.length; i += PEERS_PER_MESSAGE_MAX) {
    const some = peers.slice(i, i + PEERS_PER_MESSAGE_MAX)
    session.sendMessage(encodeOverlayMessage({ type, peers: some }))
  }
}

function relayed({ peer: via, path }: RelayCandidate, peer: PeerId): Route {
  const route: Route = { kind: 'relay', via, prefix: prefixOf(peer) }
  return path === 'relayed' ? { ...route, isChained: true } : route
}

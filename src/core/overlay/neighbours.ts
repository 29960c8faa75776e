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
import type { Route } from '../session/route.ts'
import type { RelayRefusal } from '../wire/frames.ts'
import { SessionLengths } from './churn.ts'
import { DialPace } from './dial-pace.ts'
import { Goals } from './goals.ts'
import { HearsayDials } from './hearsay-dials.ts'
import type { IdPoint } from './id-space.ts'
import { Introductions } from './introductions.ts'
import { type KnownPeer, KnownPeers, removeVia } from './known-peers.ts'
import { KnownRelays, relayRoute } from './known-relays.ts'
import { LivePeers } from './live-peers.ts'
import type { OverlayMessage, TellMessage } from './messages.ts'
import { LONELY_MAX, NeighbourChoice, TRIES_MAX } from './neighbour-choice.ts'
import type { Neighbour, NeighbourHost } from './neighbour-host.ts'
import { NetworkPlacement } from './placement.ts'
import { RELAYS_MAX } from './relay-choice.ts'
import { decodeRemembered, REMEMBERED_PREFIX, RememberedPeers } from './remembered.ts'
import { surplusSessions } from './surplus.ts'

/**
 * Whom to have a session with, when to dial, and by which routes. Up to `EVERYONE_MAX` known peers the
 * network is simply everyone: each peer tells its neighbours whom else it knows, they dial through it,
 * and then meet directly. Beyond, `neighbour-choice.ts` says who is wanted. Making keys and proving paths
 * is the session's business.
 *
 * An address is only ever dialled when the app named it, when it worked before, when the datagram
 * that drew the dial came from it, or when its owner named it inside a session (DESIGN §4, rule 2).
 */
/** DESIGN §7: below this the network is simply everyone. */
export const EVERYONE_MAX = 64
/** Several peers that came at once are announced in one message. */
const ANNOUNCE_MS = 50
/** Whom to dial is chosen once for all that is heard within it. Guess: below a round trip. */
const CHOOSE_MS = 20
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
const HEARSAY_DIAL_WAIT_MS = 1_000
/** The first answer wins, and so the shorter of two whole round trips. */
const RELAYS_PER_DIAL = 2
/** No answer through the first two by then: through all that are known. Guess: three retries. */
const MORE_RELAYS_MS = 1_000
/** Neighbours are asked who is near: soon after we come, then ever more rarely. */
const REFRESH_MIN_MS = 1_000
const REFRESH_MAX_MS = 60_000
/** Guess: who was not heard of again for so long may have left long ago. */
const HEARSAY_KEEP_MS = 1_800_000
const TRIM_MS = 1_000
/** What it relays may go on for as long without a word. */
const RELAY_IDLE_MS = 10_000
/** Guess: who let us go, or was let go, is not asked again before. */
const REST_MS = 600_000

export class Neighbours {
  readonly placement: NetworkPlacement
  readonly #self: PeerId
  readonly #random: Random
  readonly #host: NeighbourHost
  readonly #known: KnownPeers
  readonly #live: LivePeers
  readonly #relays: KnownRelays
  readonly #choice: NeighbourChoice
  readonly #introductions: Introductions
  readonly #goals: Goals
  readonly #lengths = new SessionLengths()
  readonly #timers = new TimerQueue<string>()
  readonly #anonymous = new Map<string, LocalAddress>()
  readonly #remembered: RememberedPeers
  readonly #hearsayDials: HearsayDials
  #isEveryone = true
  /** Beyond everyone: whom we would meet. */
  #wanted: ReadonlySet<KnownPeer> = new Set()
  /** Peers that may be there: met, or heard of and not found missing. */
  #knownLive = 0
  #refreshMs = REFRESH_MIN_MS

  constructor(self: PeerId, random: Random, host: NeighbourHost) {
    this.#self = self
    this.#random = random
    this.#host = host
    const known = new KnownPeers(self, {
      dropped: (peer) => this.#timers.clear(peer),
      isMet: (peer) => this.#live.has(peer),
    })
    const live = new LivePeers(self)
    this.#known = known
    this.#live = live
    this.#relays = new KnownRelays(known, (peer) => host.sessionOf(peer))
    const canDial = ({ peer, addresses, via }: KnownPeer) =>
      (addresses.length > 0 || via.length > 0) && host.sessionOf(peer) === undefined
    this.placement = new NetworkPlacement(live, () => this.#knownLive)
    const bitsAt = (place: IdPoint) => this.placement.bitsAt(place)
    this.#choice = new NeighbourChoice({ known, live, random, host: { canDial, bitsAt } })
    this.#introductions = new Introductions(random, () => host.sessions())
    const sessionOf = (peer: PeerId) => host.sessionOf(peer)
    const isReached = (goal: IdPoint) => this.#choice.isReached(goal)
    this.#goals = new Goals({ self, random, live, sessionOf, isReached })
    this.#remembered = new RememberedPeers((key, value) => host.store(key, value))
    this.#hearsayDials = new HearsayDials((peer) => host.isDialing(peer))
  }

  /** Places whose nearest peers we want sessions with: hex of 32 bytes, `GOALS_MAX` at most. */
  setGoals(locations: readonly string[], now: Instant): void {
    const points = this.#goals.set(locations)
    if (points === undefined) return
    this.#choice.goals = points
    if (!this.#isEveryone) this.#chooseSoon(now)
  }

  /** How long peers stay, on the average, as far as we have seen. */
  meanStayMs(now: Instant): number {
    return this.#lengths.meanMs(now)
  }

  /** Whom we want to stay in touch with; nobody in particular while everyone knows everyone. */
  kept(): ReadonlySet<PeerId> {
    return this.#isEveryone ? new Set() : this.#choice.kept()
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
      this.#remembered.loaded(peer, remembered.seenAt)
      known.isKept = true
      this.#known.addAddresses(known, remembered.addresses)
      if (this.#host.sessionOf(peer) === undefined) this.#retry(known, now, 'remembered')
    }
    return unreadable
  }

  sessionUp(session: Neighbour, now: Instant, wall: UnixMs): void {
    const { peer } = session
    const known = this.#known.ensure(peer)
    if (known !== undefined) {
      known.failures = 0
      known.heardAt = now
      known.restUntil = 0
      known.dialAt = undefined
    }
    this.#timers.clear(peer)
    this.#live.add(peer)
    this.#lengths.began(peer, now)
    this.#introductions.welcome(session)
    this.#goals.sessionUp(session)
    this.pathChanged(session, now, wall)
    this.#changed(now)
    if (this.#live.size > EVERYONE_MAX) this.#setTimer('trim', now + TRIM_MS)
  }

  /** A session found, or changed, its way: remember it, and tell the others once it is direct. */
  pathChanged(session: Neighbour, now: Instant, wall: UnixMs): void {
    const route = session.route
    const known = this.#known.ensure(session.peer)
    if (known !== undefined && route?.kind === 'relay') this.#relays.add(known, route.via)
    if (route?.kind !== 'udp') return
    const { host, port } = route.endpoint
    if (known !== undefined) {
      this.#known.addAddresses(known, [{ host, port }])
      this.#remembered.met(known.peer, known.addresses, wall)
    }
    if (this.#introductions.came(session.peer)) this.#setTimer('announce', now + ANNOUNCE_MS)
  }

  sessionGone(session: Neighbour, now: Instant, shouldRetry: boolean): void {
    const { peer, state, isLetGo } = session
    this.#introductions.left(peer)
    this.#live.delete(peer)
    const hasLeft = state === 'lost' || (shouldRetry && !isLetGo)
    this.#lengths.ended(peer, hasLeft, now)
    // A lost session may come back, and its remote, which missed nothing, would not tell again.
    if (state !== 'lost') this.#known.dropVia(peer)
    const known = this.#known.get(peer)
    if (known === undefined) return
    known.heardAt = now
    if (isLetGo) known.restUntil = now + REST_MS
    else if (shouldRetry && this.#isInsisted(known)) this.#retry(known, now, 'session gone')
    if (this.#isEveryone) return
    if (hasLeft) known.failures = Math.max(1, known.failures)
    this.#chooseSoon(now)
  }

  message(session: Neighbour, message: OverlayMessage, now: Instant): void {
    if (message.type === 'near') {
      if (this.#goals.mayAnswer(session.peer, now)) {
        this.#introductions.answer(session, message.place)
      }
      return
    }
    for (const peer of message.peers) this.#onHearsay(peer, session.peer, message.type, now)
    this.#changed(now)
  }

  /** A relay did not pass a datagram on. One whose budget is spent may carry the next. */
  refused(relay: PeerId, prefix: string, why: RelayRefusal, now: Instant): void {
    const known = this.#known.withPrefix(prefix)
    if (known === undefined || why !== 'unknown' || !removeVia(known, relay)) return
    if (this.#host.isDialing(known.peer)) this.#dial(known, RELAYS_PER_DIAL, now)
  }

  /** Whether the app named it, or where it is. */
  isNamed(peer: PeerId): boolean {
    return this.#known.get(peer)?.isNamed === true
  }

  /** Routes to a peer through our neighbours, best first. */
  relaysTo(peer: PeerId): Route[] {
    const known = this.#known.get(peer)
    return known === undefined ? [] : this.#relays.to(known).map((via) => relayRoute(via, peer))
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
      if (this.#anonymous.has(key)) this.#timers.set(key, now + RETRY_MIN_MS, 'bootstrap')
      return
    }
    const known = this.#known.get(peer)
    if (known !== undefined) this.#failed(known, now)
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
      if (key === 'announce') this.#introductions.announce(this.#isEveryone)
      else if (key === 'choose') this.#choose(now)
      else if (key === 'refresh') this.#refresh(now)
      else if (key === 'trim') this.#trim(now)
      else if (key.startsWith('@')) this.#dialAnonymous(key, now)
      else this.#dialKnown(key as PeerId, now)
    }
  }

  /** The network of this host changed: what failed may work, so try at once. */
  networkChanged(now: Instant): void {
    for (const known of this.#known.values()) {
      if (!this.#isInsisted(known) || this.#live.has(known.peer) || !known.isKept) continue
      known.failures = 0
      this.#retry(known, now, 'network changed')
    }
    for (const key of this.#anonymous.keys()) this.#timers.set(key, now, 'network changed')
  }

  #onHearsay(peer: PeerId, teller: PeerId, type: TellMessage['type'], now: Instant): void {
    if (peer === this.#self || peer === teller) return
    const known = this.#known.hear(peer, teller)
    if (known === undefined) return
    known.heardAt = now
    if (!this.#hasRelays(known)) this.#relays.add(known, teller)
    if (this.#host.sessionOf(peer) !== undefined) return
    if (this.#host.isDialing(peer)) {
      if (known.via.length <= RELAYS_PER_DIAL) this.#dial(known, RELAYS_PER_DIAL, now)
      return
    }
    const waitMs = type === 'peers' || known.isKept ? 0 : this.#settledWaitMs(peer)
    known.waitUntil = now + waitMs
    if (known.dialAt !== undefined && known.dialAt <= known.waitUntil) return
    if (this.#isEveryone || known.dialAt !== undefined) {
      this.#schedule(known, known.waitUntil, 'hearsay')
    }
  }

  /** Beyond everyone any that work will do: to weigh every neighbour's word against the others is dear. */
  #hasRelays({ via }: KnownPeer): boolean {
    return !this.#isEveryone && via.length >= RELAYS_MAX && via.some((one) => this.#live.has(one))
  }

  #settledWaitMs(peer: PeerId): number {
    const jitterMs = ((this.#random.bytes(1)[0] ?? 0) / 255) * SETTLED_JITTER_MS
    return (this.#self < peer ? SETTLED_WAIT_MS : 2 * SETTLED_WAIT_MS) + jitterMs
  }

  /** Others are met or known than before. Beyond everyone they are counted when whom to dial is chosen. */
  #changed(now: Instant): void {
    if (this.#isEveryone) this.#recount(now)
    else this.#chooseSoon(now)
  }

  /** Whether the network is small enough to know everyone. */
  #recount(now: Instant): void {
    let count = 0
    for (const { failures } of this.#known.nearest) if (failures === 0) count++
    this.#knownLive = count
    const isEveryone = count <= EVERYONE_MAX
    if (isEveryone === this.#isEveryone) return
    this.#isEveryone = isEveryone
    this.#refreshMs = REFRESH_MIN_MS
    if (isEveryone) this.#timers.clear('refresh')
    else this.#setTimer('refresh', now + this.#refreshMs)
    this.#chooseSoon(now)
  }

  #chooseSoon(now: Instant): void {
    this.#setTimer('choose', now + CHOOSE_MS)
  }

  #choose(now: Instant): void {
    this.#recount(now)
    this.#wanted = this.#isEveryone ? new Set(this.#known.values()) : this.#choice.wanted(now)
    const pace = new DialPace(this.#isEveryone)
    for (const known of this.#wanted) if (this.#host.isDialing(known.peer)) pace.take(known)
    for (const known of this.#wanted) {
      const { peer, dialAt, failures, waitUntil } = known
      if (dialAt !== undefined || this.#host.sessionOf(peer) !== undefined) continue
      if (this.#host.isDialing(peer) || (waitUntil <= now && !pace.take(known))) continue
      if (failures > 0) this.#retry(known, now, 'dial again')
      else this.#schedule(known, Math.max(now, waitUntil), 'wanted')
    }
  }

  /** Who is near may have changed without our being told, and what was heard gets old. */
  #refresh(now: Instant): void {
    this.#goals.ask()
    for (const known of [...this.#known.values()]) {
      const { peer, isKept, heardAt } = known
      if (isKept || now - heardAt < HEARSAY_KEEP_MS) continue
      if (this.#host.sessionOf(peer) === undefined) this.#known.forget(known)
    }
    this.#refreshMs = Math.min(REFRESH_MAX_MS, 2 * this.#refreshMs)
    const jitter = 0.75 + (this.#random.bytes(1)[0] ?? 0) / 510
    this.#setTimer('refresh', now + this.#refreshMs * jitter)
    this.#chooseSoon(now)
  }

  /** Lets those go whom nobody needs, when there are many. */
  #trim(now: Instant): void {
    const excess = this.#live.size - EVERYONE_MAX
    if (excess <= 0) return
    const surplus = surplusSessions(
      [...this.#host.sessions()],
      { kept: this.#choice.kept(), excess, isBusy: (peer) => this.#isBusy(peer, now) },
      now,
    )
    for (const peer of surplus) this.#host.letGo(peer, now)
    if (this.#live.size > EVERYONE_MAX) this.#setTimer('trim', now + TRIM_MS)
  }

  /** Whatever else a session is for. */
  #isBusy(peer: PeerId, now: Instant): boolean {
    const relayedAt = this.#host.relayedAt(peer)
    if (relayedAt !== undefined && now - relayedAt < RELAY_IDLE_MS) return true
    return this.isNamed(peer) || this.#host.isMember(peer)
  }

  #dialAnonymous(key: string, now: Instant): void {
    const address = this.#anonymous.get(key)
    const endpoint = address && this.#endpoint(address)
    if (address === undefined || endpoint === undefined) return
    const there = this.#known.at(address)
    const isMet = there.some(({ peer }) => this.#live.has(peer))
    // Whoever is there let us go: it has enough to do.
    const isResting = this.#live.size >= LONELY_MAX && there.some((one) => one.restUntil > now)
    this.#timers.set(key, now + KEPT_RETRY_MAX_MS, 'bootstrap')
    if (isMet || isResting) return
    this.#host.dial(undefined, [{ kind: 'udp', endpoint }], now)
  }

  #dialKnown(peer: PeerId, now: Instant): void {
    const known = this.#known.get(peer)
    if (known === undefined) return
    known.dialAt = undefined
    if (this.#host.sessionOf(peer)?.state === 'up') return
    const isFirst = !this.#host.isDialing(peer)
    if (isFirst && !this.#isInsisted(known) && !this.#wanted.has(known)) return
    if (isFirst && !this.#hearsayDials.begin(known)) {
      return this.#schedule(known, now + HEARSAY_DIAL_WAIT_MS, 'too many dials')
    }
    const isEasy = isFirst && known.failures === 0
    if (this.#dial(known, isEasy ? RELAYS_PER_DIAL : RELAYS_MAX, now)) {
      if (!isFirst) return
      if (this.#host.isDialing(peer)) this.#schedule(known, now + MORE_RELAYS_MS, 'more relays')
      else this.#failed(known, now)
    } else if (known.isKept) this.#failed(known, now)
    else if (!this.#isEveryone) known.via = []
  }

  /** Tried for ever when the app named it, or when it may be the only way back in. */
  #isInsisted(known: KnownPeer): boolean {
    if (this.#isEveryone || this.#live.size < LONELY_MAX) return true
    return known.isNamed
  }

  #failed(known: KnownPeer, now: Instant): void {
    known.failures++
    const isOver = known.failures >= TRIES_MAX
    if (isOver && !known.isKept) this.#known.forget(known)
    else if (this.#isInsisted(known)) this.#retry(known, now, 'dial again')
    if (!this.#isEveryone) this.#chooseSoon(now)
  }

  /** False when there is no route. Gives more routes to a dial that is under way. */
  #dial(known: KnownPeer, relaysMax: number, now: Instant): boolean {
    const routes: Route[] = []
    for (const address of known.addresses) {
      const endpoint = this.#endpoint(address)
      if (endpoint !== undefined) routes.push({ kind: 'udp', endpoint })
    }
    const relays = this.#relays.to(known)
    const direct = relays.filter(({ path }) => path !== 'relayed')
    const chosen = direct.length > 0 ? direct : relays
    for (const via of chosen.slice(0, relaysMax)) routes.push(relayRoute(via, known.peer))
    if (routes.length > 0) this.#host.dial(known.peer, routes, now)
    return routes.length > 0
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

  /** Keeps an earlier one. */
  #setTimer(key: 'announce' | 'choose' | 'refresh' | 'trim', at: number): void {
    if (!this.#timers.has(key)) this.#timers.set(key, at, key)
  }

  #schedule(known: KnownPeer, at: number, reason: string): void {
    known.dialAt = at
    this.#timers.set(known.peer, at, reason)
  }
}

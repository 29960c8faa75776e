import { TimerQueue } from '../collections/timer-queue.ts'
import type { Crypto, Random } from '../crypto.ts'
import type { Deadline, Endpoint, Instant, LeaveReason, PeerId, RejectCode } from '../io.ts'
import { OutgoingDatagram } from '../transport/outgoing-datagram.ts'
import type { Address } from '../wire/address.ts'
import { fromHex } from '../wire/bytes.ts'
import { destinationOf, isSealed } from '../wire/datagram.ts'
import { type Established, Handshakes } from './handshakes.ts'
import type { Identity } from './identity.ts'
import { type Route, routeKey } from './route.ts'
import { Session, type SessionEvent, type SessionHost } from './session.ts'
import { SessionTable } from './session-table.ts'

/**
 * All sessions of a peer: hands each datagram to the handshake or session it belongs to, turns
 * finished handshakes into sessions, and settles those that an input touched. It decides when a
 * handshake renews a session, replaces it, or loses to one that crossed it; whom to dial is the
 * overlay's choice.
 */
export interface SessionsHost {
  transmit(to: Endpoint, datagram: Uint8Array): void
  reject(code: RejectCode, route: Route | undefined): void
  /** A session began; `observed` is where the remote saw us. */
  opened(session: Session, observed: Address | undefined): void
  closed(session: Session, why: LeaveReason): void
  event(session: Session, event: SessionEvent): void
  gaveUp(peer: PeerId | undefined, routes: readonly Route[]): void
  /** An address that was dialled turned out to be this peer's. */
  identified(route: Route, peer: PeerId): void
}

/** Beyond it a lost session goes; if none is lost, newcomers are refused. */
export const SESSIONS_MAX = 1024
/** Two handshakes that cross within this are one meeting and not a restart. Guess: a slow round trip. */
const CROSSING_MS = 3_000

export class Sessions {
  readonly #crypto: Crypto
  readonly #random: Random
  readonly #self: PeerId
  readonly #host: SessionsHost
  readonly #sessionHost: SessionHost
  readonly #handshakes: Handshakes
  readonly #table = new SessionTable()
  readonly #timers = new TimerQueue<PeerId>()
  /** One for all: a datagram is sealed before the next is begun. */
  readonly #scratch = new OutgoingDatagram()
  /** Touched and to be settled, in that order. */
  readonly #dirty: Session[] = []

  constructor(
    options: { crypto: Crypto; random: Random; identity: Identity; host: SessionsHost },
    now: Instant,
  ) {
    const { crypto, random, identity, host } = options
    this.#crypto = crypto
    this.#random = random
    this.#self = identity.peerId
    this.#host = host
    this.#sessionHost = {
      send: (route, datagram) => this.#send(route, datagram),
      event: (session, event, at) => this.#onEvent(session, event, at),
      reject: (code, route) => host.reject(code, route),
      touch: (session) => this.#touch(session),
    }
    const handshakeHost = {
      send: (route: Route, datagram: Uint8Array) => this.#send(route, datagram),
      reject: (code: RejectCode, route: Route) => host.reject(code, route),
      transportIdOf: (peer: PeerId) => this.#table.with(peer)?.transportId,
      sessionRunOf: (peer: PeerId) => this.#table.with(peer)?.remoteRun,
      highestReceivedFrom: (peer: PeerId) => this.#table.with(peer)?.highestReceived ?? -1,
      isCidTaken: (cid: number) => this.#table.withCid(cid) !== undefined,
      established: (result: Established, at: Instant) => this.#onEstablished(result, at),
      metAgain: (peer: PeerId, route: Route, at: Instant) => this.#onMetAgain(peer, route, at),
      gaveUp: (peer: PeerId | undefined, routes: readonly Route[]) => host.gaveUp(peer, routes),
    }
    this.#handshakes = new Handshakes({ crypto, random, identity, host: handshakeHost }, now)
  }

  get size(): number {
    return this.#table.size
  }

  with(peer: PeerId): Session | undefined {
    return this.#table.with(peer)
  }

  /** The session that a relay's 8-byte name for a peer means. */
  withPrefix(prefix: string): Session | undefined {
    return this.#table.withPrefix(prefix)
  }

  all(): IterableIterator<Session> {
    return this.#table.all()
  }

  isDialing(peer: PeerId): boolean {
    return this.#handshakes.isDialing(peer)
  }

  dial(peer: PeerId | undefined, routes: readonly Route[], now: Instant): void {
    this.#handshakes.dial(peer, routes, now)
  }

  /** Whether some session's data goes to that endpoint. */
  isAt(endpoint: Endpoint): boolean {
    const key = routeKey({ kind: 'udp', endpoint })
    for (const session of this.#table.all()) {
      if (session.state === 'up' && session.route && routeKey(session.route) === key) return true
    }
    return false
  }

  receive(data: Uint8Array, route: Route, now: Instant): void {
    if (!isSealed(data)) return this.#handshakes.receive(data, route, now)
    if (data.length < 5) return this.#host.reject('malformed', route)
    const cid = destinationOf(data)
    if (this.#table.withCid(cid) === undefined && !this.#handshakes.confirm(cid, data, now)) {
      return this.#host.reject('unknown', route)
    }
    const session = this.#table.withCid(cid)
    if (session === undefined) return
    session.receive(cid, data, route, now)
    this.#touch(session)
  }

  /** The host slept or moved: every remote is asked whether it is there. */
  wake(now: Instant): void {
    for (const session of this.#table.all()) {
      session.wake(now)
      this.#touch(session)
    }
  }

  /** Ends a session that is not needed any more. */
  letGo(peer: PeerId, now: Instant): void {
    const session = this.#table.with(peer)
    if (session === undefined) return
    session.close(now, true)
    this.#drop(session, 'closed')
  }

  /** Says good-bye to all: first to those whom a session that is about to end relays. */
  close(now: Instant): void {
    const sessions = [...this.#table.all()]
    for (const session of sessions) if (session.isRelayed) session.close(now)
    for (const session of sessions) if (!session.isRelayed) session.close(now)
  }

  deadline(): Deadline | undefined {
    const session = this.#timers.earliest()
    const handshake = this.#handshakes.deadline()
    if (session === undefined || (handshake !== undefined && handshake.at < session.at)) {
      return handshake
    }
    return { at: session.at as Instant, reason: session.reason }
  }

  onDeadline(now: Instant): void {
    this.#handshakes.onDeadline(now)
    for (;;) {
      const peer = this.#timers.takeDue(now)
      if (peer === undefined) return
      const session = this.#table.with(peer)
      if (session === undefined) continue
      session.onDeadline(now)
      this.#touch(session)
    }
  }

  /** Sends and reports all that is due in the sessions that were touched. */
  settle(now: Instant): void {
    for (let session = this.#dirty.shift(); session; session = this.#dirty.shift()) {
      if (this.#table.with(session.peer) !== session) continue
      session.settle(now)
      const next = session.deadline()
      this.#timers.set(session.peer, next?.at, next?.reason ?? '')
    }
  }

  #touch(session: Session): void {
    if (!this.#dirty.includes(session)) this.#dirty.push(session)
  }

  #onEstablished(result: Established, now: Instant): void {
    const current = this.#table.with(result.peer)
    if (result.isResumed) {
      if (current === undefined) return this.#host.reject('unknown', result.route)
      current.install(result, now)
      this.#table.add(current)
      this.#touch(current)
      return
    }
    if (current !== undefined && this.#isCrossing(current, result, now)) return
    if (current !== undefined) this.#drop(current, 'restarted')
    if (this.#table.size >= SESSIONS_MAX && !this.#dropLost()) {
      return this.#host.reject('over-limit', result.route)
    }
    const shared = { crypto: this.#crypto, random: this.#random, scratch: this.#scratch }
    const session = new Session({ ...shared, host: this.#sessionHost }, result, now)
    this.#table.add(session)
    this.#touch(session)
    this.#host.identified(result.route, result.peer)
    this.#host.opened(session, result.observed)
  }

  /** Both sides began at once and both handshakes went through: the lower id's counts, at both ends. */
  #isCrossing(current: Session, result: Established, now: Instant): boolean {
    if (current.remoteRun !== result.remoteRun || now - current.madeAt > CROSSING_MS) return false
    const isLower = this.#self < result.peer
    return current.isInitiator === isLower && result.isInitiator !== isLower
  }

  #onMetAgain(peer: PeerId, route: Route, now: Instant): void {
    const session = this.#table.with(peer)
    this.#host.identified(route, peer)
    if (session?.state === 'lost') this.#handshakes.dial(peer, [route], now)
    else session?.tryRoute(route, now)
  }

  #onEvent(session: Session, event: SessionEvent, now: Instant): void {
    if (event.type === 'down') return this.#drop(session, event.why)
    if (event.type === 'silent') this.#seek(session, now)
    if (this.#table.with(session.peer) === session) this.#host.event(session, event)
  }

  /** Tries every route that worked. Where a relay is in use, it may be our way to it that broke. */
  #seek(session: Session, now: Instant): void {
    const { route } = session
    if (route?.kind === 'relay') this.#table.with(route.via)?.ping()
    this.#handshakes.dial(session.peer, session.provedRoutes, now)
  }

  #drop(session: Session, why: LeaveReason): void {
    this.#table.remove(session)
    this.#timers.clear(session.peer)
    this.#host.closed(session, why)
  }

  #dropLost(): boolean {
    for (const session of this.#table.all()) {
      if (session.state === 'up') continue
      this.#drop(session, 'timeout')
      return true
    }
    return false
  }

  #send(route: Route, datagram: Uint8Array): void {
    if (route.kind === 'udp') return this.#host.transmit(route.endpoint, datagram)
    const via = this.#table.with(route.via)
    if (via === undefined || !this.#mayRelay(via)) return
    const prefix = fromHex(route.prefix) ?? new Uint8Array(8)
    via.relay({ type: 'relay', prefix, datagram })
  }

  /** At most two relays in a row: else each could be the way to the other. */
  #mayRelay(via: Session): boolean {
    const { route } = via
    if (route?.kind !== 'relay') return true
    return route.isChained !== true && this.#table.with(route.via)?.isRelayed === false
  }
}

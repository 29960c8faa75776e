import { TokenBucket } from '../collections/token-bucket.ts'
import type { Crypto, Random } from '../crypto.ts'
import type { Deadline, Instant, PathKind, PeerId, RejectCode } from '../io.ts'
import { Transport, type TransportEvent } from '../transport/transport.ts'
import type { Address } from '../wire/address.ts'
import { ascii } from '../wire/bytes.ts'
import { DATAGRAM_BYTES_MAX } from '../wire/datagram.ts'
import type { SessionFrame } from '../wire/frames.ts'
import type { Established } from './handshakes.ts'
import { KeyRing } from './key-ring.ts'
import { outranks, Paths, type SessionPath } from './paths.ts'
import type { SessionPort } from './port.ts'
import { ReplayWindow } from './replay.ts'
import type { Route } from './route.ts'

/**
 * One authenticated relation with one remote: keys, a transport, and the paths it takes. It decides
 * what is authentic and fresh, which path carries data, and whether the remote is still there. It
 * does not decide what messages mean, whom to meet, or what to relay.
 *
 * The transport outlives keys and paths: a remote that slept, moved or was silent for less than
 * `SESSION_KEEP_MS` goes on where it stopped, with nothing lost or doubled.
 */
export type SessionEvent =
  | { readonly type: 'transport'; readonly event: TransportEvent }
  | { readonly type: 'relay'; readonly frame: SessionFrame }
  | { readonly type: 'lost' }
  | { readonly type: 'back' }
  | { readonly type: 'path' }
  /** The remote should have answered by now: look for it by other ways too. */
  | { readonly type: 'silent' }
  | { readonly type: 'observed'; readonly address: Address }
  | { readonly type: 'down'; readonly why: 'closed' | 'timeout' }

export interface SessionHost {
  send(route: Route, datagram: Uint8Array): void
  event(session: Session, event: SessionEvent, now: Instant): void
  reject(code: RejectCode, route: Route | undefined): void
  /** The session has something to send: settle it before the input is done with. */
  touch(session: Session): void
}

const TRANSPORT_LABEL = ascii('latica transport')
/** Below 20 s, the shortest mapping lifetime of the NAT lab (natlab.md §3). */
const KEEPALIVE_MS = 15_000
/** The responder waits a little longer, so that one side's keepalive serves both. */
const KEEPALIVE_LAG_MS = 3_000
/** Two keepalives and a few probes unanswered. */
export const LOST_MS = 32_000
/** Guess: long enough for a night's train ride to end, short enough to bound memory. */
export const SESSION_KEEP_MS = 3_600_000
const LOST_PROBE_MIN_MS = 1_000
const LOST_PROBE_MAX_MS = 60_000
/** After waking, an answer is due within this. Guess: above most round trips, below patience. */
const WAKE_PATIENCE_MS = 400
const FINISH_GAP_MS = 200
const SUSPECT_PTOS = 2
const SILENT_PTOS = 3
/** On top of two round trips. Guess. */
const QUIET_MS = 100
/** Yield to other sessions after this many datagrams in one go. */
const BURST_MAX = 64
/** Guess: two networks' worth of addresses, then one every 10 s: seven probes of 40 bytes each. */
const CANDIDATES_BURST = 16
const CANDIDATES_PER_S = 0.1
/** A sealed datagram inside RELAY: 9 bytes of frame and at most 25 of sealing. */
const RELAYED_DATAGRAM_BYTES = DATAGRAM_BYTES_MAX - 9 - 25

export class Session implements SessionPort {
  readonly peer: PeerId
  readonly binding: Uint8Array
  readonly isInitiator: boolean
  readonly remoteRun: string
  readonly madeAt: Instant
  readonly #crypto: Crypto
  readonly #random: Random
  readonly #host: SessionHost
  readonly #transport: Transport
  readonly #replay = new ReplayWindow()
  readonly #paths = new Paths()
  readonly #keys = new KeyRing()
  /** Addresses that the remote may still make us probe. */
  readonly #candidates: TokenBucket
  /** Where the newest datagram came from. */
  #newest: SessionPath | undefined
  #state: 'up' | 'lost' | 'down' = 'up'
  #lastReceivedAt: Instant
  #pingedAt: Instant
  #lostAt: Instant | undefined
  #probeAt: Instant | undefined
  #probeGapMs = LOST_PROBE_MIN_MS
  #silentAt: Instant | undefined
  #finish: { readonly datagram: Uint8Array; nextAt: Instant } | undefined

  constructor(
    options: { crypto: Crypto; random: Random; host: SessionHost },
    established: Established,
    now: Instant,
  ) {
    this.peer = established.peer
    this.binding = established.binding
    this.isInitiator = established.isInitiator
    this.remoteRun = established.remoteRun
    this.madeAt = now
    this.#crypto = options.crypto
    this.#random = options.random
    this.#host = options.host
    this.#candidates = new TokenBucket(CANDIDATES_PER_S, CANDIDATES_BURST, now)
    this.#lastReceivedAt = now
    this.#pingedAt = now
    this.#transport = new Transport({ isInitiator: established.isInitiator })
    this.install(established, now)
  }

  /** Names this transport in a later handshake that resumes it: 8 bytes. */
  get transportId(): Uint8Array {
    return this.#crypto.hash(16, [TRANSPORT_LABEL, this.binding]).subarray(0, 8)
  }

  get state(): 'up' | 'lost' | 'down' {
    return this.#state
  }

  get path(): PathKind {
    return this.#paths.active?.kind ?? 'relayed'
  }

  get route(): Route | undefined {
    return this.#paths.active?.route
  }

  get rttMs(): number {
    return this.#transport.rttMs()
  }

  get highestReceived(): number {
    return this.#replay.highest
  }

  /** Our connection ids, by which datagrams find this session. */
  get cids(): number[] {
    return this.#keys.cids
  }

  /** Routes by which the remote was reached, best first. */
  get provedRoutes(): Route[] {
    const proved = [...this.#paths.all].filter((path) => path.isProved)
    return proved.sort((a, b) => b.lastReceivedAt - a.lastReceivedAt).map((path) => path.route)
  }

  /** Takes fresh keys, and the route by which they were agreed as a proved path. */
  install(established: Established, now: Instant): void {
    this.#keys.add(established, now)
    this.#finish = established.finish && { datagram: established.finish, nextAt: now }
    const path = this.#pathFor(established.route, now, true)
    path.isProved = true
    this.#heard(path, now)
    this.#activate(path, now)
    if (established.isInitiator) this.#transport.ping()
    this.#transport.wake()
  }

  sendMessage(payload: Uint8Array): number {
    this.#host.touch(this)
    return this.#transport.sendMessage(payload)
  }

  sendDatagram(payload: Uint8Array): boolean {
    this.#host.touch(this)
    return this.#transport.sendDatagram(payload)
  }

  openStream(): number {
    this.#host.touch(this)
    return this.#transport.openStream()
  }

  writeStream(stream: number, data: Uint8Array): void {
    this.#host.touch(this)
    this.#transport.writeStream(stream, data)
  }

  finishStream(stream: number): void {
    this.#host.touch(this)
    this.#transport.finishStream(stream)
  }

  resetStream(stream: number, code: number): void {
    this.#host.touch(this)
    this.#transport.resetStream(stream, code)
  }

  consumeStream(stream: number, bytes: number): void {
    this.#host.touch(this)
    this.#transport.consumeStream(stream, bytes)
  }

  /** Sends a RELAY, RELAYED or RELAY_REFUSED frame, unless the way to the remote is itself relayed. */
  relay(frame: SessionFrame): boolean {
    const path = this.#paths.active
    if (this.#state !== 'up' || path === undefined || path.kind === 'relayed') return false
    this.#transport.pushFrame(path.number, frame)
    this.#host.touch(this)
    return true
  }

  /** Tries an address that the remote named as its own inside this session. */
  tryRoute(route: Route, now: Instant): void {
    if (this.#paths.find(route) !== undefined || !this.#candidates.take(1, now)) return
    this.#pathFor(route, now, true)
    this.#host.touch(this)
  }

  /** One sealed datagram for one of our connection ids. */
  receive(cid: number, data: Uint8Array, route: Route, now: Instant): void {
    if (this.#state === 'down') return
    const opened = this.#keys.open(cid, data, this.#replay.highest)
    if (opened === undefined) return this.#host.reject('unauthentic', route)
    if (!this.#replay.check(opened.number)) return this.#host.reject('replayed', route)
    const isNewest = opened.number > this.#replay.highest
    this.#replay.accept(opened.number)
    this.#finish = undefined
    const path = this.#paths.find(route) ?? this.#pathFor(route, now, false)
    path.receivedBytes += data.length
    this.#heard(path, now)
    if (!this.#transport.receive(path.number, opened.number, opened.frames, now)) {
      this.#host.reject('malformed', route)
      this.close(now)
      this.#host.event(this, { type: 'down', why: 'closed' }, now)
      return
    }
    // The remote is there again: what it misses need not wait for a timeout that has grown.
    if (this.#transport.ptoCount >= SILENT_PTOS) this.#transport.wake()
    if (isNewest) {
      this.#newest = path
      this.#follow(now)
    }
  }

  /** The host slept, or its own addresses changed: find out at once who is still there. */
  wake(now: Instant): void {
    if (this.#state === 'down') return
    this.#lastReceivedAt = Math.max(this.#lastReceivedAt, now - LOST_MS / 2) as Instant
    this.#silentAt = (now + WAKE_PATIENCE_MS) as Instant
    this.#probeAt = now
    this.#probeGapMs = LOST_PROBE_MIN_MS
    this.#transport.ping()
    this.#transport.wake()
  }

  /** Says good-bye. */
  close(now: Instant): void {
    const path = this.#paths.active
    if (this.#state !== 'down' && path !== undefined) {
      this.#transport.pushFrame(path.number, { type: 'close', code: 0 })
      this.#flush(now)
    }
    this.#state = 'down'
  }

  deadline(): Deadline | undefined {
    if (this.#state === 'down') return undefined
    let first = earlier(undefined, this.#paths.nextProbeAt(), 'path probe')
    first = earlier(first, this.#silentAt, 'answer due')
    first = earlier(first, this.#finish?.nextAt, 'handshake finish')
    if (this.#state === 'lost') return earlier(first, this.#probeAt, 'lost probe')
    const transport = this.#transport.deadline()
    first = earlier(first, transport?.at, transport?.reason ?? '')
    return earlier(first, this.#keepaliveAt(), 'keepalive')
  }

  onDeadline(now: Instant): void {
    if (this.#state === 'down') return
    if (this.#state === 'lost') this.#probeLost(now)
    else this.#checkLiveness(now)
  }

  /** Sends and reports whatever is due. */
  settle(now: Instant): void {
    if (this.#state === 'down') return
    this.#probePaths(now)
    for (;;) {
      const event = this.#transport.poll()
      if (event === undefined) break
      if (event.type === 'frame') this.#onFrame(event.path, event.frame, now)
      else this.#host.event(this, { type: 'transport', event }, now)
      if (this.state === 'down') return
    }
    if (this.#state === 'up') this.#flush(now)
  }

  #keepaliveAt(): number {
    const quietSince = Math.max(this.#lastReceivedAt, this.#pingedAt)
    const lagMs = this.isInitiator ? 0 : KEEPALIVE_LAG_MS
    return Math.min(quietSince + KEEPALIVE_MS + lagMs, this.#lastReceivedAt + LOST_MS)
  }

  #checkLiveness(now: Instant): void {
    this.#transport.onDeadline(now)
    this.#checkAnswer(now)
    const silenceMs = now - this.#lastReceivedAt
    if (silenceMs >= LOST_MS) return this.#lose(now)
    if (now >= this.#keepaliveAt()) {
      this.#pingedAt = now
      this.#transport.ping()
    }
    const active = this.#paths.active
    const ptos = this.#transport.ptoCount
    if (active !== undefined && ptos >= SUSPECT_PTOS && this.#transport.hasUnacked) {
      const other = this.#paths.best(active)
      if (other !== undefined && other.lastReceivedAt >= active.lastReceivedAt) {
        this.#activate(other, now)
      }
    }
    if (ptos === SILENT_PTOS && this.#silentAt === undefined) {
      this.#host.event(this, { type: 'silent' }, now)
    }
  }

  #checkAnswer(now: Instant): void {
    if (this.#silentAt === undefined || now < this.#silentAt) return
    this.#silentAt = undefined
    this.#host.event(this, { type: 'silent' }, now)
  }

  #lose(now: Instant): void {
    this.#state = 'lost'
    this.#lostAt = now
    this.#silentAt = undefined
    this.#probeGapMs = LOST_PROBE_MIN_MS
    this.#probeAt = (now + this.#probeGapMs) as Instant
    this.#host.event(this, { type: 'lost' }, now)
    this.#host.event(this, { type: 'silent' }, now)
  }

  #probeLost(now: Instant): void {
    this.#checkAnswer(now)
    if (this.#lostAt !== undefined && now - this.#lostAt >= SESSION_KEEP_MS) {
      return this.#end('timeout', now)
    }
    if (this.#probeAt === undefined || now < this.#probeAt) return
    this.#probeGapMs = Math.min(LOST_PROBE_MAX_MS, 2 * this.#probeGapMs)
    this.#probeAt = (now + this.#probeGapMs) as Instant
    if (this.#probeGapMs >= LOST_PROBE_MAX_MS) this.#host.event(this, { type: 'silent' }, now)
    this.#transport.ping()
    this.#transport.wake()
    this.#flush(now)
  }

  #heard(path: SessionPath, now: Instant): void {
    path.lastReceivedAt = now
    this.#lastReceivedAt = now
    this.#silentAt = undefined
    if (this.#state !== 'lost') return
    this.#state = 'up'
    this.#lostAt = undefined
    this.#probeAt = undefined
    this.#transport.wake()
    this.#host.event(this, { type: 'back' }, now)
  }

  /**
   * The initiator chooses the path; the responder answers where the newest datagram came from. Asked
   * again once that path is proved: a remote that moved may have nothing more to send.
   */
  #follow(now: Instant): void {
    const active = this.#paths.active
    const path = this.#newest
    if (path === undefined || !path.isProved || path === active) return
    const isWanted =
      active === undefined ||
      (this.isInitiator
        ? this.#prefers(path, active, now)
        : !outranks(active, path) || this.#isQuiet(active, now))
    if (isWanted) this.#activate(path, now)
  }

  #activate(path: SessionPath, now: Instant): void {
    if (this.#paths.active === path) return
    this.#paths.activate(path)
    this.#transport.setActivePath(path.number)
    this.#host.event(this, { type: 'path' }, now)
  }

  #pathFor(route: Route, now: Instant, isInvited: boolean): SessionPath {
    const known = this.#paths.find(route)
    if (known !== undefined) return known
    const { path, evicted } = this.#paths.add(route, { isProved: false, isInvited }, now)
    if (evicted !== undefined) this.#transport.removePath(evicted.number)
    if (evicted === this.#newest) this.#newest = undefined
    const datagramBytes = route.kind === 'relay' ? RELAYED_DATAGRAM_BYTES : DATAGRAM_BYTES_MAX
    this.#transport.addPath(path.number, { datagramBytes })
    return path
  }

  #probePaths(now: Instant): void {
    for (const path of this.#paths.all) {
      const nonce = this.#paths.probe(path, now, this.#random)
      if (nonce !== undefined) {
        this.#transport.pushFrame(path.number, { type: 'challenge', nonce })
      }
    }
    const finish = this.#finish
    const route = this.#paths.active?.route
    if (finish === undefined || route === undefined || now < finish.nextAt) return
    finish.nextAt = (now + FINISH_GAP_MS) as Instant
    this.#host.send(route, finish.datagram)
  }

  #onFrame(number: number, frame: SessionFrame, now: Instant): void {
    const path = this.#paths.byNumber(number)
    switch (frame.type) {
      case 'challenge':
        if (path === undefined) return
        this.#transport.pushFrame(number, { type: 'response', nonce: frame.nonce })
        if (path.route.kind === 'udp') {
          const { host, port } = path.route.endpoint
          this.#transport.pushFrame(number, { type: 'observed', address: { host, port } })
        }
        return
      case 'response':
        return this.#onResponse(frame.nonce, now)
      case 'observed':
        this.#host.event(this, { type: 'observed', address: frame.address }, now)
        return
      case 'close':
        return this.#end('closed', now)
      default:
        this.#host.event(this, { type: 'relay', frame }, now)
    }
  }

  #onResponse(nonce: Uint8Array, now: Instant): void {
    for (const path of this.#paths.all) {
      if (path.nonce === undefined || !isEqual(path.nonce, nonce)) continue
      path.nonce = undefined
      path.isProved = true
      path.probesLeft = 0
      const active = this.#paths.active
      if (active === undefined) this.#activate(path, now)
      else if (this.isInitiator && this.#prefers(path, active, now)) this.#activate(path, now)
      else this.#follow(now)
      this.#host.event(this, { type: 'path' }, now)
      return
    }
  }

  /** A better kind of path, or the one where the remote speaks while the active one is silent. */
  #prefers(path: SessionPath, active: SessionPath, now: Instant): boolean {
    if (outranks(path, active)) return true
    return !outranks(active, path) && this.#isQuiet(active, now)
  }

  #isQuiet(path: SessionPath, now: Instant): boolean {
    return path.lastReceivedAt < now - 2 * this.rttMs - QUIET_MS
  }

  #flush(now: Instant): void {
    for (let sent = 0; sent < BURST_MAX; sent++) {
      const next = this.#transport.next(now)
      if (next === undefined) return
      this.#seal(next, now)
    }
  }

  #seal(
    next: { path: number; number: number; largestAcked: number; frames: Uint8Array },
    now: Instant,
  ): void {
    const path = this.#paths.byNumber(next.path)
    if (path === undefined) return
    const datagram = this.#keys.seal(next.number, next.largestAcked, next.frames, now)
    if (!this.#paths.mayCarry(path, datagram.length)) return
    path.sentBytes += datagram.length
    this.#host.send(path.route, datagram)
  }

  #end(why: 'closed' | 'timeout', now: Instant): void {
    if (this.#state === 'down') return
    this.#state = 'down'
    this.#host.event(this, { type: 'down', why }, now)
  }
}

function earlier(
  first: Deadline | undefined,
  at: number | undefined,
  reason: string,
): Deadline | undefined {
  if (at === undefined || (first !== undefined && first.at <= at)) return first
  return { at: at as Instant, reason }
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}

import type { Crypto, Random } from '../crypto.ts'
import { earlier } from '../deadlines.ts'
import type { Deadline, Instant, PathKind, PeerId } from '../io.ts'
import type { OutgoingDatagram } from '../transport/outgoing-datagram.ts'
import { Transport } from '../transport/transport.ts'
import { ascii } from '../wire/bytes.ts'
import type { SessionFrame } from '../wire/frames.ts'
import type { Established } from './handshakes.ts'
import { KeyRing } from './key-ring.ts'
import { Liveness } from './liveness.ts'
import { compare } from './path-choice.ts'
import type { SessionPort } from './port.ts'
import { ReplayWindow } from './replay.ts'
import type { Route } from './route.ts'
import type { SessionHost } from './session-host.ts'
import type { SessionPath } from './session-path.ts'
import { Steering } from './steering.ts'

export { LOST_MS } from './liveness.ts'
export type { SessionEvent, SessionHost } from './session-host.ts'

/**
 * One authenticated relation with one remote: keys, a transport, and the paths it takes. It decides
 * what is authentic and fresh, and joins the machines that decide the rest: `steering.ts` which path
 * carries data, `liveness.ts` whether the remote is still there, the transport what is sent. It does
 * not decide what messages mean, whom to meet, or what to relay.
 *
 * The transport outlives keys and paths: a remote that slept, moved or was silent for less than
 * `SESSION_KEEP_MS` goes on where it stopped, with nothing lost or doubled.
 */
const TRANSPORT_LABEL = ascii('latica transport')
/** Guess: long enough for a night's train ride to end, short enough to bound memory. */
export const SESSION_KEEP_MS = 3_600_000
const LOST_PROBE_MIN_MS = 1_000
const LOST_PROBE_MAX_MS = 60_000
/** After waking, an answer is due within this. Guess: above most round trips, below patience. */
const WAKE_PATIENCE_MS = 400
const FINISH_GAP_MS = 200
/** After so many timeouts their backoff has grown so far that what comes at last cuts it short. */
const WAKE_PTOS = 3
/** Yield to other sessions after this many datagrams in one go. */
const BURST_MAX = 64
/** With 23 to 25 bytes of sealing, a third of four challenges: what a knock draws must fit three times it. */
const KNOCK_BYTES = 24
/** A datagram on a slow relay is overtaken by hundreds on a fresh path: one byte would not tell its number. */
const RELAYED_NUMBER_BYTES = 2
/** A datagram came, and there was no room to remember the way it took. */
const NO_PATH = -1
/** docs/spec/session.md: CLOSE of one that stays, of a session it does not need. */
const CLOSE_LET_GO = 1

export class Session implements SessionPort {
  readonly peer: PeerId
  readonly binding: Uint8Array
  readonly isInitiator: boolean
  readonly remoteRun: string
  readonly madeAt: Instant
  readonly #crypto: Crypto
  readonly #host: SessionHost
  readonly #transport: Transport
  readonly #replay = new ReplayWindow()
  readonly #steering: Steering
  readonly #liveness: Liveness
  readonly #keys = new KeyRing()
  #state: 'up' | 'lost' | 'down' = 'up'
  #lostAt: Instant | undefined
  #probeAt: Instant | undefined
  #probeGapMs = LOST_PROBE_MIN_MS
  #silentAt: Instant | undefined
  #hasSpoken = false
  #usedAt: Instant
  #finish: { readonly datagram: Uint8Array; nextAt: Instant } | undefined
  #isLetGo = false

  constructor(
    options: { crypto: Crypto; random: Random; host: SessionHost; scratch?: OutgoingDatagram },
    established: Established,
    now: Instant,
  ) {
    const { isInitiator } = established
    this.peer = established.peer
    this.binding = established.binding
    this.isInitiator = isInitiator
    this.remoteRun = established.remoteRun
    this.madeAt = now
    this.#usedAt = now
    this.#crypto = options.crypto
    this.#host = options.host
    const { random, host, scratch } = options
    const transport = new Transport({ isInitiator, ...(scratch && { scratch }) })
    this.#transport = transport
    const report: ConstructorParameters<typeof Steering>[0]['report'] = (event, at) =>
      host.event(this, event, at)
    this.#steering = new Steering({ transport, random, isInitiator, report }, now)
    this.#liveness = new Liveness(isInitiator, now)
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
    return this.#steering.active?.kind ?? 'relayed'
  }

  get isRelayed(): boolean {
    return this.path === 'relayed'
  }

  get route(): Route | undefined {
    return this.#steering.active?.route
  }

  /** What is known of each way to the remote; views, to be read at once. */
  get paths(): readonly Readonly<SessionPath>[] {
    return [...this.#steering.all]
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
    const once = this.paths.filter((path) => path.provedAt !== undefined)
    return once
      .sort((a, b) => Number(b.isProved) - Number(a.isProved) || compare(a, b))
      .map((path) => path.route)
  }

  get keepaliveMs(): number {
    return this.#liveness.keepaliveMs
  }

  /** How often silence is broken: 10 to 120 s. Silence of twice that is loss. */
  set keepaliveMs(keepaliveMs: number) {
    this.#liveness.keepaliveMs = keepaliveMs
    this.#host.touch(this)
  }

  /** A dormant session says nothing and expects nothing, until either side has something to say. */
  setDormant(isDormant: boolean, now: Instant): void {
    this.#liveness.setDormant(isDormant, now)
    this.#host.touch(this)
  }

  get isDormant(): boolean {
    return this.#liveness.isDormant
  }

  get isSilent(): boolean {
    return this.#transport.ptoCount > 0
  }

  /** One side ended it because it does not need it any more, and not because it leaves. */
  get isLetGo(): boolean {
    return this.#isLetGo
  }

  /** Something that we sent awaits an acknowledgement. */
  get owes(): boolean {
    return this.#transport.owedSince !== undefined || this.#transport.hasUnacked
  }

  /** When something was last said by either side. */
  get usedAt(): Instant {
    return this.#usedAt
  }

  /** Takes fresh keys, and the route by which they were agreed as a proved path. */
  install(established: Established, now: Instant): void {
    this.#keys.add(established, now)
    this.#finish = established.finish && { datagram: established.finish, nextAt: now }
    this.#heard(now)
    this.#steering.agreed(established.route, now)
    if (established.isInitiator) this.#transport.ping()
    this.#transport.wake()
  }

  sendMessage(payload: Uint8Array): number {
    this.#speak()
    return this.#transport.sendMessage(payload)
  }

  sendDatagram(payload: Uint8Array): boolean {
    this.#speak()
    return this.#transport.sendDatagram(payload)
  }

  openStream(): number {
    this.#speak()
    return this.#transport.openStream()
  }

  writeStream(stream: number, data: Uint8Array): void {
    this.#speak()
    this.#transport.writeStream(stream, data)
  }

  finishStream(stream: number): void {
    this.#speak()
    this.#transport.finishStream(stream)
  }

  resetStream(stream: number, code: number): void {
    this.#speak()
    this.#transport.resetStream(stream, code)
  }

  consumeStream(stream: number, bytes: number): void {
    this.#speak()
    this.#transport.consumeStream(stream, bytes)
  }

  /** Sends a RELAY, RELAYED or RELAY_REFUSED frame; false when there is no way to the remote. */
  relay(frame: SessionFrame): boolean {
    const path = this.#steering.active
    if (this.#state !== 'up' || path === undefined) return false
    this.#transport.pushFrame(path.number, frame)
    // What is relayed is not repeated: a way that ended while nobody used it has to show.
    if (this.#liveness.isDormant) {
      this.#transport.ping()
      this.#hasSpoken = true
    }
    this.#host.touch(this)
    return true
  }

  /** Tries an address that the remote named as its own inside this session, or a relay. */
  tryRoute(route: Route, now: Instant): void {
    if (this.#steering.tryRoute(route, now)) this.#host.touch(this)
  }

  /** Any other path of its kind is better than one by this socket of ours. */
  retire(socket: number): void {
    this.#steering.retire(socket)
  }

  /** Ends the paths by a socket that is about to close, but for one that is in use. */
  letGo(socket: number): void {
    this.#steering.letGo(socket)
  }

  /**
   * Sends one datagram along a route that says nothing, waits for nothing and makes no path here. It
   * opens the way from there to us; where it arrives, the remote challenges what it came from.
   */
  knock(route: Route, now: Instant): void {
    if (this.#state === 'down') return
    const { number, largestAcked, frames } = this.#transport.takeUntracked(KNOCK_BYTES)
    this.#host.send(route, this.#keys.seal(number, largestAcked, frames, now, RELAYED_NUMBER_BYTES))
  }

  /** The session with a relay ended, was lost, or it refuses: what goes by it takes another path. */
  relayGone(via: PeerId, now: Instant): void {
    if (this.#state === 'down') return
    this.#steering.relayGone(via, now)
    this.#host.touch(this)
  }

  /** One sealed datagram for one of our connection ids. */
  receive(cid: number, data: Uint8Array, route: Route, now: Instant): void {
    if (this.#state === 'down') return
    const opened = this.#keys.open(cid, data, this.#replay.highest)
    if (opened === undefined) return this.#host.reject('unauthentic', route)
    if (!this.#replay.check(opened.number)) return this.#host.reject('replayed', route)
    this.#replay.accept(opened.number)
    this.#finish = undefined
    const path = this.#steering.heardFrom(route, data.length, now)
    this.#heard(now)
    const number = path?.number ?? NO_PATH
    const reception = this.#transport.receive(number, opened.number, opened.frames, now)
    if (reception === 'violation') {
      this.#host.reject('malformed', route)
      this.close(now)
      this.#host.event(this, { type: 'down', why: 'closed' }, now)
      return
    }
    // The remote is there again: what it misses need not wait for a timeout that has grown.
    if (this.#transport.ptoCount >= WAKE_PTOS) this.#transport.wake()
    if (reception === 'data') {
      this.#used(now)
      this.#liveness.heardData(now)
    }
    this.#steering.heard(path, reception, opened.number, now)
  }

  /** The host slept, or its own addresses changed: find out at once who is still there. */
  wake(now: Instant): void {
    if (this.#state === 'down' || this.#liveness.isDormant) return
    this.#liveness.wake(now)
    this.#silentAt = (now + WAKE_PATIENCE_MS) as Instant
    this.#probeAt = now
    this.#probeGapMs = LOST_PROBE_MIN_MS
    this.#steering.wake(now)
    this.#transport.ping()
    this.#transport.wake()
  }

  /** Asks the remote for a sign of life by the path in use. */
  ping(): void {
    this.#transport.ping()
    this.#host.touch(this)
  }

  /** Says good-bye; `isLetGo`: but is still there for others. */
  close(now: Instant, isLetGo = false): void {
    const path = this.#steering.active
    if (this.#state !== 'down' && path !== undefined) {
      this.#isLetGo = isLetGo
      this.#transport.pushFrame(path.number, { type: 'close', code: isLetGo ? CLOSE_LET_GO : 0 })
      this.#flush(now)
    }
    this.#state = 'down'
  }

  deadline(): Deadline | undefined {
    if (this.#state === 'down') return undefined
    let first = due(this.#steering.probeAt(this.#keepsStandby), 'path probe')
    first = earlier(first, due(this.#silentAt, 'answer due'))
    first = earlier(first, due(this.#finish?.nextAt, 'handshake finish'))
    if (this.#state === 'lost') return earlier(first, due(this.#probeAt, 'lost probe'))
    first = earlier(first, this.#transport.deadline())
    first = earlier(first, due(this.#steering.judgeAt(), 'path suspect'))
    return earlier(first, this.#liveness.deadline(this.owes))
  }

  onDeadline(now: Instant): void {
    if (this.#state === 'down') return
    this.#checkAnswer(now)
    if (this.#state === 'lost') this.#probeLost(now)
    else this.#checkLiveness(now)
  }

  /** Sends and reports whatever is due. */
  settle(now: Instant): void {
    if (this.#state === 'down') return
    if (this.#hasSpoken) this.#used(now)
    this.#hasSpoken = false
    this.#steering.probe(this.#keepsStandby, now)
    this.#repeatFinish(now)
    for (;;) {
      const event = this.#transport.poll()
      if (event === undefined) break
      if (event.type === 'frame') this.#onFrame(event.path, event.frame, now)
      else this.#host.event(this, { type: 'transport', event }, now)
      if (this.state === 'down') return
    }
    if (this.#state === 'up') this.#flush(now)
  }

  get #keepsStandby(): boolean {
    return this.#state === 'up' && !this.#liveness.isDormant
  }

  #used(now: Instant): void {
    this.#usedAt = now
    if (!this.#liveness.isDormant) return
    this.#liveness.rouse(now)
    this.#host.event(this, { type: 'woke' }, now)
  }

  #speak(): void {
    this.#hasSpoken = true
    this.#host.touch(this)
  }

  #checkLiveness(now: Instant): void {
    this.#transport.onDeadline(now)
    if (this.#liveness.isLost(now, this.owes)) return this.#lose(now)
    if (this.#liveness.takePing(now)) this.#transport.ping()
    this.#steering.judge(now)
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

  #heard(now: Instant): void {
    this.#liveness.heard(now)
    this.#silentAt = undefined
    if (this.#state !== 'lost') return
    this.#state = 'up'
    this.#lostAt = undefined
    this.#probeAt = undefined
    this.#transport.wake()
    this.#host.event(this, { type: 'back' }, now)
  }

  #repeatFinish(now: Instant): void {
    const finish = this.#finish
    const route = this.route
    if (finish === undefined || route === undefined || now < finish.nextAt) return
    finish.nextAt = (now + FINISH_GAP_MS) as Instant
    this.#host.send(route, finish.datagram)
  }

  #onFrame(number: number, frame: SessionFrame, now: Instant): void {
    switch (frame.type) {
      case 'challenge':
        return this.#answer(number, frame.nonce)
      case 'response':
        return this.#steering.responded(number, frame.nonce, now)
      case 'observed': {
        const route = this.#steering.byNumber(number)?.route
        if (route === undefined) return
        const { address } = frame
        return this.#host.event(this, { type: 'observed', address, route }, now)
      }
      case 'close':
        this.#isLetGo = frame.code === CLOSE_LET_GO
        return this.#end('closed', now)
      default:
        this.#host.event(this, { type: 'relay', frame }, now)
    }
  }

  #answer(number: number, nonce: Uint8Array): void {
    const path = this.#steering.byNumber(number)
    if (path === undefined) return
    this.#transport.pushFrame(number, { type: 'response', nonce })
    if (path.route.kind !== 'udp') return
    const { host, port } = path.route.endpoint
    this.#transport.pushFrame(number, { type: 'observed', address: { host, port } })
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
    const path = this.#steering.byNumber(next.path)
    if (path === undefined) return
    const numberBytes = path.kind === 'relayed' ? RELAYED_NUMBER_BYTES : 1
    const datagram = this.#keys.seal(next.number, next.largestAcked, next.frames, now, numberBytes)
    if (!this.#steering.mayCarry(path, datagram.length)) return
    path.sentBytes += datagram.length
    this.#host.send(path.route, datagram)
  }

  #end(why: 'closed' | 'timeout', now: Instant): void {
    if (this.#state === 'down') return
    this.#state = 'down'
    this.#host.event(this, { type: 'down', why }, now)
  }
}

function due(at: number | undefined, reason: string): Deadline | undefined {
  return at === undefined ? undefined : { at: at as Instant, reason }
}

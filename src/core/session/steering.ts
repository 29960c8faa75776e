import { TokenBucket } from '../collections/token-bucket.ts'
import type { Random } from '../crypto.ts'
import type { Instant, PeerId } from '../io.ts'
import type { Reception, Transport } from '../transport/transport.ts'
import { DATAGRAM_BYTES_MAX } from '../wire/datagram.ts'
import { isFaster, outranks } from './path-choice.ts'
import { type PathClaim, Paths } from './paths.ts'
import type { Route } from './route.ts'
import type { SessionEvent } from './session-host.ts'
import type { SessionPath } from './session-path.ts'

/**
 * Which path carries a session's data. It decides when a path is challenged, doubted, left and taken;
 * `paths.ts` keeps what is known of each. The initiator chooses, the responder answers where the
 * initiator speaks, and either leaves a path that does not answer for one that does.
 */
/** Data unacknowledged for so many probe timeouts makes a path suspect (transport.md §5.9). */
const SUSPECT_PTOS = 2
/** …and the remote sought by other ways too: later if other paths have yet to answer. Guesses. */
const SILENT_PTOS = 3
const SILENT_PTOS_BESIDE_OTHERS = 4
/** A path is quiet when nothing came for two round trips and this. Guess. */
const QUIET_MS = 100
/** A path that speaks while the active one is silent is challenged at once, but no more often. Guess. */
const HASTE_GAP_MS = 50
/** Changes for speed alone are at least so far apart. Guess. */
const FASTER_GAP_MS = 1_000
/** transport.md §5.6. */
const STANDBY_CHECK_MS = 15_000
const STANDBY_CHECKS_MAX = 3
/** A path that keeps dying is probed again, by the initiator, after 0, 1, 2, 4 … 64 s. Guesses. */
const DEATH_GAP_MS = 1_000
const DEATH_GAP_MAX_MS = 64_000
/** …unless it was good for so long. */
const REFORMED_MS = 60_000
/** A death within this of the last datagram heard is one under traffic. Guess: three of the pings after a flow. */
const TRAFFIC_MS = 3_000
/** Guess: two networks' worth of addresses, then one every 10 s: seven probes of 40 bytes each. */
const CANDIDATES_BURST = 16
const CANDIDATES_PER_S = 0.1
/** Sockets that are given up; each ends soon after. Guess. */
const RETIRED_MAX = 4
/** RELAY's 9 bytes of frame and at most 25 of sealing. */
const WRAPPING_BYTES = 9 + 25
/** A relayed datagram may be wrapped twice on its way. */
const RELAYED_DATAGRAM_BYTES = DATAGRAM_BYTES_MAX - 2 * WRAPPING_BYTES

interface Suspicion {
  /** It ends when something is acknowledged that was sent later. */
  readonly since: number
  /** The host slept or moved: not the path's fault. */
  readonly isWaking: boolean
  /** That nothing answered was reported. */
  isReported: boolean
}

export class Steering {
  readonly #transport: Transport
  readonly #isInitiator: boolean
  readonly #report: (event: SessionEvent, now: Instant) => void
  readonly #paths: Paths
  /** Addresses that the remote may still make us probe. */
  readonly #candidates: TokenBucket
  /** Where the newest datagram came from that tells where data should go, and its number. */
  #newest: SessionPath | undefined
  #newestNumber = -1
  #suspicion: Suspicion | undefined
  #fasterAt = Number.NEGATIVE_INFINITY
  #retired: readonly number[] = []

  constructor(
    options: {
      transport: Transport
      random: Random
      isInitiator: boolean
      report: (event: SessionEvent, now: Instant) => void
    },
    now: Instant,
  ) {
    this.#transport = options.transport
    this.#isInitiator = options.isInitiator
    this.#report = options.report
    this.#paths = new Paths(options.random)
    this.#candidates = new TokenBucket(CANDIDATES_PER_S, CANDIDATES_BURST, now)
  }

  get active(): SessionPath | undefined {
    return this.#paths.active
  }

  get all(): Iterable<SessionPath> {
    return this.#paths.all
  }

  byNumber(number: number): SessionPath | undefined {
    return this.#paths.byNumber(number)
  }

  mayCarry(path: SessionPath, bytes: number): boolean {
    return this.#paths.mayCarry(path, bytes)
  }

  /** A handshake took this route: it works, and what is known of the others is old. */
  agreed(route: Route, now: Instant): void {
    const path = this.#pathFor(route, 'agreed', now)
    const former = this.#paths.active
    if (path === undefined) return
    path.isInvited = true
    path.lastReceivedAt = now
    this.#prove(path, now)
    for (const other of this.#paths.all)
      if (other !== path && other.isProved) this.#leave(other, now)
    if (former === undefined || former === path || !this.#isSuspect) this.#activate(path, now)
    else this.#bury(former, path, now)
  }

  /** The path that an authentic datagram came by; undefined when there is no room for another. */
  heardFrom(route: Route, bytes: number, now: Instant): SessionPath | undefined {
    const path = this.#pathFor(route, 'heard', now)
    if (path === undefined) return undefined
    const isFirst = path.receivedBytes === 0
    path.receivedBytes += bytes
    path.lastReceivedAt = now
    if (path.isProved) return path
    if (path.probesLeft === 0) this.#paths.startProbing(path, now)
    // The way is open by what is heard on it: no waiting for the next probe (RFC 8445 §7.3.1.4).
    else if (isFirst) path.dueAt = now
    return path
  }

  /** What the datagram was, once the transport has read it. */
  heard(path: SessionPath | undefined, reception: Reception, number: number, now: Instant): void {
    if (this.#suspicion !== undefined) this.judge(now)
    if (path !== undefined && this.#isSuspect) this.#hasten(path, now)
    if (path === undefined || reception === 'aside' || number <= this.#newestNumber) return
    this.#newestNumber = number
    this.#newest = path
    this.#follow(now)
  }

  /** Begins to probe a route, or begins again where that failed. */
  tryRoute(route: Route, now: Instant): boolean {
    const known = this.#paths.find(route)
    if (known?.isProved || (known !== undefined && known.probesLeft > 0)) return false
    if (!this.#isProvedPlace(route) && !this.#candidates.take(1, now)) return false
    if (known === undefined) return this.#pathFor(route, 'named', now) !== undefined
    known.isInvited = true
    this.#paths.startProbing(known, now)
    return true
  }

  /** Paths by this socket of ours are the last choice of their kind. */
  retire(socket: number): void {
    this.#retired = [...this.#retired.slice(1 - RETIRED_MAX), socket]
    for (const path of this.#paths.all) if (isBy(path.route, socket)) path.isRetired = true
  }

  /** A socket of ours is about to close: the paths by it end, but for one that is in use. */
  letGo(socket: number): void {
    for (const path of [...this.#paths.all]) {
      if (isBy(path.route, socket) && path !== this.#paths.active) this.#remove(path)
    }
  }

  /** The session with a relay ended, was lost, or it refuses: nothing goes that way. */
  relayGone(via: PeerId, now: Instant): void {
    const active = this.#paths.active
    for (const path of [...this.#paths.all]) {
      if (path.route.kind !== 'relay' || path.route.via !== via) continue
      if (path !== active) this.#remove(path)
    }
    if (active?.route.kind !== 'relay' || active.route.via !== via || !active.isProved) return
    const other = this.#paths.bestOther()
    if (other === undefined) {
      this.#unprove(active)
      active.probesLeft = 0
      active.dueAt = undefined
      return this.#report({ type: 'silent' }, now)
    }
    this.#activate(other, now)
    this.#remove(active)
    this.#transport.ping()
  }

  responded(by: number, nonce: Uint8Array, now: Instant): void {
    const challenged = this.#paths.challenged(nonce)
    if (challenged === undefined) return
    const { path, at } = challenged
    const wasProved = path.isProved
    if (path.number === by) {
      const rttMs = now - at
      path.rttMs = path.rttMs === undefined ? rttMs : 0.75 * path.rttMs + 0.25 * rttMs
      this.#transport.seedRtt(path.number, rttMs, now)
    }
    this.#prove(path, now)
    const active = this.#paths.active
    if (active?.isProved !== true) this.#activate(path, now)
    else if (path !== active && this.#isSuspect) this.#bury(active, path, now)
    else if (path !== active) this.#consider(path, active, now)
    if (this.#paths.active !== path) this.#follow(now)
    if (!wasProved && !path.isInvited) this.#tellPlace(path)
    if (!wasProved && this.#paths.active === active) this.#report({ type: 'path' }, now)
  }

  /** The host slept or moved: every way to the remote is in doubt. */
  wake(now: Instant): void {
    this.#suspect({ since: now - 1, isWaking: true, isReported: true }, now)
  }

  /** Judges the path that carries the data by what it leaves unacknowledged. */
  judge(now: Instant): void {
    if (this.#suspicion !== undefined && !this.#isSuspect) this.#calm(now)
    const owedSince = this.#transport.owedSince
    if (owedSince === undefined) return
    const { probeTimeoutMs } = this.#transport
    if (this.#suspicion === undefined && now >= owedSince + SUSPECT_PTOS * probeTimeoutMs) {
      this.#suspect({ since: owedSince, isWaking: false, isReported: false }, now)
    }
    const suspicion = this.#suspicion
    if (suspicion === undefined || suspicion.isReported) return
    if (now < owedSince + this.#silentPtos * probeTimeoutMs) return
    suspicion.isReported = true
    this.#report({ type: 'silent' }, now)
  }

  judgeAt(): number | undefined {
    const owedSince = this.#transport.owedSince
    if (owedSince === undefined || this.#suspicion?.isReported) return undefined
    const ptos = this.#suspicion === undefined ? SUSPECT_PTOS : this.#silentPtos
    return owedSince + ptos * this.#transport.probeTimeoutMs
  }

  /** Sends the challenges that are due. */
  probe(keepsStandby: boolean, now: Instant): void {
    for (const path of [...this.#paths.all]) {
      const step = this.#paths.step(path, now)
      if (step === 'probe') this.#challenge(path, now)
      else if (step === 'failed') this.#unprove(path)
      else if (step === 'forget') this.#remove(path)
    }
    const standby = keepsStandby ? this.#standby() : undefined
    if (standby === undefined || now < standby.checkedAt + STANDBY_CHECK_MS) return
    if (standby.unanswered >= STANDBY_CHECKS_MAX) {
      this.#remove(standby)
      return this.#report({ type: 'path' }, now)
    }
    standby.unanswered++
    standby.checkedAt = now
    this.#challenge(standby, now)
  }

  probeAt(keepsStandby: boolean): number | undefined {
    const dueAt = this.#paths.nextDueAt()
    const standby = keepsStandby ? this.#standby() : undefined
    if (standby === undefined) return dueAt
    return Math.min(dueAt ?? Number.POSITIVE_INFINITY, standby.checkedAt + STANDBY_CHECK_MS)
  }

  /** The relay to fall back on when the one in use fails: one side keeps it warm for both. */
  #standby(): SessionPath | undefined {
    if (!this.#isInitiator || this.#paths.active?.kind !== 'relayed') return undefined
    const active = this.#paths.active?.route
    const via = active?.kind === 'relay' ? active.via : undefined
    return this.#paths.bestOther('relayed', via)
  }

  get #silentPtos(): number {
    return this.#paths.bestOther() === undefined ? SILENT_PTOS : SILENT_PTOS_BESIDE_OTHERS
  }

  /** Nothing sent since has been acknowledged. */
  get #isSuspect(): boolean {
    if (this.#suspicion === undefined) return false
    const { ackedSentAt } = this.#transport
    return ackedSentAt === undefined || ackedSentAt <= this.#suspicion.since
  }

  #suspect(suspicion: Suspicion, now: Instant): void {
    this.#suspicion = suspicion
    this.#probeOthers(now)
  }

  /** A path that brings something while the active one is silent is asked without waiting. */
  #hasten(path: SessionPath, now: Instant): void {
    const askedAt = path.challenges.at(-1)?.at ?? Number.NEGATIVE_INFINITY
    if (path === this.#paths.active || now - askedAt < HASTE_GAP_MS) return
    this.#paths.startProbing(path, now)
  }

  /** The active path answered after all. What failed meanwhile gets another chance. */
  #calm(now: Instant): void {
    this.#suspicion = undefined
    for (const path of this.#paths.all) {
      const hasFailed = !path.isProved && path.probesLeft === 0 && path.provedAt !== undefined
      if (hasFailed && path !== this.#paths.active) this.#paths.startProbing(path, now)
    }
  }

  #probeOthers(now: Instant): void {
    for (const path of this.#paths.all) {
      if (path === this.#paths.active || path.probesLeft > 0) continue
      // A remote that is deaf by turns would have us probe a third party that it named without end.
      const wasProved = path.provedAt !== undefined
      if (!wasProved && !(path.isInvited && this.#candidates.take(1, now))) continue
      this.#paths.startProbing(path, now)
    }
  }

  /**
   * The initiator takes a better kind of path, and a faster one of the same kind; either side one that
   * takes the place of one it gives up.
   */
  #consider(path: SessionPath, active: SessionPath, now: Instant): void {
    if (!this.#isInitiator && (!active.isRetired || path.kind !== active.kind)) return
    if (outranks(path, active)) return this.#activate(path, now)
    if (!this.#isInitiator) return
    if (now < this.#fasterAt + FASTER_GAP_MS) return
    if (!isFaster(path, active, this.#transport.rttMs())) return
    this.#fasterAt = now
    this.#activate(path, now)
  }

  /**
   * Goes where the newest datagram came from, once that path is proved. The responder does so unless
   * a better path still speaks; the initiator, when its own is quiet or the responder chose another of
   * the same kind. Asked again when the path is
   * proved: a remote that moved may have nothing more to send.
   */
  #follow(now: Instant): void {
    const active = this.#paths.active
    const path = this.#newest
    if (path === undefined || !path.isProved || path === active) return
    if (active === undefined) return this.#activate(path, now)
    if (this.#isSuspect) return this.#bury(active, path, now)
    const isQuiet = this.#isQuiet(now)
    const isLesser = outranks(active, path)
    // The initiator comes after us once it hears nothing more there.
    if (!this.#isInitiator && path.isRetired && isLesser) return
    if (this.#isInitiator && isLesser) {
      // The responder left our path: does ours still answer?
      if (isQuiet && this.#transport.owedSince === undefined) this.#transport.ping()
      return
    }
    const isOurChoice = this.#isInitiator && !outranks(path, active) && !this.#isSettled(now)
    if (!isQuiet && (isLesser || isOurChoice)) return
    this.#activate(path, now)
    if (isQuiet && !outranks(path, active)) this.#leave(active, now)
  }

  /** Had the responder come after us, it would be here. */
  #isSettled(now: Instant): boolean {
    const at = this.#paths.active?.activatedAt ?? now
    return at < now - 2 * this.#transport.rttMs() - QUIET_MS
  }

  #isQuiet(now: Instant): boolean {
    const heardAt = this.#paths.active?.lastReceivedAt ?? 0
    return heardAt < now - 2 * this.#transport.rttMs() - QUIET_MS
  }

  /** Leaves a path that does not answer for one that does. */
  #bury(former: SessionPath, path: SessionPath, now: Instant): void {
    const isWaking = this.#suspicion?.isWaking === true
    const owedSince = this.#transport.owedSince ?? now
    if (now - former.activatedAt >= REFORMED_MS) former.deaths = 0
    const gapMs =
      this.#isInitiator && former.deaths > 0 ? DEATH_GAP_MS * 2 ** (former.deaths - 1) : 0
    former.deaths++
    this.#activate(path, now)
    this.#transport.abandon(former.number)
    this.#leave(former, (now + Math.min(DEATH_GAP_MAX_MS, gapMs)) as Instant)
    if (isWaking || former.lastReceivedAt < owedSince - TRAFFIC_MS) return
    const ageMs = former.lastReceivedAt - (former.provedAt ?? former.madeAt)
    this.#report({ type: 'pathDied', ageMs, kind: former.kind }, now)
  }

  /** What is left for silence has to prove itself again. */
  #leave(path: SessionPath, probeAt: Instant): void {
    this.#unprove(path)
    this.#paths.startProbing(path, probeAt)
  }

  #activate(path: SessionPath, now: Instant): void {
    const former = this.#paths.active
    if (former === path) return
    this.#suspicion = undefined
    this.#paths.activate(path, now)
    path.probesLeft = 0
    path.dueAt = undefined
    this.#transport.setActivePath(path.number)
    // The other side follows what is said, and there may be nothing else to say.
    if ((this.#isInitiator || former?.isRetired) && former !== undefined) this.#transport.ping()
    this.#report({ type: 'path' }, now)
  }

  #pathFor(route: Route, claim: PathClaim, now: Instant): SessionPath | undefined {
    const known = this.#paths.find(route)
    if (known !== undefined) return known
    const room = this.#paths.roomFor(claim, now)
    if (room === undefined) return undefined
    if (room.evicted !== undefined) this.#remove(room.evicted)
    const path = this.#paths.add(route, claim, now)
    path.isRetired = this.#retired.some((socket) => isBy(route, socket))
    const isRelayed = route.kind === 'relay'
    this.#transport.addPath(path.number, {
      datagramBytes: isRelayed ? RELAYED_DATAGRAM_BYTES : DATAGRAM_BYTES_MAX,
      wrapBytes: isRelayed ? DATAGRAM_BYTES_MAX - WRAPPING_BYTES : DATAGRAM_BYTES_MAX,
      isProved: false,
    })
    return path
  }

  /** The remote is at that address: nobody else is written to. */
  #isProvedPlace(route: Route): boolean {
    if (route.kind === 'relay') return true
    const { host, port } = route.endpoint
    for (const { isProved, route: other } of this.#paths.all) {
      if (!isProved || other.kind === 'relay') continue
      if (other.endpoint.host === host && other.endpoint.port === port) return true
    }
    return false
  }

  /** A remote that came from elsewhere may not know where it is seen. */
  #tellPlace({ number, route }: SessionPath): void {
    if (route.kind === 'relay') return
    const { host, port } = route.endpoint
    this.#transport.pushFrame(number, { type: 'observed', address: { host, port } })
  }

  #challenge(path: SessionPath, now: Instant): void {
    const nonce = this.#paths.challenge(path, now)
    this.#transport.pushFrame(path.number, { type: 'challenge', nonce })
  }

  #prove(path: SessionPath, now: Instant): void {
    this.#paths.prove(path, now)
    this.#transport.setProved(path.number, true)
  }

  #unprove(path: SessionPath): void {
    path.isProved = false
    this.#transport.setProved(path.number, false)
  }

  #remove(path: SessionPath): void {
    this.#paths.remove(path)
    this.#transport.removePath(path.number)
    if (this.#newest === path) this.#newest = undefined
  }
}

function isBy(route: Route, socket: number): boolean {
  return route.kind === 'udp' && route.endpoint.socket === socket
}

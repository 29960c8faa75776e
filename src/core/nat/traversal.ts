import { TimerQueue } from '../collections/timer-queue.ts'
import type { Random } from '../crypto.ts'
import type { Deadline, Instant, LocalAddress, NatVector, PeerId } from '../io.ts'
import { isSameRoute, type Route } from '../session/route.ts'
import { type Aim, ATTEMPTED, Attempt, type AttemptHost } from './attempt.ts'
import { isBelievableAim } from './believable-aim.ts'
import { Candidates } from './candidates.ts'
import type { Forecast } from './foresight.ts'
import { KeptSockets } from './kept-sockets.ts'
import type { NatMessage } from './messages.ts'
import { isAwake, newPursuit, type Pursuit } from './pursuit.ts'
import type { ScratchSockets } from './scratch-sockets.ts'
import { SharedBudget } from './shared-budget.ts'
import { SprayBudget } from './spray-budget.ts'
import { effectiveVector, type Strategy, strategy } from './strategy.ts'
import { isEqual, Telling, type TellingHost } from './telling.ts'
import type { TraversalSession } from './traversal-session.ts'
import { Turns } from './turns.ts'
import { encodeVector } from './vector.ts'
import { Witnesses } from './witnesses.ts'

/**
 * How relayed sessions become direct: it tells remotes where we may be, has their addresses probed,
 * begins what the strategy says when probing was not enough, and tries again later. It decides what is
 * sent where and how much of it; proving and choosing paths is the session's business, finding out what
 * we are behind the survey's.
 */
export interface TraversalHost extends TellingHost {
  hasIpv6(): boolean
  sessions(): Iterable<TraversalSession>
  sessionOf(peer: PeerId): TraversalSession | undefined
  withPrefix(prefix: string): TraversalSession | undefined
  /** Through neighbours that we have a direct session with, best first. */
  relaysTo(peer: PeerId): readonly Route[]
  /** Where our NAT puts the next mappings. */
  forecast(now: Instant, done: (forecast: Forecast | undefined, now: Instant) => void): void
}

type Timer = 'tell' | 'retry' | 'grace' | 'attempt' | 'standby'

const GRACE_MIN_MS = 150
const GRACE_MAX_MS = 1_000
const GRACE_RTTS = 3
/** After the session became relayed (transport.md §5.4), and from then on as far apart as the last. */
const RETRIES_MS: readonly number[] = [5_000, 15_000, 60_000, 300_000]
const RETRY_GAP_MS = 300_000
const STANDBY_FIRST_MS = 1_000
const STANDBY_MS = 15_000
const SWEEP_MS = 5_000
/** Guess: longer than a lost message takes to be repeated, and sockets opened for an aim are kept. */
const EARLY_AIM_MS = 2_000
/**
 * Guess: eight addresses of every peer of a network of 64, then one every quarter of a second. Beside
 * them each remote's likeliest four, and again with every retry: for half of all sessions at once, and
 * for all of them in the long run.
 */
const ALL_CANDIDATES = {
  burst: 512,
  perSecond: 4,
  ownBurst: 4,
  ownPerSecond: 4 / 300,
  reserveBurst: 2_048,
  reservePerSecond: 16,
}
/** Guess: a network of 64 meets at once. Beside that one for each remote, and again with every retry. */
const ALL_ATTEMPTS = {
  burst: 64,
  perSecond: 2,
  ownBurst: 1,
  ownPerSecond: 1 / 300,
  reserveBurst: 128,
  reservePerSecond: 4,
}

export class Traversal {
  readonly #host: TraversalHost
  readonly #scratch: ScratchSockets
  readonly #budget: SprayBudget
  readonly #witnesses: Witnesses
  readonly #telling: Telling
  readonly #attemptHost: AttemptHost
  readonly #turns = new Turns()
  readonly #timers = new TimerQueue<string>()
  readonly #pursuits = new Map<PeerId, Pursuit>()
  /** Addresses that remotes named and that we may yet write to unwitnessed. */
  readonly #candidates: SharedBudget
  readonly #attempts: SharedBudget
  readonly #kept: KeptSockets
  readonly #counters: Record<string, number> = {}

  constructor(
    options: { random: Random; host: TraversalHost; scratch: ScratchSockets },
    now: Instant,
  ) {
    const { random, host, scratch } = options
    this.#host = host
    this.#scratch = scratch
    this.#kept = new KeptSockets(scratch)
    this.#budget = new SprayBudget(now)
    this.#witnesses = new Witnesses(host, now)
    this.#telling = new Telling(host)
    this.#candidates = new SharedBudget(ALL_CANDIDATES, now)
    this.#attempts = new SharedBudget(ALL_ATTEMPTS, now)
    this.#attemptHost = this.#makeAttemptHost(random)
  }

  /** What the remote says it is behind. */
  natOf(peer: PeerId): NatVector | undefined {
    return this.#pursuits.get(peer)?.theirs
  }

  /** Since it was made: `knocks`, `sprays`, and what was refused. */
  get counters(): Readonly<Record<string, number>> {
    return this.#counters
  }

  sessionUp(session: TraversalSession, now: Instant): void {
    let pursuit = this.#pursuits.get(session.peer)
    if (pursuit?.session !== session) {
      if (pursuit !== undefined) this.sessionGone(pursuit.session, now)
      const shared = { attempts: this.#attempts, candidates: this.#candidates }
      pursuit = newPursuit(session, shared, now)
      this.#pursuits.set(session.peer, pursuit)
    }
    this.#telling.tell(pursuit, now)
    if (session.path === 'relayed') this.#becameRelayed(pursuit, now)
    else if (pursuit.isRelayed) this.#stop(pursuit, now, true)
  }

  /** The session ended for good. A lost one may stay: nothing is done for it until it is up again. */
  sessionGone(session: TraversalSession, now: Instant): void {
    const pursuit = this.#pursuits.get(session.peer)
    if (pursuit?.session !== session) return
    this.#stop(pursuit, now, false)
    this.#timers.clear(`tell ${session.peer}`)
    this.#pursuits.delete(session.peer)
  }

  pathChanged(session: TraversalSession, now: Instant): void {
    const pursuit = this.#pursuits.get(session.peer)
    if (pursuit?.session !== session) return
    if (session.path !== 'relayed') {
      if (pursuit.isRelayed) this.#stop(pursuit, now, true)
    } else if (pursuit.isRelayed) {
      this.#set(pursuit, 'standby', (now + STANDBY_FIRST_MS) as Instant)
    } else {
      this.#telling.tell(pursuit, now)
      this.#becameRelayed(pursuit, now)
    }
  }

  /** A dormant session is used again: it missed what we told others. */
  woke(session: TraversalSession, now: Instant): void {
    const pursuit = this.#pursuits.get(session.peer)
    if (pursuit?.session !== session) return
    this.#tellSoon(pursuit, now)
    if (pursuit.isRelayed) this.#scheduleRetry(pursuit, now, 0)
  }

  /** Our addresses, or what we know of our NAT, changed. */
  selfChanged(now: Instant): void {
    for (const pursuit of this.#pursuits.values()) {
      if (!isAwake(pursuit)) continue
      this.#tellSoon(pursuit, now)
      if (!pursuit.isRelayed) continue
      this.#pursue(pursuit, now)
      this.#takeEarlyAim(pursuit, now)
    }
  }

  /** Our network is another: what failed may work. */
  networkChanged(now: Instant): void {
    for (const pursuit of this.#pursuits.values()) {
      if (pursuit.session.state !== 'up') continue
      const { isRelayed } = pursuit
      this.#stop(pursuit, now, false)
      pursuit.told = undefined
      this.#tellSoon(pursuit, now)
      if (isRelayed) this.#becameRelayed(pursuit, now)
    }
  }

  /** Tells a remote of one more address of ours, at which it is to write to the socket we use. */
  tellAlso(peer: PeerId, address: LocalAddress, now: Instant): void {
    const pursuit = this.#pursuits.get(peer)
    if (pursuit !== undefined) this.#telling.tellAlso(pursuit, address, now)
  }

  message(session: TraversalSession, message: NatMessage, now: Instant): void {
    const pursuit = this.#pursuits.get(session.peer)
    if (pursuit?.session !== session) return
    switch (message.type) {
      case 'candidates':
        return this.#onCandidates(pursuit, message.nat, message.addresses, now)
      case 'aim':
        if (!this.#onAim(pursuit, message, now)) this.#count('aimsIgnored', 1)
        return
      case 'witnessAsk':
        if (!this.#witnesses.answer(session, message, now)) this.#count('asksIgnored', 1)
        return
      case 'witness': {
        const prefix = this.#witnesses.heard(session.peer, message)
        const seen = prefix === undefined ? undefined : this.#host.withPrefix(prefix)
        if (seen !== undefined) this.#pursuits.get(seen.peer)?.attempt?.witnessed(now)
        return
      }
      case 'knock':
        return
    }
  }

  /** A scratch socket is bound. */
  socketUp(socket: number, now: Instant): void {
    const port = this.#scratch.addressOf(socket)?.port
    if (port === undefined) return
    for (const pursuit of this.#pursuits.values()) pursuit.attempt?.socketUp(socket, port, now)
  }

  deadline(): Deadline | undefined {
    const next = this.#timers.earliest()
    return next && { at: next.at as Instant, reason: next.reason }
  }

  onDeadline(now: Instant): void {
    for (;;) {
      const key = this.#timers.takeDue(now)
      if (key === undefined) return
      if (key === 'sweep') {
        this.#sweep(now)
        continue
      }
      const [timer, peer] = key.split(' ')
      const pursuit = this.#pursuits.get(peer as PeerId)
      if (pursuit !== undefined) this.#onTimer(pursuit, timer as Timer, now)
    }
  }

  #onTimer(pursuit: Pursuit, timer: Timer, now: Instant): void {
    const isUp = isAwake(pursuit)
    switch (timer) {
      case 'tell':
        if (isUp) this.#tellSoon(pursuit, now)
        return
      case 'retry':
        return this.#retry(pursuit, now)
      case 'grace':
        if (isUp && pursuit.attempt === undefined) this.#endGrace(pursuit, now)
        return
      case 'attempt':
        if (isUp) pursuit.attempt?.onDeadline(now)
        else pursuit.attempt?.stop(now, false)
        return this.#dropIfOver(pursuit)
      case 'standby':
        if (isUp) this.#standby(pursuit, now)
        return this.#set(pursuit, 'standby', (now + STANDBY_MS) as Instant)
    }
  }

  #becameRelayed(pursuit: Pursuit, now: Instant): void {
    pursuit.isRelayed = true
    this.#scheduleRetry(pursuit, now, 0)
    this.#set(pursuit, 'standby', (now + STANDBY_FIRST_MS) as Instant)
    pursuit.graceFrom = now
    if (pursuit.theirs === undefined) return
    this.#probe(pursuit, pursuit.addresses, now)
    this.#pursue(pursuit, now)
  }

  #stop(pursuit: Pursuit, now: Instant, isFound: boolean): void {
    const { attempt } = pursuit
    pursuit.attempt = undefined
    pursuit.early = undefined
    pursuit.isRelayed = false
    attempt?.stop(now, isFound)
    for (const timer of ['retry', 'grace', 'attempt', 'standby']) {
      this.#timers.clear(`${timer} ${pursuit.session.peer}`)
    }
  }

  /** Unless the remote knows already; not before some time after the last. */
  #tellSoon(pursuit: Pursuit, now: Instant): void {
    const at = this.#telling.tellSoon(pursuit, now)
    if (at !== undefined) this.#set(pursuit, 'tell', at)
  }

  #onCandidates(
    pursuit: Pursuit,
    nat: NatVector,
    told: readonly LocalAddress[],
    now: Instant,
  ): void {
    const before = pursuit.addresses
    const addresses = Candidates.usable(told, this.#host.candidates())
    const isChanged =
      pursuit.theirs === undefined ||
      !isEqual(encodeVector(pursuit.theirs), encodeVector(nat)) ||
      !Candidates.isSame(before, addresses)
    const isFirst = pursuit.theirs === undefined
    pursuit.theirs = nat
    pursuit.addresses = addresses
    const { path } = pursuit.session
    if (path === 'lan') return
    if (path !== 'relayed') {
      const fresh = addresses.filter((address) => !Candidates.includes(before, address))
      return this.#probe(pursuit, fresh, now)
    }
    this.#probe(pursuit, addresses, now)
    if (isFirst || !isChanged) pursuit.graceFrom = now
    if (isChanged && !isFirst) this.#scheduleRetry(pursuit, now, 0)
    this.#pursue(pursuit, now)
    this.#takeEarlyAim(pursuit, now)
  }

  #onAim(pursuit: Pursuit, aim: Aim, now: Instant): boolean {
    const { session } = pursuit
    if (!pursuit.aims.take(1, now)) return false
    if (session.state !== 'up' || session.path !== 'relayed') return false
    // Messages may overtake each other: what explains this one may be under way.
    pursuit.early = { aim, at: now }
    const isUnexplained = this.#plan(pursuit) === undefined
    this.#takeEarlyAim(pursuit, now)
    return pursuit.early === undefined || isUnexplained
  }

  /** An aim that came before we knew what to make of it. */
  #takeEarlyAim(pursuit: Pursuit, now: Instant): void {
    const { early } = pursuit
    if (early === undefined || now - early.at >= EARLY_AIM_MS) return
    if (!isBelievableAim(early.aim, pursuit.addresses)) return
    // The remote's grace may have ended before ours.
    if (pursuit.attempt === undefined) this.#begin(pursuit, now)
    if (pursuit.attempt === undefined) return
    pursuit.early = undefined
    pursuit.attempt.aim(early.aim, now)
    this.#dropIfOver(pursuit)
  }

  #probe(pursuit: Pursuit, addresses: readonly LocalAddress[], now: Instant): void {
    const { session } = pursuit
    for (const address of addresses) {
      const main = Candidates.endpoint(address, this.#host.hasIpv6())
      if (main === undefined || !this.#candidates.take(pursuit.ownCandidates, now)) continue
      // A remote that moves lets in the socket that it has been talking to.
      const isMove = session.route?.kind === 'udp' && Candidates.isPublicIpv4(address)
      const socket = isMove ? session.route.endpoint.socket : main.socket
      session.tryRoute({ kind: 'udp', endpoint: { ...main, socket } }, now)
    }
  }

  /** The round trip is seldom known when the grace begins, so it is asked for when the least is over. */
  #endGrace(pursuit: Pursuit, now: Instant): void {
    const waitMs = Math.min(GRACE_MAX_MS, GRACE_RTTS * pursuit.session.rttMs)
    const at = pursuit.graceFrom + waitMs
    if (now >= at) return this.#begin(pursuit, now)
    this.#set(pursuit, 'grace', Math.min(at, now + GRACE_MIN_MS) as Instant)
  }

  #plan(pursuit: Pursuit): Strategy | undefined {
    if (pursuit.theirs === undefined) return undefined
    const ours = this.#host.nat()
    const plan = strategy(effectiveVector(ours), pursuit.theirs)
    // A mapping that is not known yet soon will be: until then hundreds of ports are not bet on it.
    const isGuess = ours.mapping === 'unknown' || pursuit.theirs.mapping === 'unknown'
    if (plan.name === 'birthday' && isGuess && pursuit.retries === 0) return undefined
    return ATTEMPTED.has(plan.ours) ? plan : undefined
  }

  /** Makes sure that the attempt is the one that the strategy asks for. */
  #pursue(pursuit: Pursuit, now: Instant): void {
    const plan = this.#plan(pursuit)
    if (plan !== undefined && pursuit.attempt?.plan === plan) return
    pursuit.attempt?.stop(now, false)
    this.#dropIfOver(pursuit)
    const at = Math.max(now, pursuit.graceFrom + GRACE_MIN_MS) as Instant
    this.#set(pursuit, 'grace', plan === undefined ? undefined : at)
  }

  #begin(pursuit: Pursuit, now: Instant): void {
    const plan = this.#plan(pursuit)
    if (plan === undefined || pursuit.session.path !== 'relayed') return
    if (!pursuit.attempts.take(1, now)) return
    if (!this.#attempts.take(pursuit.ownAttempts, now)) return
    this.#timers.clear(`grace ${pursuit.session.peer}`)
    const { session } = pursuit
    // What the remote makes of our aims follows from what it knows of us.
    this.#telling.tellChanged(pursuit, now)
    const attempt = new Attempt(plan, session, this.#attemptHost, now)
    pursuit.attempt = attempt
    attempt.begin(now)
    this.#dropIfOver(pursuit)
  }

  #dropIfOver(pursuit: Pursuit): void {
    if (pursuit.attempt?.isOver !== true) return
    pursuit.attempt = undefined
    this.#timers.clear(`attempt ${pursuit.session.peer}`)
  }

  #retry(pursuit: Pursuit, now: Instant): void {
    this.#scheduleRetry(pursuit, now, pursuit.retries + 1)
    if (!isAwake(pursuit)) return
    this.#telling.tell(pursuit, now)
    this.#probe(pursuit, pursuit.addresses, now)
    if (pursuit.attempt === undefined) pursuit.graceFrom = now
    this.#pursue(pursuit, now)
  }

  #scheduleRetry(pursuit: Pursuit, now: Instant, retries: number): void {
    pursuit.retries = retries
    const at = RETRIES_MS[retries]
    const gapMs = at === undefined ? RETRY_GAP_MS : at - (RETRIES_MS[retries - 1] ?? 0)
    this.#set(pursuit, 'retry', (now + gapMs) as Instant)
  }

  /** A second way, for when the relay in use dies. */
  #standby(pursuit: Pursuit, now: Instant): void {
    const { session } = pursuit
    const inUse = session.route
    if (session.path !== 'relayed' || inUse === undefined) return
    const isOther = (route: Route) => route.kind === 'relay' && !isSameRoute(route, inUse)
    if (session.paths.some(({ route, isProved }) => isProved && isOther(route))) return
    const others = this.#host.relaysTo(session.peer).filter(isOther)
    const next = others[pursuit.standbys % Math.max(1, others.length)]
    if (next === undefined) return
    pursuit.standbys++
    session.tryRoute(next, now)
  }

  #sweep(now: Instant): void {
    this.#kept.sweep(this.#host.sessions(), now)
    this.#timers.set('sweep', this.#kept.size > 0 ? now + SWEEP_MS : undefined, 'sockets')
  }

  #count(name: string, by: number): void {
    this.#counters[name] = (this.#counters[name] ?? 0) + by
  }

  #set(pursuit: Pursuit, timer: Timer, at: Instant | undefined): void {
    this.#timers.set(`${timer} ${pursuit.session.peer}`, at, `traversal ${timer}`)
  }

  #makeAttemptHost(random: Random): AttemptHost {
    const host = this.#host
    return {
      random,
      scratch: this.#scratch,
      budget: this.#budget,
      nat: () => host.nat(),
      external: () => host.nat().external.find(Candidates.isPublicIpv4),
      forecast: (now, done) => host.forecast(now, done),
      targets: (peer) => this.#pursuits.get(peer)?.addresses.filter(Candidates.isPublicIpv4) ?? [],
      isWitnessed: (peer, at, now) => this.#witnesses.sees(peer, at, now),
      takeUnwitnessed: (peer, now) => {
        const own = this.#pursuits.get(peer)?.ownCandidates
        return own !== undefined && this.#candidates.take(own, now)
      },
      takeTurn: (peer) => this.#turns.take(peer),
      releaseTurn: (peer, now) => {
        const next = this.#turns.release(peer)
        const attempt = next && this.#pursuits.get(next)?.attempt
        if (attempt !== undefined) attempt.turnGiven(now)
        else if (next !== undefined) this.#attemptHost.releaseTurn(next, now)
      },
      releaseSockets: (session, sockets, now) => {
        const isSweeping = this.#kept.size > 0
        this.#kept.release(session, sockets, now)
        if (this.#kept.size > 0 && !isSweeping) this.#timers.set('sweep', now + SWEEP_MS, 'sockets')
      },
      schedule: (peer, at) => this.#timers.set(`attempt ${peer}`, at, 'traversal attempt'),
      count: (name, by) => this.#count(name, by),
    }
  }
}

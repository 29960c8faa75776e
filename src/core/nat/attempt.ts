import type { Random } from '../crypto.ts'
import type { Instant, LocalAddress, PeerId } from '../io.ts'
import { SOCKET_IPV4 } from '../io.ts'
import {
  type Forecast,
  portAfter,
  SPRAY_PORT_MAX,
  SPRAY_PORT_MIN,
  targetOf,
  windowOf,
} from './foresight.ts'
import { encodeNatMessage, type NatMessage } from './messages.ts'
import { PortPermutation } from './port-permutation.ts'
import { PortSearch } from './port-search.ts'
import { PortSweep } from './port-sweep.ts'
import type { Salvo } from './salvo.ts'
import type { ScratchSockets } from './scratch-sockets.ts'
import { SocketFan } from './socket-fan.ts'
import { type PermitHost, SprayPermit } from './spray-permit.ts'
import type { Move, Strategy } from './strategy.ts'
import type { TraversalSession } from './traversal-session.ts'

/**
 * One go at a direct path where probing alone cannot find it: the rounds of one strategy between us and
 * one remote. It decides what is foretold and when knocks leave. Whether there is to be an attempt, and
 * whether an AIM is believable, is decided before; whether a path is there, by the session.
 */
export interface AttemptHost extends PermitHost {
  readonly random: Random
  readonly scratch: ScratchSockets
  forecast(now: Instant, done: (forecast: Forecast | undefined, now: Instant) => void): void
  /** Public IPv4 addresses that the remote told. */
  targets(peer: PeerId): readonly LocalAddress[]
  /** One unwitnessed port of the budget that candidates have. */
  takeUnwitnessed(peer: PeerId, now: Instant): boolean
  /** Closes those that carry no path of the session, now or later. */
  releaseSockets(session: TraversalSession, sockets: readonly number[], now: Instant): void
  schedule(peer: PeerId, at: Instant): void
}

export type Aim = Extract<NatMessage, { type: 'aim' }>

/** Moves that an attempt is made for; the others are plain probing, or nothing. */
export const ATTEMPTED: ReadonlySet<Move> = new Set([
  'foretell',
  'sweep',
  'cross',
  'scatter',
  'search',
])

const ROUNDS = 3
/** Two for a round, as preserving NATs take. */
const AIMS_MAX = 2 * ROUNDS
/** A forecast is due within 400 ms of its asking; some of that has passed when it is told. */
const FORECAST_AGE_MS = 250
const FORECAST_MS = 400
/** One could be enough: four outlive a neighbour of ours that takes ports in between. */
const FORETOLD_SOCKETS = 4
const FORETOLD_ROUND_MS = 1_500
/** A port-preserving NAT gives the inside port, or one of the next if that is taken. */
const PRESERVED_SOCKETS = 2
const PRESERVED_PORTS = 4
const CROSS_ROUND_MS = 2_600
const REPEATS_MS: readonly number[] = [100, 200, 300, 500, 800, 1_200, 1_600, 2_000]
/** transport.md §5.5: 256 mappings make a meeting likely within a second. */
const SCATTER_SOCKETS = 256
const SCATTER_BATCH = 64
const SCATTER_BATCH_GAP_MS = 5
const SCATTER_REPEATS_MS: readonly number[] = [2_000, 4_000, 6_000]
const SCATTER_MS = 8_000
/** A subscriber's block may have no more than 256 ports, of which a quarter is taken at most (§5.5). */
const BLOCK_SOCKETS = 64
/** transport.md §5.3: a block has no more ports. */
const BLOCK_PORTS_MAX = 4_096
/** Who waits for its turn, or for the remote's AIM, waits this long. */
const PATIENCE_MS = 12_000
/** After that, what the remote scattered is gone before a search meets it. */
const SEARCH_PATIENCE_MS = 4_000
/** Up to so many ports may be written to on the remote's word alone. */
const UNWITNESSED_PORTS = 8
const TARGETS_MAX = 2

/** One port that we foretell, and how to make mappings towards a target so that one gets it. */
interface Foretold {
  readonly round: number
  readonly port: number
  readonly sockets: number
  readonly open: () => number | undefined
}

export class Attempt {
  readonly plan: Strategy
  readonly #session: TraversalSession
  readonly #host: AttemptHost
  readonly #permit: SprayPermit
  #round = 0
  #endsAt: Instant
  #salvos: Salvo[] = []
  #sockets: number[] = []
  /** Sockets whose port we wait to hear. */
  readonly #unbound = new Map<number, (port: number, now: Instant) => void>()
  #foretold: Foretold | undefined
  #isForetelling = false
  #aims = 0
  #isSearched = false
  #isOver = false

  constructor(plan: Strategy, session: TraversalSession, host: AttemptHost, now: Instant) {
    this.plan = plan
    this.#session = session
    this.#host = host
    this.#permit = new SprayPermit(session.peer, host)
    this.#endsAt = (now + PATIENCE_MS) as Instant
  }

  /** Begins the rounds of a crossing; the other side follows. */
  get #isLead(): boolean {
    return this.#session.isInitiator
  }

  get isOver(): boolean {
    return this.#isOver
  }

  begin(now: Instant): void {
    // Asked early: the answer is there when it is needed.
    const [target] = this.#host.targets(this.#session.peer)
    if (target !== undefined && this.plan.ours !== 'foretell') {
      this.#host.isWitnessed(this.#session.peer, target.host, now)
    }
    this.#nextRound(now)
  }

  onDeadline(now: Instant): void {
    if (this.#isOver) return
    if (this.#salvos.length > 0) this.#fire(now)
    if (now >= this.#endsAt) this.#nextRound(now)
    this.#schedule()
  }

  /** The remote foretells: `message` is believable. */
  aim(message: Aim, now: Instant): void {
    if (this.#isOver || this.#aims >= AIMS_MAX) return
    const { ours } = this.plan
    // Until the remote knows of our crossing it may foretell a window, which is no answer to it.
    if (ours === 'cross' && message.count !== 1) return
    this.#aims++
    if (ours === 'cross') this.#crossAim(message, now)
    else if (ours === 'sweep' || ours === 'search') {
      this.#endsAt = (now + PATIENCE_MS) as Instant
      if (message.count > 0) this.#sweep(message, now)
      else this.#search(message, now)
    }
    this.#schedule()
  }

  /** A neighbour sees the remote somewhere. */
  witnessed(now: Instant): void {
    this.#permit.witnessed(now)
    this.#schedule()
  }

  turnGiven(now: Instant): void {
    this.#permit.turnGiven(now)
    this.#schedule()
  }

  socketUp(socket: number, port: number, now: Instant): void {
    const run = this.#unbound.get(socket)
    if (run === undefined || !this.#unbound.delete(socket)) return
    run(port, now)
    this.#schedule()
  }

  /** Ends it. `isFound`: there is a direct path. */
  stop(now: Instant, isFound: boolean): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#salvos = []
    this.#releaseSockets(now)
    const { route } = this.#session
    this.#permit.end(isFound && route?.kind === 'udp' ? route.endpoint.host : undefined, now)
  }

  #fire(now: Instant): void {
    for (const salvo of this.#salvos) salvo.fire(now)
    this.#salvos = this.#salvos.filter((salvo) => salvo.nextAt !== undefined)
    if (this.#salvos.length > 0) return
    if (this.plan.ours === 'search') this.#permit.releaseTurn(now)
    // Who follows does not know when the next round is.
    if (this.plan.ours === 'cross' && !this.#isLead) this.#releaseSockets(now)
  }

  #nextRound(now: Instant): void {
    const { ours } = this.plan
    const isActive = ours === 'foretell' || (ours === 'cross' && this.#isLead)
    const isLast = isActive ? this.#round >= ROUNDS : this.#round >= 1
    if (isLast) return this.stop(now, false)
    this.#round++
    this.#releaseSockets(now)
    this.#foretold = undefined
    this.#isForetelling = false
    this.#endsAt = (now + PATIENCE_MS) as Instant
    if (ours === 'scatter') this.#scatter(now)
    else if (ours === 'foretell') this.#foretell(now)
    else if (ours === 'cross' && this.#isLead) this.#lead(now)
    this.#schedule()
  }

  /** Foretells where our next mappings are, and makes them at once. */
  #foretell(now: Instant): void {
    this.#endsAt = (now + FORETOLD_ROUND_MS + 2 * this.#session.rttMs) as Instant
    const targets = this.#host.targets(this.#session.peer).slice(0, TARGETS_MAX)
    if (targets.length === 0) return
    if (this.#host.nat().allocation === 'preserving') {
      for (let i = 0; i < PRESERVED_SOCKETS; i++) {
        this.#whenBound(now, (socket, port, at) => {
          this.#fan(1, () => socket, targets, at)
          this.#sendAim({ port, step: 1, count: PRESERVED_PORTS })
        })
      }
      return
    }
    this.#forecast(now, (forecast, at) => {
      this.#fan(FORETOLD_SOCKETS, () => this.#open(), targets, at)
      const { port, count } = windowOf(forecast, FORECAST_AGE_MS)
      this.#sendAim({ host: forecast.host, port, step: forecast.step, count })
    })
  }

  #sweep(message: Aim, now: Instant): void {
    const { address, step, count } = message
    const ports = Array.from({ length: count }, (_, i) => portAfter(address.port, step, i))
    const begin = (at: Instant) => {
      const knock = (port: number, later: Instant) =>
        this.#knock(SOCKET_IPV4, { host: address.host, port }, later)
      this.#salvos.push(new PortSweep(ports, knock, at))
    }
    const { peer } = this.#session
    const isSpared =
      count <= UNWITNESSED_PORTS && ports.every(() => this.#host.takeUnwitnessed(peer, now))
    if (isSpared) begin(now)
    else this.#permit.whenGranted(address.host, now, begin)
  }

  #lead(now: Instant): void {
    this.#endsAt = (now + CROSS_ROUND_MS + 2 * this.#session.rttMs) as Instant
    const waitMs = FORECAST_AGE_MS + FORECAST_MS + this.#session.rttMs
    this.#foretellOne(this.#round, waitMs, now, (foretold) => {
      this.#foretold = foretold
    })
  }

  #crossAim(message: Aim, now: Instant): void {
    const target = { host: message.address.host, port: message.address.port }
    const { host } = target
    if (this.#isLead) {
      const foretold = this.#foretold
      if (foretold === undefined || (foretold.round & 0xff) !== message.round) return
      this.#foretold = undefined
      this.#permit.whenGranted(host, now, (at) =>
        this.#fan(foretold.sockets, foretold.open, [target], at),
      )
      return
    }
    if (this.#isForetelling) return
    this.#endsAt = (now + PATIENCE_MS) as Instant
    this.#permit.whenGranted(host, now, (at) => {
      this.#releaseSockets(at)
      this.#salvos = []
      this.#foretellOne(message.round, FORECAST_AGE_MS, at, (foretold, later) => {
        this.#fan(foretold.sockets, foretold.open, [target], later)
      })
    })
  }

  /** Foretells one port to the remote; `done` may then have its sockets knock. */
  #foretellOne(
    round: number,
    waitMs: number,
    now: Instant,
    done: (foretold: Foretold, now: Instant) => void,
  ): void {
    if (this.#host.nat().allocation === 'preserving') {
      this.#whenBound(now, (socket, port, at) => {
        this.#sendAim({ round, port, step: 1, count: 1 })
        done({ round, port, sockets: 1, open: () => socket }, at)
      })
      return
    }
    this.#forecast(now, (forecast, at) => {
      const { port, mappings } = targetOf(forecast, waitMs)
      this.#sendAim({ round, host: forecast.host, port, step: forecast.step, count: 1 })
      done({ round, port, sockets: mappings, open: () => this.#open() }, at)
    })
  }

  /** Opens mappings by the hundred, one of which the remote is to meet by chance. */
  #scatter(now: Instant): void {
    const peer = this.#session.peer
    const [first] = this.#host.targets(peer)
    if (first === undefined) return this.stop(now, false)
    this.#permit.whenTurn(first.host, PATIENCE_MS, now, (at) => {
      const targets = this.#host.targets(peer).filter(({ host }) => host === first.host)
      const isBlock = this.#host.nat().allocation === 'block'
      const { port, lastPort } = this.#range(isBlock ? this.#host.external()?.port : undefined)
      const sockets = isBlock ? BLOCK_SOCKETS : SCATTER_SOCKETS
      this.#endsAt = (at + SCATTER_MS) as Instant
      this.#sendAim({ port, lastPort, step: 0, count: 0 })
      const some = targets.slice(0, TARGETS_MAX)
      const options = {
        sockets,
        batch: SCATTER_BATCH,
        batchGapMs: SCATTER_BATCH_GAP_MS,
        repeatsMs: SCATTER_REPEATS_MS,
        open: () => this.#open(),
        knock: (socket: number, later: Instant) => this.#knockAll(socket, some, later),
      }
      this.#salvos.push(new SocketFan(options, at))
    })
  }

  /** Where mappings may lie: anywhere, or in the block of one that is known. */
  #range(known: number | undefined): { port: number; lastPort: number } {
    if (known === undefined) return { port: SPRAY_PORT_MIN, lastPort: SPRAY_PORT_MAX }
    return {
      port: Math.max(SPRAY_PORT_MIN, known - BLOCK_PORTS_MAX + 1),
      lastPort: Math.min(SPRAY_PORT_MAX, known + BLOCK_PORTS_MAX - 1),
    }
  }

  #search(message: Aim, now: Instant): void {
    if (this.plan.ours !== 'search' || this.#isSearched) return
    const { address, lastPort } = message
    this.#permit.whenTurn(address.host, SEARCH_PATIENCE_MS, now, (at) => {
      if (this.#isSearched) return
      this.#isSearched = true
      const ports = new PortPermutation(this.#host.random, address.port, lastPort)
      const knock = (port: number, later: Instant) =>
        this.#knock(SOCKET_IPV4, { host: address.host, port }, later)
      this.#salvos.push(new PortSearch(ports, knock, at))
    })
  }

  #whenBound(now: Instant, run: (socket: number, port: number, now: Instant) => void): void {
    const socket = this.#open()
    if (socket === undefined) return
    const bound = this.#host.scratch.addressOf(socket)
    if (bound !== undefined) run(socket, bound.port, now)
    else this.#unbound.set(socket, (port, at) => run(socket, port, at))
  }

  /** Not called back when nothing can be foretold, or this round is over by then. */
  #forecast(now: Instant, done: (forecast: Forecast, now: Instant) => void): void {
    const round = this.#round
    this.#isForetelling = true
    this.#host.forecast(now, (forecast, at) => {
      if (this.#isOver || this.#round !== round) return
      this.#isForetelling = false
      if (forecast === undefined) return this.#host.count('forecastsFailed', 1)
      done(forecast, at)
      this.#schedule()
    })
  }

  #fan(
    sockets: number,
    open: () => number | undefined,
    targets: readonly LocalAddress[],
    now: Instant,
  ): void {
    const knock = (socket: number, at: Instant) => this.#knockAll(socket, targets, at)
    const options = { sockets, batch: sockets, batchGapMs: 0, repeatsMs: REPEATS_MS, open, knock }
    const fan = new SocketFan(options, now)
    // At once: each millisecond more may be another's mapping in between.
    fan.fire(now)
    this.#salvos.push(fan)
  }

  #open(): number | undefined {
    const socket = this.#host.scratch.openForRemote()
    if (socket !== undefined) this.#sockets.push(socket)
    return socket
  }

  #knockAll(socket: number, targets: readonly LocalAddress[], now: Instant): void {
    for (const target of targets) this.#knock(socket, target, now)
  }

  #knock(socket: number, { host, port }: LocalAddress, now: Instant): void {
    if (!this.#host.budget.takeKnock(now)) return
    this.#host.count('knocks', 1)
    this.#session.knock({ kind: 'udp', endpoint: { kind: 'udp', socket, host, port } }, now)
  }

  #sendAim(aim: {
    readonly round?: number
    readonly host?: string
    readonly port: number
    readonly step: number
    readonly count: number
    readonly lastPort?: number
  }): void {
    const host = aim.host ?? this.#host.external()?.host
    if (host === undefined) return
    const { port, step, count, round = this.#round, lastPort = 0xffff } = aim
    const address = { host, port }
    this.#session.sendMessage(
      encodeNatMessage({ type: 'aim', round: round & 0xff, address, step, count, lastPort }),
    )
  }

  #releaseSockets(now: Instant): void {
    this.#unbound.clear()
    const sockets = this.#sockets
    this.#sockets = []
    if (sockets.length > 0) this.#host.releaseSockets(this.#session, sockets, now)
  }

  #schedule(): void {
    if (this.#isOver) return
    let at = this.#endsAt
    for (const { nextAt } of this.#salvos) if (nextAt !== undefined && nextAt < at) at = nextAt
    this.#host.schedule(this.#session.peer, at)
  }
}

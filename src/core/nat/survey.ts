import { BoundedMap } from '../collections/bounded-map.ts'
import type { Random } from '../crypto.ts'
import { earlier } from '../deadlines.ts'
import type {
  Deadline,
  Endpoint,
  Instant,
  LocalAddress,
  NatVector,
  PeerId,
  PortMapping,
} from '../io.ts'
import { classifyHost } from '../wire/address.ts'
import { Findings, type Gathered } from './findings.ts'
import { Forecaster } from './forecast.ts'
import type { Forecast } from './foresight.ts'
import { type Asker, type Knock, Knocks } from './knocks.ts'
import { Lifetime } from './lifetime.ts'
import { MappingWatch } from './mapping-watch.ts'
import { Observations } from './observations.ts'
import { Reflections } from './reflections.ts'
import type { Reflector } from './reflector.ts'
import type { ScratchSockets } from './scratch-sockets.ts'
import { REFLECTORS_MAX, SurveyRound } from './survey-round.ts'
import { UNKNOWN_NAT } from './vector.ts'
import { agreedAddress, Whereabouts } from './whereabouts.ts'

/**
 * What NAT is before us, found out with the help of ordinary neighbours, and the same help for them
 * (docs/spec/nat.md, "Survey"). Decides when to ask and what is believed; nothing ever waits for it.
 */
export interface SurveyHost {
  /** `to.socket` may be a scratch socket. */
  transmit(to: Endpoint, data: Uint8Array): void
  /** Neighbours with a direct IPv4 path over the main socket to a public address, one a host. */
  helpers(): readonly Reflector[]
  /** Local addresses of the main IPv4 socket. */
  local(): readonly LocalAddress[]
  /** `nat` or `addresses` say something else. */
  changed(now: Instant): void
}

export interface SurveyOptions {
  readonly random: Random
  readonly scratch: ScratchSockets
  readonly host: SurveyHost
}

/** Neighbours that come together are asked together. */
const GATHER_MS = 20
/** transport.md §5.3. */
const PERIOD_MS = 600_000
const PERIOD_JITTER = 0.2
/** Facts that are missing are looked for again at once with others, or when budgets are full again. */
const FOLLOW_UP_MS = 25_000
const FOLLOW_UPS_MAX = 3
/** Mapping and allocation take no knocks: a round that loss kept from finding them is repeated at once. */
const REPEATS_MAX = 2
/** Four knocks at once, and one more every five seconds, is what a reflector serves. */
const KNOCK_REST_MS = 20_000
/** A single reporter that changes its mind causes no more than this. */
const OBSERVED_REST_MS = 10_000
const ACQUAINTANCES_MAX = 64

/** When a reflector last helped, so that the next round asks others or in another role. */
interface Acquaintance {
  knockedAt: number
  writtenRound: number
}

export class Survey {
  readonly #options: SurveyOptions
  readonly #reflections: Reflections
  readonly #observations = new Observations()
  readonly #findings = new Findings()
  readonly #knocks: Knocks
  readonly #forecaster: Forecaster
  readonly #lifetime: Lifetime
  readonly #whereabouts: Whereabouts
  readonly #watch: MappingWatch
  readonly #acquaintances = new BoundedMap<PeerId, Acquaintance>(ACQUAINTANCES_MAX)
  #mapping: PortMapping | undefined
  #nat: NatVector = UNKNOWN_NAT
  #addresses: readonly LocalAddress[] = []
  #published = JSON.stringify([UNKNOWN_NAT, []])
  #round: SurveyRound | undefined
  #dueAt: Instant | undefined
  #rounds = 0
  /** Since our network changed. */
  #lastRoundAt: Instant | undefined
  #lastReflectors = 0
  #followUps = 0
  #repeats = 0

  constructor(options: SurveyOptions, now: Instant) {
    this.#options = options
    const { random, scratch, host } = options
    const transmit = (to: Endpoint, data: Uint8Array) => host.transmit(to, data)
    this.#reflections = new Reflections(random, transmit)
    this.#knocks = new Knocks(scratch, transmit, now)
    const shared = {
      reflections: this.#reflections,
      scratch,
      reflectors: () => host.helpers(),
    }
    this.#forecaster = new Forecaster(shared)
    this.#lifetime = new Lifetime(shared, now)
    this.#whereabouts = new Whereabouts(shared)
    this.#watch = new MappingWatch({
      whereabouts: this.#whereabouts,
      observations: this.#observations,
      mapping: () => this.#findings.mapping,
    })
  }

  get nat(): NatVector {
    return this.#nat
  }

  /** Where remotes see our main sockets, by quorum, most reported first. */
  get addresses(): readonly LocalAddress[] {
    return this.#addresses
  }

  /** A neighbour saw a main socket of ours at `ours`; we see it at `reporterHost` unless relayed. */
  observed(
    reporter: PeerId,
    reporterHost: string | undefined,
    ours: LocalAddress,
    now: Instant,
  ): void {
    const before = hostsKey(this.#observations)
    this.#observations.report(reporter, reporterHost, ours)
    if (before !== hostsKey(this.#observations) && this.#lastRoundAt !== undefined) {
      this.#schedule(Math.max(now + GATHER_MS, this.#lastRoundAt + OBSERVED_REST_MS))
    }
    this.#watch.observed(now)
    this.#publish(now)
  }

  forget(reporter: PeerId, now: Instant): void {
    this.#observations.forget(reporter)
    this.#publish(now)
  }

  /** Our own addresses changed, or the host slept: all that was found may be of another NAT. */
  networkChanged(now: Instant): void {
    this.#round?.close()
    this.#round = undefined
    this.#observations.clear()
    this.#findings.clear()
    this.#watch.clear()
    this.#whereabouts.abort(now)
    this.#lifetime.restart(now)
    this.#lastRoundAt = undefined
    this.#lastReflectors = 0
    this.#followUps = 0
    this.#repeats = 0
    this.#dueAt = (now + GATHER_MS) as Instant
    this.#forecaster.abort(now)
    this.#publish(now)
  }

  /** A router forwards this address to the main IPv4 socket; undefined: none does. */
  mapped(mapping: PortMapping | undefined, now: Instant): void {
    this.#mapping = mapping
    this.#publish(now)
  }

  /** A neighbour that may help came. */
  helperUp(now: Instant): void {
    if (this.#round !== undefined) return
    if (this.#lastRoundAt === undefined || this.#wouldTellMore()) this.#schedule(now + GATHER_MS)
  }

  /** Whether this STUN message was for us; if not, it may be a request to answer. */
  receive(data: Uint8Array, from: Endpoint, now: Instant): boolean {
    if (!this.#reflections.receive(data, from, now)) return false
    this.#advance(now)
    return true
  }

  /** A neighbour wants to know what its NAT lets in. */
  knock(asker: Asker, message: Knock, now: Instant): void {
    this.#knocks.serve(asker, message, now)
  }

  /**
   * Measures within 400 ms where the NAT will put our next mappings; undefined where it is not to be
   * foreseen. A NAT that preserves ports counts from each socket's own: nothing to measure.
   */
  forecast(now: Instant, done: (forecast: Forecast | undefined, now: Instant) => void): void {
    this.#forecaster.request(now, done)
  }

  /** A direct path died although it was in use: was it our mapping? */
  pathDied(now: Instant): void {
    this.#watch.pathDied(now, (at) => this.#publish(at))
  }

  /** Where two neighbours see a scratch socket; undefined when that is not the same for both. */
  whereIs(
    socket: number,
    now: Instant,
    done: (address: LocalAddress | undefined, now: Instant) => void,
  ): void {
    this.#whereabouts.look(socket, 2, now, (sightings, at) => done(agreedAddress(sightings), at))
  }

  deadline(): Deadline | undefined {
    let first = earlier(this.#round?.deadline(), this.#knocks.deadline())
    first = earlier(first, this.#forecaster.deadline())
    first = earlier(first, this.#lifetime.deadline())
    first = earlier(first, this.#whereabouts.deadline())
    first = earlier(first, this.#watch.deadline())
    return this.#dueAt === undefined || this.#round !== undefined
      ? first
      : earlier(first, { at: this.#dueAt, reason: 'nat-survey' })
  }

  onDeadline(now: Instant): void {
    const due = this.deadline()
    if (due === undefined || due.at > now) return
    this.#knocks.onDeadline(now)
    this.#watch.onDeadline(now, (at) => this.#publish(at))
    if (this.#round === undefined && this.#dueAt !== undefined && now >= this.#dueAt) {
      this.#begin(now)
    }
    this.#advance(now)
  }

  #advance(now: Instant): void {
    this.#round?.advance(now)
    if (this.#round !== undefined) this.#judge(this.#round, now)
    this.#lifetime.advance(now)
    this.#whereabouts.advance(now)
    this.#publish(now)
    this.#forecaster.advance(now)
  }

  #begin(now: Instant): void {
    this.#dueAt = undefined
    const reflectors = this.#choose(now)
    if (reflectors.length === 0) return
    const { scratch, host } = this.#options
    const sockets = [scratch.open(), scratch.open(), scratch.open()]
    const [first, second, third] = sockets
    if (first === undefined || second === undefined || third === undefined) {
      for (const socket of sockets) if (socket !== undefined) scratch.close(socket)
      return this.#schedule(now + FOLLOW_UP_MS)
    }
    this.#rounds++
    this.#lastRoundAt = now
    this.#lastReflectors = reflectors.length
    const options = {
      reflectors,
      number: this.#rounds,
      reflections: this.#reflections,
      scratch,
      sockets: [first, second, third] as const,
      mayKnock: (reflector: Reflector) => this.#restMs(reflector, now) === 0,
      isLocal: (address: string) => host.local().some((local) => local.host === address),
    }
    this.#round = new SurveyRound(options, now)
  }

  /**
   * Whoever may be asked to knock, then whoever was longest in another role. The first are written to:
   * those who may knock, unless not all may and it is strangers that are missing.
   */
  #choose(now: Instant): readonly Reflector[] {
    const restMs = (reflector: Reflector) => this.#restMs(reflector, now)
    const round = ({ peer }: Reflector) => this.#acquaintance(peer).writtenRound
    const chosen = [...this.#options.host.helpers()]
      .sort((a, b) => restMs(a) - restMs(b) || round(a) - round(b))
      .slice(0, REFLECTORS_MAX)
    const isScarce = chosen.some((reflector) => restMs(reflector) > 0)
    return isScarce && this.#findings.isMissingStrangers ? chosen.reverse() : chosen
  }

  /** How long it should not be asked to knock. */
  #restMs({ peer }: Reflector, now: Instant): number {
    return Math.max(0, this.#acquaintance(peer).knockedAt + KNOCK_REST_MS - now)
  }

  #acquaintance(peer: PeerId): Acquaintance {
    return this.#acquaintances.get(peer) ?? { knockedAt: Number.NEGATIVE_INFINITY, writtenRound: 0 }
  }

  #judge(round: SurveyRound, now: Instant): void {
    const gathered: Gathered = {
      mapping: round.isJudgeable(now) ? round.mappingReflections() : undefined,
      all: round.isJudgeable(now) ? round.reflections() : [],
      filter: round.filterResults(),
      hairpin: round.hairpin,
    }
    this.#findings.judge(gathered, this.#observations.outsideReports())
    if (!round.isDone) return
    this.#findings.endRound(gathered)
    this.#remember(round, now)
    round.close()
    this.#round = undefined
    this.#scheduleNext(now)
  }

  #remember(round: SurveyRound, now: Instant): void {
    for (const { peer } of round.knockers()) {
      const { writtenRound } = this.#acquaintance(peer)
      this.#acquaintances.set(peer, { knockedAt: now, writtenRound })
    }
    for (const { peer } of round.written()) {
      const { knockedAt } = this.#acquaintance(peer)
      this.#acquaintances.set(peer, { knockedAt, writtenRound: this.#rounds })
    }
  }

  #scheduleNext(now: Instant): void {
    const mayFind = this.#isMissing() && this.#lastReflectors > 1
    if (mayFind && this.#findings.isMissingAnswers && this.#repeats < REPEATS_MAX) {
      this.#repeats++
      this.#schedule(now + GATHER_MS)
    } else if (mayFind && this.#followUps < FOLLOW_UPS_MAX) {
      this.#followUps++
      const rested = this.#options.host.helpers().filter((each) => this.#restMs(each, now) === 0)
      this.#schedule(now + (rested.length > 1 ? GATHER_MS : FOLLOW_UP_MS))
    } else {
      const fraction = (this.#options.random.bytes(1)[0] ?? 0) / 255
      this.#schedule(now + PERIOD_MS * (1 - PERIOD_JITTER + 2 * PERIOD_JITTER * fraction))
    }
    this.helperUp(now)
  }

  #schedule(at: number): void {
    this.#dueAt = Math.min(this.#dueAt ?? Number.POSITIVE_INFINITY, at) as Instant
  }

  /** Whether there are more helpers than were asked last, and they could add to what was found. */
  #wouldTellMore(): boolean {
    const asked = this.#lastReflectors
    if (asked >= REFLECTORS_MAX || (asked >= 2 && !this.#isMissing())) return false
    return this.#options.host.helpers().length > asked
  }

  #isMissing(): boolean {
    const { mapping, filtering, allocation } = this.#findings
    if (mapping === 'unknown' || filtering === 'unknown') return true
    return mapping === 'endpoint-dependent' && allocation === 'unknown'
  }

  /** Whether the address remotes see is none of ours. */
  #isTranslated(): boolean | undefined {
    const [seen] = this.#observations.hosts()
    if (seen === undefined) return undefined
    return !this.#options.host.local().some((local) => local.host === seen.host)
  }

  #isCarrier(): boolean {
    const isShared = (host: string) => classifyHost(host) === 'shared'
    const outer = this.#mapping?.external.host
    if (outer !== undefined && (isShared(outer) || classifyHost(outer) === 'private')) return true
    // A virtual private network's interface may have such an address too, beside the one that counts.
    const own = this.#options.host.local().filter(({ host }) => classifyHost(host) !== 'loopback')
    return own.length > 0 && own.every(({ host }) => isShared(host))
  }

  /** One at a host where remotes do not see us is another's: they would all write there. */
  #forwarding(): PortMapping | undefined {
    const host = this.#mapping?.external.host
    const seen = this.#observations.hosts()
    const isElsewhere =
      host !== undefined &&
      classifyHost(host) === 'global' &&
      seen.length > 0 &&
      !seen.some((other) => other.host === host)
    return isElsewhere ? undefined : this.#mapping
  }

  #vector(): NatVector {
    const isTranslated = this.#isTranslated()
    const { mapping, allocation, filtering, hairpin } = this.#findings
    const isPlain = isTranslated === false
    return {
      mapping: isPlain ? 'endpoint-independent' : mapping,
      filtering,
      allocation: isPlain ? 'preserving' : allocation,
      isTranslated,
      external: this.#observations.hosts(),
      hairpin: isPlain ? undefined : hairpin,
      lifetimeMs: this.#lifetime.lifetimeMs,
      absoluteLifetimeMs: this.#watch.absoluteLifetimeMs,
      portMapping: this.#forwarding(),
      isCarrier: this.#isCarrier(),
    }
  }

  #publish(now: Instant): void {
    const nat = this.#vector()
    const addresses = this.#observations.addresses()
    const published = JSON.stringify([nat, addresses])
    if (published === this.#published) return
    this.#published = published
    this.#nat = nat
    this.#addresses = addresses
    this.#options.host.changed(now)
  }
}

/** The host is what makes another NAT; a port alone changes when a mapping ends. */
function hostsKey(observations: Observations): string {
  return JSON.stringify([observations.hosts().map(({ host }) => host), observations.addresses()])
}

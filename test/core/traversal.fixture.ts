import { MALFORMED } from '../../src/core/errors.ts'
import type { Instant, LocalAddress, NatVector, PathKind, PeerId } from '../../src/core/io.ts'
import { SOCKET_IPV4, SOCKET_SCRATCH } from '../../src/core/io.ts'
import { decodeNatMessage, type NatMessage } from '../../src/core/nat/messages.ts'
import { ScratchSockets } from '../../src/core/nat/scratch-sockets.ts'
import { Traversal, type TraversalHost } from '../../src/core/nat/traversal.ts'
import type { TraversalSession } from '../../src/core/nat/traversal-session.ts'
import { UNKNOWN_NAT } from '../../src/core/nat/vector.ts'
import { isSameRoute, prefixOf, type Route } from '../../src/core/session/route.ts'
import { DEFAULT_NAT, type NatProfile, NatTable } from '../../src/sim/nat.ts'
import { SeededRandom } from '../../src/sim/random.ts'

/**
 * Peers that are nothing but a `Traversal` and sessions which keep the rules of paths, on an internet of
 * NAT tables in virtual time: so that success and time of each strategy are measured alone.
 */
export interface Weather {
  /** One way between any two hosts; a relayed message takes twice that. */
  readonly latencyMs: number
  readonly lossRate: number
}

export interface SiteOptions {
  readonly profile?: Partial<NatProfile> | undefined
  readonly vector?: Partial<NatVector>
}

type Probe =
  | { readonly type: 'knock' }
  | { readonly type: 'challenge'; readonly nonce: number }
  | { readonly type: 'response'; readonly nonce: number }

const PROBE_AT_MS: readonly number[] = [0, 50, 150, 350, 750, 1_550]
/** Of 40 bytes each: within three times the 50 that drew them. */
const UNINVITED_AT_MS: readonly number[] = [0, 60, 250]
const PATHS_MAX = 8
const BIND_MS = 0.2
export const MAIN_PORT = 40_000

export class Line {
  nowMs = 0
  readonly random: SeededRandom
  readonly weather: Weather
  readonly sites: Site[] = []
  /** Datagrams to hosts where nobody is, by host. */
  readonly astray = new Map<string, number>()
  #queue: { at: number; order: number; run: () => void }[] = []
  #order = 0

  constructor(seed: string, weather: Weather) {
    this.random = new SeededRandom(seed)
    this.weather = weather
  }

  get now(): Instant {
    return this.nowMs as Instant
  }

  after(ms: number, run: () => void): void {
    const entry = { at: this.nowMs + ms, order: this.#order++, run }
    let low = 0
    let high = this.#queue.length
    while (low < high) {
      const middle = (low + high) >> 1
      const other = this.#queue[middle]
      if (other !== undefined && other.at <= entry.at) low = middle + 1
      else high = middle
    }
    this.#queue.splice(low, 0, entry)
  }

  /** Runs until `isDone` or `limitMs` from now; returns whether it is done. */
  run(limitMs: number, isDone: () => boolean = () => false): boolean {
    const untilMs = this.nowMs + limitMs
    while (!isDone()) {
      const dueMs = Math.min(...this.sites.map((site) => site.traversal.deadline()?.at ?? untilMs))
      const next = this.#queue[0]
      const at = Math.min(dueMs, next?.at ?? untilMs)
      if (at >= untilMs) {
        this.nowMs = untilMs
        return isDone()
      }
      this.nowMs = Math.max(this.nowMs, at)
      if (next !== undefined && next.at <= dueMs) {
        this.#queue.shift()
        next.run()
        continue
      }
      for (const site of this.sites) {
        const due = site.traversal.deadline()
        if (due !== undefined && due.at <= this.nowMs) site.traversal.onDeadline(this.now)
      }
    }
    return true
  }

  carry(from: Site, socket: number, to: LocalAddress, probe: Probe): void {
    from.sent++
    const source = from.outbound(socket, to)
    if (source === undefined) return
    if (this.random.chance(this.weather.lossRate)) return
    this.after(this.weather.latencyMs, () => {
      const site = this.sites.find((other) => other.external === to.host)
      if (site === undefined) {
        this.astray.set(to.host, (this.astray.get(to.host) ?? 0) + 1)
        return
      }
      const arrived = site.inbound(to, source)
      if (arrived !== undefined) site.receive(from, arrived, source, probe)
    })
  }
}

export class Site {
  readonly peer: PeerId
  readonly external: string
  readonly scratch: ScratchSockets
  readonly traversal: Traversal
  readonly sessions = new Map<PeerId, FakeSession>()
  readonly line: Line
  vector: NatVector
  sent = 0
  forecasts = 0
  relays: PeerId[] = []
  readonly #inside: string
  readonly #table: NatTable | undefined
  readonly #ports = new Map<number, number>([[SOCKET_IPV4, MAIN_PORT]])
  readonly #sockets = new Map<number, number>([[MAIN_PORT, SOCKET_IPV4]])

  constructor(line: Line, options: SiteOptions = {}) {
    const index = line.sites.length
    this.line = line
    this.peer = `${(index + 1).toString(16).padStart(16, '0')}${'0'.repeat(48)}` as PeerId
    this.external = `198.18.${Math.floor(index / 250)}.${(index % 250) + 1}`
    this.#inside = options.profile === undefined ? this.external : '192.168.1.10'
    const { profile } = options
    this.#table =
      profile === undefined
        ? undefined
        : new NatTable({ ...DEFAULT_NAT, ...profile }, [this.external], line.random)
    line.sites.push(this)
    this.vector = { ...this.#measured(options), ...options.vector }
    this.scratch = new ScratchSockets({
      bind: (socket) => this.#bind(socket),
      unbind: (socket) => this.#unbind(socket),
    })
    this.traversal = new Traversal(
      { random: line.random, host: this.#host(), scratch: this.scratch },
      line.now,
    )
  }

  outbound(socket: number, to: LocalAddress): LocalAddress | undefined {
    const port = this.#ports.get(socket)
    if (port === undefined) return undefined
    const inside = { host: this.#inside, port }
    return this.#table === undefined ? inside : this.#table.outbound(inside, to, this.line.nowMs)
  }

  /** Which of its sockets a datagram reaches. */
  inbound(to: LocalAddress, from: LocalAddress): number | undefined {
    const inside = this.#table === undefined ? to : this.#table.inbound(to, from, this.line.nowMs)
    return typeof inside === 'string' ? undefined : this.#sockets.get(inside.port)
  }

  receive(from: Site, socket: number, source: LocalAddress, probe: Probe): void {
    this.sessions.get(from.peer)?.receive(socket, source, probe)
  }

  #measured({ profile }: SiteOptions): NatVector {
    const elsewhere = { host: '198.18.255.1', port: 1_000 }
    const external = this.outbound(SOCKET_IPV4, elsewhere)
    const { mapping, filtering, allocation } = { ...DEFAULT_NAT, ...profile }
    const isFixed = profile === undefined || mapping === 'endpoint-independent'
    return {
      ...UNKNOWN_NAT,
      mapping: isFixed ? 'endpoint-independent' : 'endpoint-dependent',
      filtering: profile === undefined ? 'endpoint-independent' : filtering,
      allocation,
      isTranslated: profile !== undefined,
      external: external === undefined ? [] : [external],
    }
  }

  #bind(socket: number): void {
    let port = 0
    while (port === 0 || this.#sockets.has(port)) port = 32_768 + this.line.random.below(28_000)
    this.#ports.set(socket, port)
    this.#sockets.set(port, socket)
    this.line.after(BIND_MS, () => {
      this.scratch.report(socket, [{ host: '0.0.0.0', port }])
      this.traversal.socketUp(socket, this.line.now)
    })
  }

  #unbind(socket: number): void {
    const port = this.#ports.get(socket)
    this.#ports.delete(socket)
    if (port !== undefined) this.#sockets.delete(port)
  }

  #host(): TraversalHost {
    return {
      nat: () => this.vector,
      candidates: () => {
        const local = { host: this.#inside, port: MAIN_PORT }
        const isFixed = this.vector.mapping !== 'endpoint-dependent'
        return isFixed && this.#table !== undefined ? [...this.vector.external, local] : [local]
      },
      hasIpv6: () => false,
      sessions: () => this.sessions.values(),
      sessionOf: (peer) => this.sessions.get(peer),
      withPrefix: (prefix) =>
        [...this.sessions.values()].find((session) => prefixOf(session.peer) === prefix),
      relaysTo: (peer) =>
        this.relays.map((via) => ({ kind: 'relay', via, prefix: prefixOf(peer) }) as const),
      forecast: (_, done) => this.#forecast(done),
    }
  }

  /** As a survey measures: fresh mappings towards three helpers. */
  #forecast(done: Parameters<TraversalHost['forecast']>[1]): void {
    this.forecasts++
    const inside = { host: this.#inside, port: 20_000 + (this.forecasts % 10_000) }
    const ports = [1, 2, 3].map((elsewhere) => {
      const remote = { host: `198.18.254.${elsewhere}`, port: 1_000 }
      return this.#table?.outbound(inside, remote, this.line.nowMs)?.port ?? 0
    })
    const last = ports.at(-1) ?? 0
    const step = 1
    const isForeseen = this.vector.allocation === 'sequential'
    const perS = this.#table?.profile.noisePerS ?? 0
    const forecast = { host: this.external, nextPort: last + step, step, perS }
    this.line.after(2 * this.line.weather.latencyMs + 100, () => {
      done(isForeseen ? forecast : undefined, this.line.now)
    })
  }
}

interface FakePath {
  readonly route: Route
  readonly kind: PathKind
  isProved: boolean
  nonce: number
  probes: number
  lastReceivedAt: Instant
}

export class FakeSession implements TraversalSession {
  readonly peer: PeerId
  readonly isInitiator: boolean
  state: 'up' | 'lost' | 'down' = 'up'
  isDormant = false
  route: Route
  readonly #all = new Map<string, FakePath>()
  readonly #site: Site
  readonly #remote: Site
  /** What the remote was told. */
  readonly messages: NatMessage[] = []
  tried: Route[] = []
  knocked = 0
  /** What a hostile remote would not do. */
  isDeaf = false

  constructor(site: Site, remote: Site, isInitiator: boolean, route: Route) {
    this.#site = site
    this.#remote = remote
    this.peer = remote.peer
    this.isInitiator = isInitiator
    this.route = route
    const path = this.#path(route)
    path.isProved = true
    site.sessions.set(remote.peer, this)
  }

  get path(): PathKind {
    return this.route.kind === 'relay' ? 'relayed' : 'direct'
  }

  get paths(): readonly FakePath[] {
    return [...this.#all.values()]
  }

  get rttMs(): number {
    return 4 * this.#site.line.weather.latencyMs
  }

  sendMessage(payload: Uint8Array): void {
    const message = decodeNatMessage(payload)
    if (message === MALFORMED) throw new Error('a message of ours is malformed')
    this.messages.push(message)
    const { line } = this.#site
    const legs = this.path === 'relayed' ? 2 : 1
    line.after(legs * line.weather.latencyMs, () => {
      const session = this.#remote.sessions.get(this.#site.peer)
      if (session !== undefined && !this.isDeaf) {
        this.#remote.traversal.message(session, message, line.now)
      }
    })
  }

  tryRoute(route: Route, _now: Instant): void {
    this.tried.push(route)
    const path = this.#path(route)
    if (path.isProved || (path.probes > 0 && path.probes < PROBE_AT_MS.length)) return
    path.probes = 0
    if (route.kind === 'relay') {
      path.isProved = true
      return
    }
    for (const ms of PROBE_AT_MS) {
      this.#site.line.after(ms, () => {
        if (path.isProved) return
        path.probes++
        this.#send(path, { type: 'challenge', nonce: path.nonce })
      })
    }
  }

  knock(route: Route, _now: Instant): void {
    if (route.kind !== 'udp') return
    this.knocked++
    const { socket, host, port } = route.endpoint
    this.#site.line.carry(this.#site, socket, { host, port }, { type: 'knock' })
  }

  receive(socket: number, source: LocalAddress, probe: Probe): void {
    const { line } = this.#site
    const endpoint = { kind: 'udp', socket, host: source.host, port: source.port } as const
    const known = this.#find({ kind: 'udp', endpoint })
    const path = known ?? this.#path({ kind: 'udp', endpoint })
    path.lastReceivedAt = line.now
    for (const ms of known === undefined ? UNINVITED_AT_MS : []) {
      line.after(ms, () => {
        if (!path.isProved) this.#send(path, { type: 'challenge', nonce: path.nonce })
      })
    }
    if (probe.type === 'challenge') this.#send(path, { type: 'response', nonce: probe.nonce })
    if (probe.type === 'response') this.#proved(probe.nonce)
  }

  letGo(socket: number): void {
    for (const [key, { route }] of this.#all) {
      if (route.kind === 'udp' && route.endpoint.socket === socket) this.#all.delete(key)
    }
  }

  /** The direct path dies: back to the relay. */
  fall(route: Route): void {
    for (const [key, path] of this.#all) if (path.route.kind === 'udp') this.#all.delete(key)
    this.route = route
    this.#site.traversal.pathChanged(this, this.#site.line.now)
  }

  #proved(nonce: number): void {
    for (const path of this.#all.values()) {
      if (path.isProved || path.nonce !== nonce) continue
      path.isProved = true
      if (this.path === 'relayed') this.route = path.route
      this.#site.traversal.pathChanged(this, this.#site.line.now)
      return
    }
  }

  #send(path: FakePath, probe: Probe): void {
    if (path.route.kind !== 'udp') return
    const { socket, host, port } = path.route.endpoint
    this.#site.line.carry(this.#site, socket, { host, port }, probe)
  }

  #find(route: Route): FakePath | undefined {
    return this.paths.find((path) => isSameRoute(path.route, route))
  }

  #path(route: Route): FakePath {
    const known = this.#find(route)
    if (known !== undefined) return known
    if (this.#all.size >= PATHS_MAX) {
      const [stalest] = this.paths.filter((path) => !path.isProved)
      if (stalest !== undefined) this.#all.delete(JSON.stringify(stalest.route))
    }
    const path: FakePath = {
      route,
      kind: route.kind === 'relay' ? 'relayed' : 'direct',
      isProved: false,
      nonce: this.#site.line.random.below(2 ** 32),
      probes: 0,
      lastReceivedAt: this.#site.line.now,
    }
    this.#all.set(JSON.stringify(route), path)
    return path
  }
}

/** Two sites with a session over a third, which is public and has direct sessions with both. */
export function pairUp(
  seed: string,
  a: SiteOptions,
  b: SiteOptions,
  weather: Weather = { latencyMs: 0, lossRate: 0 },
): { line: Line; a: Site; b: Site; relay: Site; ab: FakeSession; ba: FakeSession } {
  const line = new Line(seed, weather)
  const relay = new Site(line)
  const [siteA, siteB] = [new Site(line, a), new Site(line, b)]
  for (const site of [siteA, siteB]) meetDirectly(site, relay)
  const [ab, ba] = meetRelayed(siteA, siteB, relay)
  return { line, a: siteA, b: siteB, relay, ab, ba }
}

export function meetDirectly(site: Site, relay: Site): void {
  const to = { host: relay.external, port: MAIN_PORT }
  const source = site.outbound(SOCKET_IPV4, to)
  if (source === undefined) return
  const session = (near: Site, far: Site, address: LocalAddress, isInitiator: boolean) => {
    const endpoint = { kind: 'udp', socket: SOCKET_IPV4, ...address } as const
    return new FakeSession(near, far, isInitiator, { kind: 'udp', endpoint })
  }
  const near = session(site, relay, to, true)
  const far = session(relay, site, source, false)
  site.relays.push(relay.peer)
  site.traversal.sessionUp(near, site.line.now)
  relay.traversal.sessionUp(far, site.line.now)
}

export function meetRelayed(a: Site, b: Site, relay: Site): [FakeSession, FakeSession] {
  const route = (to: Site): Route => ({ kind: 'relay', via: relay.peer, prefix: prefixOf(to.peer) })
  const ab = new FakeSession(a, b, true, route(b))
  const ba = new FakeSession(b, a, false, route(a))
  a.traversal.sessionUp(ab, a.line.now)
  b.traversal.sessionUp(ba, b.line.now)
  return [ab, ba]
}

export function scratchOnly(route: Route): boolean {
  return route.kind === 'udp' && route.endpoint.socket >= SOCKET_SCRATCH
}

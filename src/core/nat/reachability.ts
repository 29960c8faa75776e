import type { Random } from '../crypto.ts'
import { earlier } from '../deadlines.ts'
import type {
  Deadline,
  Endpoint,
  Instant,
  LocalAddress,
  NatVector,
  PathKind,
  PeerId,
  PortMapping,
} from '../io.ts'
import { SOCKET_IPV4, SOCKET_IPV6, SOCKET_SCRATCH } from '../io.ts'
import { isSameAddress } from '../overlay/known-peers.ts'
import type { Route } from '../session/route.ts'
import type { Session } from '../session/session.ts'
import { classifyHost } from '../wire/address.ts'
import { encodeNatMessage, type NatMessage } from './messages.ts'
import type { Reflector } from './reflector.ts'
import { ScratchSockets } from './scratch-sockets.ts'
import { Succession } from './succession.ts'
import { Survey } from './survey.ts'
import { Traversal } from './traversal.ts'

/**
 * What NAT is before us, and how remotes and we reach each other through it: the survey finds out, the
 * traversal acts on it, and both share the scratch sockets. It decides which neighbours may help, which
 * of our addresses remotes are told, and how often each session is kept alive.
 */
export interface ReachabilityHost {
  transmit(to: Endpoint, data: Uint8Array): void
  bind(socket: number): void
  unbind(socket: number): void
  /** Addresses of one of the driver's own sockets. */
  local(socket: number): readonly LocalAddress[] | undefined
  sessions(): IterableIterator<Session>
  sessionOf(peer: PeerId): Session | undefined
  withPrefix(prefix: string): Session | undefined
  relaysTo(peer: PeerId): readonly Route[]
  /** What is known of the NAT, or of our addresses, changed. */
  changed(nat: NatVector): void
}

const CANDIDATES_MAX = 8
/** Below 20 s, the shortest mapping lifetime of the NAT lab (natlab.md §3). */
const KEEPALIVE_MS = 15_000
/** transport.md §5.9. */
const KEEPALIVE_MAX_MS = 120_000
const KEEPALIVE_SHARE = 0.7

export class Reachability {
  readonly #host: ReachabilityHost
  readonly #scratch: ScratchSockets
  readonly #survey: Survey
  readonly #traversal: Traversal
  readonly #succession: Succession

  constructor(options: { random: Random; host: ReachabilityHost }, now: Instant) {
    const { random, host } = options
    this.#host = host
    const scratch = new ScratchSockets(host)
    this.#scratch = scratch
    const surveyHost = {
      transmit: (to: Endpoint, data: Uint8Array) => host.transmit(to, data),
      helpers: () => this.#helpers(),
      local: () => host.local(SOCKET_IPV4) ?? [],
      changed: (at: Instant) => this.#changed(at),
    }
    this.#survey = new Survey({ random, scratch, host: surveyHost }, now)
    const traversalHost = {
      nat: () => this.nat,
      candidates: () => this.candidates(),
      hasIpv6: () => host.local(SOCKET_IPV6) !== undefined,
      sessions: () => host.sessions(),
      sessionOf: (peer: PeerId) => host.sessionOf(peer),
      withPrefix: (prefix: string) => host.withPrefix(prefix),
      relaysTo: (peer: PeerId) => host.relaysTo(peer),
      forecast: (...args: Parameters<Survey['forecast']>) => this.#survey.forecast(...args),
    }
    this.#traversal = new Traversal({ random, host: traversalHost, scratch }, now)
    const successionHost = {
      nat: () => this.nat,
      sessions: () => host.sessions(),
      whereIs: (...args: Parameters<Survey['whereIs']>) => this.#survey.whereIs(...args),
      tellAlso: (...args: Parameters<Traversal['tellAlso']>) => this.#traversal.tellAlso(...args),
    }
    this.#succession = new Succession({ host: successionHost, scratch }, now)
  }

  get nat(): NatVector {
    return this.#survey.nat
  }

  /** Our addresses as remotes see them. */
  get observed(): readonly LocalAddress[] {
    return this.#survey.addresses
  }

  get counters(): Readonly<Record<string, number>> {
    return this.#traversal.counters
  }

  /** What a remote says that it is behind. */
  natOf(peer: PeerId): NatVector | undefined {
    return this.#traversal.natOf(peer)
  }

  /** Whether anyone may write to a remote, as it says. */
  isOpen(peer: PeerId): boolean {
    const nat = this.natOf(peer)
    return nat?.mapping === 'endpoint-independent' && nat.filtering === 'endpoint-independent'
  }

  /** Our own addresses that a remote may try, the likeliest first. */
  candidates(): readonly LocalAddress[] {
    const { portMapping } = this.nat
    const local = [SOCKET_IPV4, SOCKET_IPV6].flatMap((socket) => this.#host.local(socket) ?? [])
    const reachable = local.filter((address) => classifyHost(address.host) !== 'loopback')
    const mapped = portMapping === undefined ? [] : [portMapping.external]
    return [...mapped, ...this.observed, ...reachable]
      .filter((a, i, all) => all.findIndex((b) => isSameAddress(a, b)) === i)
      .slice(0, CANDIDATES_MAX)
  }

  /** A scratch socket is up at these addresses, or down. */
  socket(socket: number, addresses: readonly LocalAddress[] | undefined, now: Instant): void {
    this.#scratch.report(socket, addresses)
    if (addresses !== undefined) this.#traversal.socketUp(socket, now)
  }

  /** Whether a STUN message answers something of ours. */
  stun(data: Uint8Array, from: Endpoint, now: Instant): boolean {
    return this.#survey.receive(data, from, now)
  }

  mapped(mapping: PortMapping | undefined, now: Instant): void {
    this.#survey.mapped(mapping, now)
  }

  networkChanged(now: Instant): void {
    this.#survey.networkChanged(now)
    this.#traversal.networkChanged(now)
    this.#succession.networkChanged()
  }

  /** A remote sees us at `address` when we write to it by `route`. */
  observe(reporter: PeerId, route: Route | undefined, address: LocalAddress, now: Instant): void {
    const reporterHost = route?.kind === 'udp' ? route.endpoint.host : undefined
    const socket = route?.kind === 'udp' ? route.endpoint.socket : undefined
    // Where a scratch socket is seen says nothing of the main ones.
    if (socket !== undefined && socket >= SOCKET_SCRATCH) return
    this.#survey.observed(reporter, reporterHost, address, now)
  }

  sessionUp(session: Session, now: Instant): void {
    this.#traversal.sessionUp(session, now)
    this.#pathChanged(session, now)
  }

  pathChanged(session: Session, now: Instant): void {
    this.#traversal.pathChanged(session, now)
    this.#pathChanged(session, now)
  }

  /** A dormant session is used again. */
  woke(session: Session, now: Instant): void {
    this.#traversal.woke(session, now)
  }

  sessionGone(session: Session, now: Instant): void {
    this.#survey.forget(session.peer, now)
    this.#traversal.sessionGone(session, now)
  }

  /** A path died in use. */
  pathDied(kind: PathKind, now: Instant): void {
    if (kind === 'direct') this.#survey.pathDied(now)
  }

  message(session: Session, message: NatMessage, now: Instant): void {
    if (message.type === 'knock') {
      const { route } = session
      if (route?.kind !== 'udp') return
      return this.#survey.knock({ peer: session.peer, endpoint: route.endpoint }, message, now)
    }
    this.#traversal.message(session, message, now)
    if (message.type === 'candidates') this.#setKeepalive(session)
  }

  deadline(): Deadline | undefined {
    const first = earlier(this.#survey.deadline(), this.#traversal.deadline())
    return earlier(first, this.#succession.deadline())
  }

  onDeadline(now: Instant): void {
    this.#survey.onDeadline(now)
    this.#traversal.onDeadline(now)
    this.#succession.onDeadline(now)
  }

  #changed(now: Instant): void {
    this.#traversal.selfChanged(now)
    for (const session of this.#host.sessions()) this.#setKeepalive(session)
    this.#host.changed(this.nat)
  }

  #pathChanged(session: Session, now: Instant): void {
    if (this.#reflector(session) !== undefined) this.#survey.helperUp(now)
    this.#setKeepalive(session)
  }

  /** Both sides' mappings have to outlive the silence between two keepalives. */
  #setKeepalive(session: Session): void {
    const own = this.nat.lifetimeMs
    const theirs = this.natOf(session.peer)?.lifetimeMs
    const shorterMs = own === undefined || theirs === undefined ? undefined : Math.min(own, theirs)
    session.keepaliveMs =
      shorterMs === undefined
        ? KEEPALIVE_MS
        : Math.min(KEEPALIVE_MAX_MS, Math.max(KEEPALIVE_MS, KEEPALIVE_SHARE * shorterMs))
  }

  #helpers(): Reflector[] {
    const byHost = new Map<string, Reflector>()
    for (const session of this.#host.sessions()) {
      const reflector = this.#reflector(session)
      if (reflector !== undefined) byHost.set(reflector.endpoint.host, reflector)
    }
    return [...byHost.values()]
  }

  #reflector(session: Session): Reflector | undefined {
    const { peer, state, isDormant, route } = session
    if (state !== 'up' || isDormant || route?.kind !== 'udp') return undefined
    const { endpoint } = route
    if (endpoint.socket !== SOCKET_IPV4 || classifyHost(endpoint.host) !== 'global')
      return undefined
    return { peer, endpoint, send: (message) => session.sendMessage(encodeNatMessage(message)) }
  }
}

import { TokenBucket } from './collections/token-bucket.ts'
import type { PeerConfig } from './config.ts'
import { earlier } from './deadlines.ts'
import { assert, MALFORMED } from './errors.ts'
import { Groups, type GroupsConfig } from './groups/groups.ts'
import type {
  Command,
  Connectivity,
  Core,
  Deadline,
  Endpoint,
  Input,
  Instant,
  LeaveReason,
  LocalAddress,
  Output,
  PeerEvent,
  PeerId,
  RejectCode,
  SessionSnapshot,
  Snapshot,
  StoredRecord,
  UnixMs,
} from './io.ts'
import { SOCKET_IPV6, SOCKET_LAN, SOCKET_SCRATCH } from './io.ts'
import { decodeNatMessage, isNatMessage } from './nat/messages.ts'
import { Reachability } from './nat/reachability.ts'
import { Beacon } from './overlay/beacon.ts'
import { isSameAddress } from './overlay/known-peers.ts'
import { decodeOverlayMessage, KIND_SUBCLUSTER_MIN } from './overlay/messages.ts'
import { Neighbours } from './overlay/neighbours.ts'
import { Relay } from './overlay/relay.ts'
import { Relaying } from './overlay/relaying.ts'
import { REMEMBERED_PREFIX } from './overlay/remembered.ts'
import { Wanted } from './overlay/wanted.ts'
import { STORED_PREFIXES } from './replication/replication.ts'
import { Identity } from './session/identity.ts'
import type { Route } from './session/route.ts'
import type { Session, SessionEvent } from './session/session.ts'
import { Sessions } from './session/sessions.ts'
import type { TransportEvent } from './transport/transport.ts'
import { decodeHandshake, isInitiation } from './wire/datagram.ts'
import { answerBinding, isStun } from './wire/stun.ts'

/**
 * The whole peer: routes every input to the machine it concerns, settles what follows, and owns the
 * one output queue. A datagram goes sessions → overlay or subclusters; what they want sent goes back
 * through a session. The machines never call each other upwards; they report here, and this decides.
 */
/** Wall and monotonic clock apart by more than this, or a deadline later than this: the host slept. */
const SLEEP_MS = 5_000
/** Guess: a web page asks its peer for its address once. */
const STUN_PER_S = 20

export class Peer implements Core {
  readonly #identity: Identity
  readonly #sessions: Sessions
  readonly #neighbours: Neighbours
  readonly #groups: Groups
  readonly #beacon: Beacon | undefined
  readonly #relaying: Relaying
  readonly #stun: TokenBucket
  readonly #reachability: Reachability
  readonly #wanted: Wanted
  readonly #sockets = new Map<number, readonly LocalAddress[]>()
  readonly #counters: Record<string, number> = {}
  readonly #traffic = { datagramsIn: 0, bytesIn: 0, datagramsOut: 0, bytesOut: 0, handshakesOut: 0 }
  #outputs: Output[] = []
  #nextOutput = 0
  #now: Instant
  #wall: UnixMs
  #state: Connectivity = 'offline'
  #isClosed = false
  /** The one that was told last. */
  #address: LocalAddress = { host: '', port: 0 }
  /** Asked for twice between any two inputs, and the sum of many parts. */
  #deadline: Deadline | undefined
  #isDeadlineKnown = false

  constructor(config: PeerConfig, now: Instant, wall: UnixMs) {
    this.#now = now
    this.#wall = wall
    const { crypto, random } = config
    const identity = new Identity(crypto, config.identity)
    this.#identity = identity
    this.#relaying = new Relaying({
      relay: new Relay(config.relay, now),
      host: this.#relayingHost(),
    })
    this.#stun = new TokenBucket(STUN_PER_S, STUN_PER_S, now)
    this.#beacon = config.lan ? new Beacon(random, now) : undefined
    this.#sessions = new Sessions({ crypto, random, identity, host: this.#sessionsHost() }, now)
    this.#reachability = new Reachability({ random, host: this.#reachabilityHost() }, now)
    this.#neighbours = new Neighbours(identity.peerId, random, this.#neighbourHost())
    this.#wanted = new Wanted(this.#wantedHost(), now)
    this.#groups = new Groups(
      {
        ...config,
        ...this.#groupsHost(),
        identity: { ...config.identity, peerId: identity.peerId },
      },
      now,
      wall,
    )
    for (const bootstrap of config.bootstrap) this.#neighbours.addBootstrap(bootstrap, now)
    for (const prefix of [REMEMBERED_PREFIX, ...STORED_PREFIXES]) this.#load(prefix)
  }

  handle(input: Input, now: Instant, wall: UnixMs): void {
    assert(this.#nextOutput === this.#outputs.length, 'outputs are drained before the next input')
    this.#outputs = []
    this.#nextOutput = 0
    if (this.#isClosed) return
    const hasSlept = this.#hasSlept(now, wall)
    this.#isDeadlineKnown = false
    this.#now = now
    this.#wall = wall
    if (hasSlept) this.#wake()
    switch (input.type) {
      case 'datagram':
        this.#onDatagram(input.data, input.from)
        break
      case 'deadline':
        this.#onDeadline()
        break
      case 'command':
        this.#onCommand(input.command)
        break
      case 'socket':
        this.#onSocket(input.socket, input.state === 'up' ? input.addresses : undefined)
        break
      case 'portMapping':
        this.#reachability.mapped(input.mapping, now)
        break
      case 'loaded':
        this.#onLoaded(input.prefix, input.records)
        break
      case 'synced':
        this.#groups.synced(input.isKept)
        break
    }
    this.#sessions.settle(now)
    this.#reportState()
  }

  poll(): Output | undefined {
    const output = this.#outputs[this.#nextOutput]
    if (output !== undefined) this.#nextOutput++
    return output
  }

  deadline(): Deadline | undefined {
    if (!this.#isDeadlineKnown) {
      this.#isDeadlineKnown = true
      this.#deadline = this.#isClosed ? undefined : this.#firstDeadline()
    }
    return this.#deadline
  }

  snapshot(): Snapshot {
    return {
      peerId: this.#identity.peerId,
      state: this.#state,
      observed: this.#reachability.observed,
      local: [...this.#sockets.values()].flat(),
      nat: this.#reachability.nat,
      sessions: [...this.#sessions.all()].map((session) => this.#sessionSnapshot(session)),
      counters: {
        ...this.#traffic,
        ...this.#counters,
        ...this.#reachability.counters,
        ...this.#groups.counters,
      },
    }
  }

  #sessionSnapshot(session: Session): SessionSnapshot {
    const { peer, path, rttMs, route } = session
    const address = route?.kind === 'udp' ? addressOf(route.endpoint) : undefined
    const relay = route?.kind === 'relay' ? route.via : undefined
    const state = session.state === 'up' ? 'up' : 'lost'
    return { peer, state, path, address, relay, rttMs, nat: this.#reachability.natOf(peer) }
  }

  #firstDeadline(): Deadline | undefined {
    let first = earlier(this.#sessions.deadline(), this.#neighbours.deadline())
    first = earlier(first, this.#groups.deadline())
    first = earlier(first, this.#reachability.deadline())
    first = earlier(first, this.#wanted.deadline())
    return this.#sockets.size > 0 ? earlier(first, this.#beacon?.deadline()) : first
  }

  #onDatagram(data: Uint8Array, from: Endpoint): void {
    this.#traffic.datagramsIn++
    this.#traffic.bytesIn += data.length
    if (from.socket === SOCKET_LAN) return this.#onBeacon(data, from)
    if (isStun(data)) return this.#onStun(data, from)
    this.#sessions.receive(data, { kind: 'udp', endpoint: from }, this.#now)
  }

  #onBeacon(data: Uint8Array, from: Endpoint): void {
    const datagram = decodeHandshake(data)
    if (datagram === MALFORMED || datagram.type !== 'beacon') {
      return this.#reject('malformed', { kind: 'udp', endpoint: from })
    }
    const endpoint = this.#beacon?.hear(datagram.nonce, from)
    if (endpoint === undefined || this.#sessions.isAt(endpoint)) return
    this.#sessions.dial(undefined, [{ kind: 'udp', endpoint }], this.#now)
  }

  #onStun(data: Uint8Array, from: Endpoint): void {
    if (this.#reachability.stun(data, from, this.#now)) return
    const answer = answerBinding(data, from)
    if (answer === undefined) return this.#reject('malformed', { kind: 'udp', endpoint: from })
    if (this.#stun.take(1, this.#now)) this.#transmit(from, answer)
  }

  #onDeadline(): void {
    this.#sessions.onDeadline(this.#now)
    this.#neighbours.onDeadline(this.#now)
    this.#groups.onDeadline(this.#now, this.#wall)
    this.#reachability.onDeadline(this.#now)
    this.#wanted.onDeadline(this.#now)
    const beacon = this.#sockets.size > 0 ? this.#beacon?.takeDue(this.#now) : undefined
    if (beacon !== undefined) this.#transmit(beacon.to, beacon.data)
  }

  #onCommand(command: Command): void {
    switch (command.type) {
      case 'close':
        this.#sessions.close(this.#now)
        this.#isClosed = true
        return
      case 'dial':
        this.#neighbours.addBootstrap(command, this.#now)
        if (command.peer !== undefined) this.#neighbours.seek(command.peer, this.#now)
        return
      default:
        this.#groups.command(command, this.#now, this.#wall)
    }
  }

  #onLoaded(prefix: string, records: readonly StoredRecord[]): void {
    const unreadable =
      prefix === REMEMBERED_PREFIX
        ? this.#neighbours.load(records, this.#now)
        : this.#groups.loaded(prefix, records, this.#now, this.#wall)
    this.#count('unreadableRecords', unreadable)
  }

  #onSocket(socket: number, addresses: readonly LocalAddress[] | undefined): void {
    if (socket >= SOCKET_SCRATCH) return this.#reachability.socket(socket, addresses, this.#now)
    const before = this.#sockets.get(socket)
    if (addresses === undefined) this.#sockets.delete(socket)
    else this.#sockets.set(socket, addresses)
    const isSame =
      before?.length === addresses?.length &&
      before?.every((address, i) => isSameAddress(address, addresses?.[i] ?? address))
    if (before === undefined || isSame) return
    this.#beacon?.restart(this.#now)
    this.#wake()
    this.#reachability.networkChanged(this.#now)
  }

  #wake(): void {
    this.#sessions.wake(this.#now)
    this.#neighbours.networkChanged(this.#now)
  }

  #hasSlept(now: Instant, wall: UnixMs): boolean {
    const wallJumpMs = wall - this.#wall - (now - this.#now)
    const due = this.deadline()
    return wallJumpMs > SLEEP_MS || (due !== undefined && now - due.at > SLEEP_MS)
  }

  #reportState(): void {
    const state = this.#connectivity()
    if (state === this.#state) return
    this.#state = state
    this.#emit({ type: 'state', state })
  }

  #connectivity(): Connectivity {
    if (this.#sockets.size === 0 || this.#isClosed) return 'offline'
    for (const session of this.#sessions.all()) if (session.state === 'up') return 'online'
    return this.#sessions.size > 0 ? 'degraded' : 'connecting'
  }

  #onSessionEvent(session: Session, event: SessionEvent): void {
    switch (event.type) {
      case 'transport':
        return this.#onTransportEvent(session, event.event)
      case 'relay':
        return this.#relaying.frame(session, event.frame, this.#now)
      case 'observed':
        return this.#reachability.observe(session.peer, event.route, event.address, this.#now)
      case 'lost':
        this.#groups.sessionLost(session, this.#now, this.#wall)
        this.#relaying.gone(session.peer, this.#now)
        this.#neighbours.sessionGone(session, this.#now, false)
        return this.#emit({ type: 'disconnection', peer: session.peer, why: 'timeout' })
      case 'back':
        this.#emit({ type: 'connection', peer: session.peer, path: session.path })
        this.#neighbours.sessionUp(session, this.#now, this.#wall)
        this.#reachability.sessionUp(session, this.#now)
        return this.#groups.sessionBack(session, this.#now)
      case 'woke':
        return this.#reachability.woke(session, this.#now)
      case 'path': {
        this.#neighbours.pathChanged(session, this.#now, this.#wall)
        this.#reachability.pathChanged(session, this.#now)
        const { peer, path, rttMs } = session
        return this.#emit({ type: 'path', peer, path, rttMs })
      }
      case 'pathDied':
        return this.#reachability.pathDied(event.kind, this.#now)
      case 'silent':
        return this.#neighbours.seek(session.peer, this.#now)
      case 'down':
        return
    }
  }

  #onTransportEvent(session: Session, event: TransportEvent): void {
    const groups = this.#groups
    switch (event.type) {
      case 'message':
        if ((event.payload[0] ?? 0) >= KIND_SUBCLUSTER_MIN) {
          return groups.message(session, event.payload, this.#now, this.#wall)
        }
        return this.#onOverlayMessage(session, event.payload)
      case 'messageAcked':
        return groups.messageAcked(session, event.message)
      case 'datagram':
        return groups.datagram(session, event.payload, this.#now)
      case 'streamOpened':
        return groups.streamOpened(session, event.stream)
      case 'streamData':
        return groups.streamData(session, event.stream, event.data)
      case 'streamEnded':
        return groups.streamEnded(session, event.stream)
      case 'streamReset':
      case 'streamStopped':
        return groups.streamReset(session, event.stream, event.code)
      case 'streamWritable':
        return groups.streamWritable(session, event.stream, event.bytes)
      case 'frame':
        return
    }
  }

  #onOverlayMessage(session: Session, payload: Uint8Array): void {
    if (isNatMessage(payload)) {
      const message = decodeNatMessage(payload)
      if (message === MALFORMED) return this.#reject('malformed', session.route)
      return this.#reachability.message(session, message, this.#now)
    }
    const message = decodeOverlayMessage(payload)
    if (message === MALFORMED) return this.#reject('malformed', session.route)
    this.#neighbours.message(session, message, this.#now)
  }

  #onClosed(session: Session, why: LeaveReason): void {
    this.#reachability.sessionGone(session, this.#now)
    this.#relaying.gone(session.peer, this.#now)
    this.#groups.sessionDown(session, why, this.#now)
    this.#emit({ type: 'disconnection', peer: session.peer, why })
    this.#neighbours.sessionGone(session, this.#now, why !== 'restarted')
  }

  #transmit(to: Endpoint, data: Uint8Array): void {
    this.#traffic.datagramsOut++
    this.#traffic.bytesOut += data.length
    if (isInitiation(data)) this.#traffic.handshakesOut++
    this.#output({ type: 'transmit', to, data })
  }

  #load(prefix: string): void {
    this.#output({ type: 'load', prefix })
  }

  #reject(code: RejectCode, route: Route | undefined): void {
    this.#count(`rejected.${code}`, 1)
    const from = route?.kind === 'udp' ? route.endpoint : undefined
    this.#emit({ type: 'rejected', code, from })
  }

  #emit(event: PeerEvent): void {
    this.#output({ type: 'event', event })
  }

  #output(output: Output): void {
    this.#outputs.push(output)
  }

  #count(name: string, by: number): void {
    if (by > 0) this.#counters[name] = (this.#counters[name] ?? 0) + by
  }

  #sessionsHost(): ConstructorParameters<typeof Sessions>[0]['host'] {
    return {
      transmit: (to, datagram) => this.#transmit(to, datagram),
      reject: (code, route) => this.#reject(code, route),
      opened: (session, observed) => {
        const { peer, route } = session
        if (observed !== undefined) this.#reachability.observe(peer, route, observed, this.#now)
        this.#emit({ type: 'connection', peer: session.peer, path: session.path })
        this.#neighbours.sessionUp(session, this.#now, this.#wall)
        this.#reachability.sessionUp(session, this.#now)
        this.#groups.sessionUp(session, this.#now, this.#wall)
      },
      closed: (session, why) => this.#onClosed(session, why),
      event: (session, event) => this.#onSessionEvent(session, event),
      gaveUp: (peer, routes) => {
        this.#neighbours.gaveUp(peer, routes, this.#now)
        const route = routes[0]
        if (route?.kind === 'udp') this.#beacon?.forget(route.endpoint)
      },
      identified: (route, peer) => this.#neighbours.identified(route, peer),
    }
  }

  #reachabilityHost(): ConstructorParameters<typeof Reachability>[0]['host'] {
    return {
      transmit: (to, data) => this.#transmit(to, data),
      bind: (socket) => this.#output({ type: 'bind', socket }),
      unbind: (socket) => this.#output({ type: 'unbind', socket }),
      local: (socket) => this.#sockets.get(socket),
      sessions: () => this.#sessions.all(),
      sessionOf: (peer) => this.#sessions.with(peer),
      withPrefix: (prefix) => this.#sessions.withPrefix(prefix),
      relaysTo: (peer) => this.#neighbours.relaysTo(peer),
      changed: (nat) => {
        this.#emit({ type: 'nat', nat })
        const [first] = this.#reachability.observed
        if (first === undefined || isSameAddress(first, this.#address)) return
        this.#address = first
        this.#emit({ type: 'address', address: first })
      },
    }
  }

  #relayingHost(): ConstructorParameters<typeof Relaying>[0]['host'] {
    return {
      sessions: () => this.#sessions.all(),
      withPrefix: (prefix) => this.#sessions.withPrefix(prefix),
      refused: (...args) => this.#neighbours.refused(...args),
      receive: (datagram, route) => this.#sessions.receive(datagram, route, this.#now),
      count: (name) => this.#count(name, 1),
      reject: (code, route) => this.#reject(code, route),
    }
  }

  #groupsHost(): Omit<GroupsConfig, keyof PeerConfig> {
    return {
      placement: () => this.#neighbours.placement,
      meanStayMs: () => this.#neighbours.meanStayMs(this.#now),
      setGoals: (places) => this.#neighbours.setGoals(places, this.#now),
      store: (key, value) => this.#output({ type: 'store', key, value }),
      load: (prefix) => this.#load(prefix),
      requestSync: () => this.#output({ type: 'sync' }),
      emit: (event) => this.#emit(event),
      reject: (code) => this.#reject(code, undefined),
    }
  }

  #wantedHost(): ConstructorParameters<typeof Wanted>[0] {
    return {
      sessions: () => this.#sessions.all(),
      isMember: (peer) => this.#groups.isMember(peer),
      isNamed: (peer) => this.#neighbours.isNamed(peer),
      kept: () => this.#neighbours.kept(),
      isOpen: (peer) => this.#reachability.isOpen(peer),
    }
  }

  #neighbourHost(): ConstructorParameters<typeof Neighbours>[2] {
    return {
      dial: (peer, routes, now) => this.#sessions.dial(peer, routes, now),
      isDialing: (peer) => this.#sessions.isDialing(peer),
      sessionOf: (peer: PeerId) => this.#sessions.with(peer),
      sessions: () => this.#sessions.all(),
      hasIpv6: () => this.#sockets.has(SOCKET_IPV6),
      store: (key, value) => this.#output({ type: 'store', key, value }),
      letGo: (peer, now) => this.#sessions.letGo(peer, now),
      isMember: (peer) => this.#groups.isMember(peer),
      relayedAt: (peer) => this.#relaying.carriedAt(peer),
    }
  }
}

function addressOf({ host, port }: Endpoint): LocalAddress {
  return { host, port }
}

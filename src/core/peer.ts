import { TokenBucket } from './collections/token-bucket.ts'
import type { PeerConfig } from './config.ts'
import { earlier } from './deadlines.ts'
import { assert, MALFORMED } from './errors.ts'
import { Groups } from './groups/groups.ts'
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
  Snapshot,
  UnixMs,
} from './io.ts'
import { SOCKET_IPV6, SOCKET_LAN } from './io.ts'
import { ReflexiveAddresses } from './nat/reflexive.ts'
import { Beacon } from './overlay/beacon.ts'
import { isSameAddress } from './overlay/known-peers.ts'
import { decodeOverlayMessage, KIND_SUBCLUSTER_MIN } from './overlay/messages.ts'
import { Neighbours } from './overlay/neighbours.ts'
import { Relay } from './overlay/relay.ts'
import { REMEMBERED_PREFIX } from './overlay/remembered.ts'
import { Identity } from './session/identity.ts'
import type { Route } from './session/route.ts'
import type { Session, SessionEvent } from './session/session.ts'
import { Sessions } from './session/sessions.ts'
import type { TransportEvent } from './transport/transport.ts'
import { classifyHost } from './wire/address.ts'
import { toHex } from './wire/bytes.ts'
import { decodeHandshake } from './wire/datagram.ts'
import type { SessionFrame } from './wire/frames.ts'
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
const CANDIDATES_MAX = 8

export class Peer implements Core {
  readonly #identity: Identity
  readonly #sessions: Sessions
  readonly #neighbours: Neighbours
  readonly #groups: Groups
  readonly #beacon: Beacon | undefined
  readonly #relay: Relay
  readonly #stun: TokenBucket
  readonly #reflexive = new ReflexiveAddresses()
  readonly #sockets = new Map<number, readonly LocalAddress[]>()
  readonly #counters: Record<string, number> = {}
  readonly #traffic = { datagramsIn: 0, bytesIn: 0, datagramsOut: 0, bytesOut: 0 }
  #outputs: Output[] = []
  #nextOutput = 0
  #now: Instant
  #wall: UnixMs
  #state: Connectivity = 'offline'
  #isClosed = false
  /** Asked for twice between any two inputs, and the sum of many parts. */
  #deadline: Deadline | undefined
  #isDeadlineKnown = false

  constructor(config: PeerConfig, now: Instant, wall: UnixMs) {
    this.#now = now
    this.#wall = wall
    const { crypto, random } = config
    const identity = new Identity(crypto, config.identity)
    this.#identity = identity
    this.#relay = new Relay(config.relay, now)
    this.#stun = new TokenBucket(STUN_PER_S, STUN_PER_S, now)
    this.#beacon = config.lan ? new Beacon(random, now) : undefined
    this.#sessions = new Sessions({ crypto, random, identity, host: this.#sessionsHost() }, now)
    this.#neighbours = new Neighbours(identity.peerId, random, this.#neighbourHost(), now)
    this.#groups = new Groups({
      crypto,
      random,
      identity: { peerId: identity.peerId, ...config.identity },
      clusterId: config.clusterId,
      emit: (event) => this.#emit(event),
      reject: (code) => this.#reject(code, undefined),
    })
    for (const bootstrap of config.bootstrap) this.#neighbours.addBootstrap(bootstrap, now)
    this.#output({ type: 'load', prefix: REMEMBERED_PREFIX })
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
      case 'loaded':
        this.#count('unreadableRecords', this.#neighbours.load(input.records, now))
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
    const sessions = [...this.#sessions.all()].map((session) => {
      const { peer, path, rttMs, route } = session
      const endpoint = route?.kind === 'udp' ? route.endpoint : undefined
      const address = endpoint && { host: endpoint.host, port: endpoint.port }
      return { peer, state: session.state === 'up' ? 'up' : 'lost', path, address, rttMs } as const
    })
    return {
      peerId: this.#identity.peerId,
      state: this.#state,
      observed: this.#reflexive.candidates(),
      local: [...this.#sockets.values()].flat(),
      sessions,
      counters: { ...this.#traffic, ...this.#counters },
    }
  }

  #firstDeadline(): Deadline | undefined {
    let first = earlier(this.#sessions.deadline(), this.#neighbours.deadline())
    first = earlier(first, this.#groups.deadline())
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
    const answer = answerBinding(data, from)
    if (answer === undefined) return this.#reject('malformed', { kind: 'udp', endpoint: from })
    if (this.#stun.take(1, this.#now)) this.#transmit(from, answer)
  }

  #onDeadline(): void {
    this.#sessions.onDeadline(this.#now)
    this.#neighbours.onDeadline(this.#now)
    this.#groups.onDeadline(this.#now, this.#wall)
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

  #onSocket(socket: number, addresses: readonly LocalAddress[] | undefined): void {
    const before = this.#sockets.get(socket)
    if (addresses === undefined) this.#sockets.delete(socket)
    else this.#sockets.set(socket, addresses)
    const isSame =
      before?.length === addresses?.length &&
      before?.every((address, i) => isSameAddress(address, addresses?.[i] ?? address))
    if (before === undefined || isSame) return
    this.#reflexive.clear()
    this.#beacon?.restart(this.#now)
    this.#wake()
    for (const session of this.#sessions.all()) this.#neighbours.sendCandidates(session)
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
        return this.#onRelayFrame(session, event.frame)
      case 'observed':
        return this.#onObserved(session, event.address)
      case 'lost':
        this.#groups.sessionLost(session)
        this.#neighbours.sessionGone(session, this.#now, false)
        return this.#emit({ type: 'disconnection', peer: session.peer, why: 'timeout' })
      case 'back':
        this.#emit({ type: 'connection', peer: session.peer, path: session.path })
        this.#neighbours.sessionUp(session, this.#now, this.#wall)
        return this.#groups.sessionBack(session)
      case 'path': {
        this.#neighbours.pathChanged(session, this.#now, this.#wall)
        const { peer, path, rttMs } = session
        return this.#emit({ type: 'path', peer, path, rttMs })
      }
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
    const message = decodeOverlayMessage(payload)
    if (message === MALFORMED) return this.#reject('malformed', session.route)
    this.#neighbours.message(session, message, this.#now)
  }

  #onRelayFrame(session: Session, frame: SessionFrame): void {
    if (frame.type === 'relayed') {
      const route: Route = { kind: 'relay', via: session.peer, prefix: toHex(frame.prefix) }
      return this.#sessions.receive(frame.datagram, route, this.#now)
    }
    if (frame.type === 'relayRefused') {
      return this.#neighbours.refused(session.peer, toHex(frame.prefix))
    }
    if (frame.type !== 'relay') return
    const target = this.#sessions.withPrefix(toHex(frame.prefix))
    const isCarried = this.#relay.carry(session, target, frame.datagram.slice(), this.#now)
    this.#count(isCarried ? 'relayedDatagrams' : 'relayRefusals', 1)
    if (!isCarried) session.relay({ type: 'relayRefused', prefix: frame.prefix.slice() })
  }

  #onObserved(session: Session, address: LocalAddress): void {
    if (!this.#reflexive.report(session.peer, address)) return
    const [first] = this.#reflexive.candidates()
    if (first !== undefined) this.#emit({ type: 'address', address: first })
    for (const other of this.#sessions.all()) {
      if (other.state === 'up') this.#neighbours.sendCandidates(other)
    }
  }

  #onClosed(session: Session, why: LeaveReason): void {
    this.#reflexive.forget(session.peer)
    this.#groups.sessionDown(session, why, this.#now)
    this.#emit({ type: 'disconnection', peer: session.peer, why })
    this.#neighbours.sessionGone(session, this.#now, why !== 'restarted')
  }

  #candidates(): readonly LocalAddress[] {
    const local = [...this.#sockets.values()].flat()
    const reachable = local.filter((address) => classifyHost(address.host) !== 'loopback')
    return [...this.#reflexive.candidates(), ...reachable]
      .filter((a, i, all) => all.findIndex((b) => isSameAddress(a, b)) === i)
      .slice(0, CANDIDATES_MAX)
  }

  #transmit(to: Endpoint, data: Uint8Array): void {
    this.#traffic.datagramsOut++
    this.#traffic.bytesOut += data.length
    this.#output({ type: 'transmit', to, data })
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
        if (observed !== undefined) this.#onObserved(session, observed)
        this.#emit({ type: 'connection', peer: session.peer, path: session.path })
        this.#neighbours.sessionUp(session, this.#now, this.#wall)
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

  #neighbourHost(): ConstructorParameters<typeof Neighbours>[2] {
    return {
      dial: (peer, routes, now) => this.#sessions.dial(peer, routes, now),
      isDialing: (peer) => this.#sessions.isDialing(peer),
      sessionOf: (peer: PeerId) => this.#sessions.with(peer),
      sessions: () => this.#sessions.all(),
      sessionCount: () => this.#sessions.size,
      candidates: () => this.#candidates(),
      hasIpv6: () => this.#sockets.has(SOCKET_IPV6),
      store: (key, value) => this.#output({ type: 'store', key, value }),
    }
  }
}

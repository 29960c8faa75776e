/**
 * Two sessions and several wires between them in virtual time: each wire is one route, with its own
 * latency, loss and death, each way. The keys are given: handshakes have their own tests.
 */
import { sodiumNative } from '../../crypto/sodium-native.ts'
import type { Endpoint, Instant, PeerId } from '../io.ts'
import { SeededRandom } from '../seeded.fixture.ts'
import { Link, type LinkOptions, Timeline } from '../transport/link.fixture.ts'
import { destinationOf } from '../wire/datagram.ts'
import { type Route, routeKey } from './route.ts'
import { SealedKeys } from './sealing.ts'
import { Session, type SessionEvent } from './session.ts'

const crypto = sodiumNative()
export const RELAY = 'e'.repeat(64) as PeerId
export const OTHER_RELAY = 'f'.repeat(64) as PeerId
const LABEL_BYTES = 8

export interface Wire {
  /** The route by which each end sends, and by which the other end's datagrams come. */
  readonly routes: readonly [Route, Route]
  readonly links: readonly [Link, Link]
}

/** One end: a session, what it said, and what it got. */
export class End {
  readonly session: Session
  readonly events: SessionEvent[] = []
  /** Messages in the order in which they came. */
  readonly received: { readonly number: number; readonly at: number }[] = []
  /** Datagrams sent, by route. */
  readonly sent = new Map<string, number>()
  /** Sizes of all datagrams sent. */
  readonly sizes: number[] = []
  /** A datagram that no wire carries. */
  onStray: (route: Route, datagram: Uint8Array) => void = () => {}
  readonly #lab: Wires
  readonly #side: 0 | 1
  #wakeAt = Number.POSITIVE_INFINITY
  #isPumping = false

  constructor(lab: Wires, side: 0 | 1, route: Route) {
    this.#lab = lab
    this.#side = side
    const seed = (text: string) => crypto.hash(32, [new TextEncoder().encode(text)])
    const [out, back] = [seed('a to b'), seed('b to a')]
    const established = {
      peer: (side === 0 ? 'b' : 'a').repeat(64) as PeerId,
      isInitiator: side === 0,
      keys: side === 0 ? new SealedKeys(crypto, out, back) : new SealedKeys(crypto, back, out),
      binding: seed('binding'),
      localCid: side,
      remoteCid: 1 - side,
      remoteRun: 'run',
      isResumed: false,
      route,
      observed: undefined,
      finish: undefined,
    }
    const random = new SeededRandom(1000 * lab.seed + side)
    const host = {
      send: (to: Route, datagram: Uint8Array) => this.#send(to, datagram),
      event: (_: Session, event: SessionEvent) => this.#onEvent(event),
      reject: (code: string) => void this.rejections.push(code),
      touch: () => this.#lab.soon(() => this.pump()),
    }
    this.session = new Session({ crypto, random, host }, established, lab.now)
    this.pump()
  }

  readonly rejections: string[] = []

  get kind(): string {
    return this.session.path
  }

  /** Numbered, so that each can be told to have come once. */
  say(number: number, bytes = LABEL_BYTES): void {
    const payload = new Uint8Array(bytes)
    new DataView(payload.buffer).setUint32(0, number)
    this.session.sendMessage(payload)
    this.pump()
  }

  receive(data: Uint8Array, route: Route): void {
    this.session.receive(destinationOf(data), data, route, this.#lab.now)
    this.pump()
  }

  happened<T extends SessionEvent['type']>(type: T): Extract<SessionEvent, { type: T }>[] {
    return this.events.filter(
      (event): event is Extract<SessionEvent, { type: T }> => event.type === type,
    )
  }

  pump(): void {
    if (this.#isPumping || this.session === undefined) return
    this.#isPumping = true
    this.session.settle(this.#lab.now)
    this.#isPumping = false
    const at = this.session.deadline()?.at
    if (at === undefined || at >= this.#wakeAt) return
    this.#wakeAt = at
    this.#lab.timeline.at(at, () => {
      if (this.#wakeAt !== at) return
      this.#wakeAt = Number.POSITIVE_INFINITY
      const due = this.session.deadline()?.at ?? Number.POSITIVE_INFINITY
      if (due <= this.#lab.now) this.session.onDeadline(this.#lab.now)
      this.pump()
    })
  }

  #send(route: Route, datagram: Uint8Array): void {
    const key = routeKey(route)
    this.sent.set(key, (this.sent.get(key) ?? 0) + 1)
    this.sizes.push(datagram.length)
    const wire = this.#lab.wires.find(({ routes }) => routeKey(routes[this.#side]) === key)
    if (wire === undefined) return this.onStray(route, datagram)
    const other = 1 - this.#side
    wire.links[this.#side].send(datagram.length, () =>
      this.#lab.ends[other]?.receive(datagram, wire.routes[other as 0 | 1]),
    )
  }

  #onEvent(event: SessionEvent): void {
    this.events.push(event)
    if (event.type !== 'transport' || event.event.type !== 'message') return
    const { payload } = event.event
    const number = new DataView(payload.buffer, payload.byteOffset).getUint32(0)
    this.received.push({ number, at: this.#lab.now })
  }
}

export class Wires {
  readonly timeline = new Timeline()
  readonly wires: Wire[] = []
  readonly ends: End[] = []
  readonly seed: number
  readonly #random: SeededRandom

  constructor(seed: number) {
    this.seed = seed
    this.#random = new SeededRandom(seed)
  }

  get now(): Instant {
    return this.timeline.now as Instant
  }

  /** A wire between two addresses of the given hosts, and which socket each end uses for it. */
  straight(hostA: string, hostB: string, options: LinkOptions, sockets = [0, 0]): Wire {
    const to = (host: string, socket = 0): Endpoint => ({ kind: 'udp', socket, host, port: 1000 })
    const routes = [
      { kind: 'udp', endpoint: to(hostB, sockets[0]) },
      { kind: 'udp', endpoint: to(hostA, sockets[1]) },
    ] as const
    return this.#add(routes, options)
  }

  relayed(via: PeerId, options: LinkOptions): Wire {
    const routes = [
      { kind: 'relay', via, prefix: 'b'.repeat(16) },
      { kind: 'relay', via, prefix: 'a'.repeat(16) },
    ] as const
    return this.#add(routes, options)
  }

  /** Both sessions, begun on a wire: the first is the initiator. */
  begin(wire: Wire): readonly [End, End] {
    const a = new End(this, 0, wire.routes[0])
    const b = new End(this, 1, wire.routes[1])
    this.ends.push(a, b)
    a.pump()
    b.pump()
    return [a, b]
  }

  /** Both ends learn of the wire and probe it. */
  tell(wire: Wire): void {
    for (const [side, end] of this.ends.entries()) {
      const route = wire.routes[side]
      if (route !== undefined) end.session.tryRoute(route, this.now)
      end.pump()
    }
  }

  cut(wire: Wire, isUp = false): void {
    for (const link of wire.links) link.isUp = isUp
  }

  run(ms: number): void {
    const end = this.timeline.now + ms
    this.timeline.at(end, () => {})
    this.timeline.run(() => this.timeline.now >= end, end)
  }

  soon(run: () => void): void {
    this.timeline.at(this.timeline.now, run)
  }

  #add(routes: Wire['routes'], options: LinkOptions): Wire {
    const link = () => new Link(this.timeline, this.#random, options)
    const wire = { routes, links: [link(), link()] } as const
    this.wires.push(wire)
    return wire
  }
}

export const DIRECT = ['44.0.0.1', '44.0.0.2'] as const
export const LAN = ['192.168.0.1', '192.168.0.2'] as const
export const IPV6 = ['2a00::1', '2a00::2'] as const

/** `from` says a numbered message every so often; returns what ends that. */
export function flow(lab: Wires, from: End, everyMs: number): { sent: number; stop(): void } {
  const state = { sent: 0, isOn: true, stop: () => {} }
  const step = () => {
    if (!state.isOn) return
    from.say(state.sent++)
    lab.timeline.at(lab.timeline.now + everyMs, step)
  }
  state.stop = () => {
    state.isOn = false
  }
  step()
  return state
}

/** The longest time without an arrival from `since` to now. */
export function longestSilenceMs(lab: Wires, to: End, since: number): number {
  const times = [since, ...to.received.map(({ at }) => at).filter((at) => at > since), lab.now]
  return Math.max(...times.map((at, i) => (times[i + 1] ?? at) - at))
}

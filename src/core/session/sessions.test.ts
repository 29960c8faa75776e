import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sodiumNative } from '../../crypto/sodium-native.ts'
import type { Endpoint, Instant, PeerId } from '../io.ts'
import { Relay, routeThrough } from '../overlay/relay.ts'
import { SeededRandom } from '../seeded.fixture.ts'
import { toHex } from '../wire/bytes.ts'
import { DATAGRAM_BYTES_MAX } from '../wire/datagram.ts'
import type { SessionFrame } from '../wire/frames.ts'
import { Identity } from './identity.ts'
import { prefixOf, type Route } from './route.ts'
import type { Session, SessionEvent } from './session.ts'
import { Sessions } from './sessions.ts'

const crypto = sodiumNative()
const LATENCY_MS = 10
const FAR_MS = 3_600_000

test('two relays in a row carry a session, whole datagrams included', () => {
  const net = new Net()
  const [a, w, v, b] = [net.peer(1), net.peer(2), net.peer(3), net.peer(4)]
  net.chain(a, w, v, b)
  const ends = [a.with(b), b.with(a)]
  assert.deepEqual(
    ends.map((session) => session.path),
    ['relayed', 'relayed'],
  )
  a.with(b).sendMessage(new Uint8Array(200_000).fill(7))
  b.with(a).sendMessage(new Uint8Array(200_000).fill(8))
  net.run(5_000)
  assert.deepEqual([a.bytesFrom(b), b.bytesFrom(a)], [200_000, 200_000])
  assert.ok(net.longest <= DATAGRAM_BYTES_MAX, `${net.longest} bytes`)
  assert.ok(net.longest > DATAGRAM_BYTES_MAX - 40, 'the datagrams were filled')
})

test('a third relay in a row is not asked', () => {
  const net = new Net()
  const [a, w, v, b, c] = [net.peer(1), net.peer(2), net.peer(3), net.peer(4), net.peer(5)]
  net.chain(a, w, v, b)
  net.meet(b, c)
  a.sessions.dial(c.id, [relay(b, c)], net.now)
  net.run(5_000)
  assert.equal(a.sessions.with(c.id), undefined)
  const asked = b.events.filter(([peer, { type }]) => peer === a.id && type === 'relay')
  assert.equal(asked.length, 0)
})

test('two sessions that are each the way to the other send a bounded number of datagrams', () => {
  const net = new Net()
  const [a, v, w] = [net.peer(1), net.peer(2), net.peer(3)]
  net.meet(a, v)
  net.meet(a, w)
  net.meet(v, w)
  a.with(v).tryRoute(relay(w, v), net.now)
  a.with(w).tryRoute(relay(v, w), net.now)
  net.run(1_000)
  net.isReachable = (from, to) => !(from === a && to === v) && !(from === v && to === a)
  a.with(v).sendMessage(Uint8Array.of(1))
  net.run(3_000)
  assert.equal(a.with(v).path, 'relayed')
  net.isReachable = (from, to) => from !== a && to !== a
  const before = net.count
  a.with(v).sendMessage(Uint8Array.of(1))
  a.with(w).sendMessage(Uint8Array.of(1))
  net.run(20_000)
  assert.ok(net.count - before < 500, `${net.count - before} datagrams in 20 s`)
})

// Turns red when `isSilent` asks for anything but what is unacknowledged.
test('who does not acknowledge is silent long before it is lost, until it does', () => {
  const net = new Net()
  const [a, b] = [net.peer(1), net.peer(2)]
  net.meet(a, b)
  net.run(1_000)
  assert.equal(a.with(b).isSilent, false)
  net.isReachable = () => false
  net.run(200)
  assert.equal(a.with(b).isSilent, false, 'it was sent nothing')
  a.with(b).sendMessage(Uint8Array.of(1))
  net.run(300)
  assert.deepEqual([a.with(b).isSilent, a.with(b).state], [true, 'up'])
  net.isReachable = () => true
  net.run(2_000)
  assert.equal(a.with(b).isSilent, false)
})

test('a relayed session that falls silent has its way to the relay asked, too', () => {
  const net = new Net()
  const [a, v, b] = [net.peer(1), net.peer(2), net.peer(3)]
  net.meet(a, v)
  net.meet(b, v)
  a.sessions.dial(b.id, [relay(v, b)], net.now)
  net.run(5_000)
  assert.equal(a.with(b).path, 'relayed')
  net.isReachable = () => false
  a.with(b).sendMessage(Uint8Array.of(1))
  net.run(3_000)
  assert.ok(a.events.some(([peer, { type }]) => peer === v.id && type === 'silent'))
})

function relay(via: Node, to: Node): Route {
  return { kind: 'relay', via: via.id, prefix: prefixOf(to.id) }
}

/** A peer of sessions and a relay alone. */
class Node {
  readonly id: PeerId
  readonly sessions: Sessions
  readonly endpoint: Endpoint
  readonly events: [PeerId, SessionEvent][] = []
  readonly #net: Net
  readonly #relay: Relay
  readonly #bytes = new Map<PeerId, number>()

  constructor(net: Net, seed: number) {
    this.#net = net
    this.endpoint = { kind: 'udp', socket: 0, host: `44.0.0.${seed}`, port: 1000 }
    const random = new SeededRandom(seed)
    const identity = new Identity(crypto, crypto.signingKeyPair(random.bytes(32)))
    this.id = identity.peerId
    this.#relay = new Relay(true, net.now)
    const host = {
      transmit: (to: Endpoint, data: Uint8Array) => net.send(this, to, data),
      reject: () => {},
      opened: () => {},
      closed: () => {},
      event: (session: Session, event: SessionEvent) => this.#onEvent(session, event),
      gaveUp: () => {},
      identified: () => {},
    }
    this.sessions = new Sessions({ crypto, random, identity, host }, net.now)
  }

  with(other: Node): Session {
    const session = this.sessions.with(other.id)
    assert.ok(session, 'there is a session')
    return session
  }

  bytesFrom(other: Node): number {
    return this.#bytes.get(other.id) ?? 0
  }

  #onEvent(session: Session, event: SessionEvent): void {
    this.events.push([session.peer, event])
    if (event.type === 'relay') this.#onRelay(session, event.frame)
    if (event.type !== 'transport' || event.event.type !== 'message') return
    this.#bytes.set(session.peer, event.event.payload.length)
  }

  #onRelay(session: Session, frame: SessionFrame): void {
    const { now } = this.#net
    if (frame.type === 'relayed') {
      const route = routeThrough(session, frame)
      if (route !== undefined) this.sessions.receive(frame.datagram, route, now)
    }
    if (frame.type !== 'relay') return
    const target = this.sessions.withPrefix(toHex(frame.prefix))
    this.#relay.carry(session, target, frame.datagram.slice(), now)
  }
}

class Net {
  readonly nodes: Node[] = []
  isReachable: (from: Node, to: Node) => boolean = () => true
  count = 0
  longest = 0
  #now = 0
  #onTheWay: { at: number; from: Node; to: Node; data: Uint8Array }[] = []

  get now(): Instant {
    return this.#now as Instant
  }

  peer(seed: number): Node {
    const node = new Node(this, seed)
    this.nodes.push(node)
    return node
  }

  send(from: Node, endpoint: Endpoint, data: Uint8Array): void {
    this.count++
    this.longest = Math.max(this.longest, data.length)
    const to = this.nodes.find((node) => node.endpoint.host === endpoint.host)
    if (to === undefined || !this.isReachable(from, to)) return
    this.#onTheWay.push({ at: this.#now + LATENCY_MS, from, to, data })
  }

  meet(a: Node, b: Node): void {
    a.sessions.dial(b.id, [{ kind: 'udp', endpoint: b.endpoint }], this.now)
    this.run(1_000)
    assert.equal(a.with(b).path, 'direct')
  }

  /** a–w–v–b, each of which reaches its neighbours alone: a to v by w, a to b by v. */
  chain(a: Node, w: Node, v: Node, b: Node): void {
    const order = [a, w, v, b]
    this.isReachable = (from, to) => {
      const [i, j] = [order.indexOf(from), order.indexOf(to)]
      return i < 0 || j < 0 || Math.abs(i - j) === 1
    }
    this.meet(a, w)
    this.meet(v, w)
    this.meet(b, v)
    a.sessions.dial(v.id, [relay(w, v)], this.now)
    this.run(1_000)
    assert.equal(a.with(v).path, 'relayed')
    a.sessions.dial(b.id, [relay(v, b)], this.now)
    this.run(2_000)
  }

  run(ms: number): void {
    const end = this.#now + ms
    for (;;) {
      for (const { sessions } of this.nodes) sessions.settle(this.now)
      const arrival = this.#onTheWay[0]?.at ?? FAR_MS
      const timer = Math.min(...this.nodes.map(({ sessions }) => sessions.deadline()?.at ?? FAR_MS))
      const at = Math.max(this.#now, Math.min(arrival, timer))
      if (at > end) break
      this.#now = at
      if (arrival <= timer) this.#deliver()
      else for (const { sessions } of this.nodes) sessions.onDeadline(this.now)
    }
    this.#now = end
  }

  #deliver(): void {
    const next = this.#onTheWay.shift()
    next?.to.sessions.receive(next.data, { kind: 'udp', endpoint: next.from.endpoint }, this.now)
  }
}

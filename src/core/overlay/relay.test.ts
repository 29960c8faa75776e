import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PeerId } from '../io.ts'
import { prefixOf, type Route } from '../session/route.ts'
import type { SessionFrame } from '../wire/frames.ts'
import { Relay, type RelayLeg, routeThrough } from './relay.ts'

const SEALED = 0xe0
const INITIATE_IK = 0xc0
const DIRECT: Route = {
  kind: 'udp',
  endpoint: { kind: 'udp', socket: 0, host: '198.18.0.1', port: 1 },
}
const RELAYED: Route = { kind: 'relay', via: 'f'.repeat(64) as PeerId, prefix: 'e'.repeat(16) }

test('a datagram is handed on as it came, under the name of its source', () => {
  const relay = new Relay(true, 0)
  const [a, b] = [new Leg(1), new Leg(2)]
  const datagram = sealed(1_000)
  assert.equal(relay.carry(a, b, datagram, 0), 'carried')
  const prefix = new Uint8Array(8)
  prefix[7] = 1
  assert.deepEqual(b.frames, [{ type: 'relayed', prefix, datagram, isChained: false }])
})

test('it carries to nobody it does not know, not back, not over two relayed legs, and not unwillingly', () => {
  const relay = new Relay(true, 0)
  const direct = new Leg(1)
  const [one, two] = [new Leg(2, RELAYED), new Leg(3, RELAYED)]
  const chained = new Leg(4, { ...RELAYED, isChained: true })
  assert.equal(relay.carry(direct, undefined, sealed(100), 0), 'unknown')
  assert.equal(relay.carry(direct, direct, sealed(100), 0), 'unknown')
  assert.equal(relay.carry(one, two, sealed(100), 0), 'unknown')
  assert.equal(relay.carry(chained, direct, sealed(100), 0), 'unknown', 'the third relay')
  assert.equal(relay.carry(direct, chained, sealed(100), 0), 'unknown', 'the third relay')
  assert.equal(relay.carry(one, direct, sealed(100), 0), 'carried')
  assert.equal(relay.carry(direct, one, sealed(100), 0), 'carried')
  assert.equal(new Relay(false, 0).carry(direct, one, sealed(100), 0), 'unknown')
})

test('both ends of a chain learn that there are two relays, and a third makes it no route', () => {
  const relay = new Relay(true, 0)
  const [near, far, target] = [new Leg(1), new Leg(2, RELAYED), new Leg(3)]
  assert.equal(relay.carry(far, target, sealed(100), 0), 'carried')
  const frame = target.frames[0]
  assert.ok(frame?.type === 'relayed' && frame.isChained)
  const prefix = prefixOf(far.peer)
  const { peer: via } = near
  assert.deepEqual(routeThrough(near, frame), { kind: 'relay', via, prefix, isChained: true })
  assert.deepEqual(routeThrough(near, { ...frame, isChained: false }), {
    kind: 'relay',
    via,
    prefix,
  })
  const once = routeThrough(far, { ...frame, isChained: false })
  assert.deepEqual(once, { kind: 'relay', via: far.peer, prefix, isChained: true })
  assert.equal(routeThrough(far, frame), undefined)
})

test('a source that spent its budget still gets handshakes, acknowledgements and challenges through', () => {
  const relay = new Relay(true, 0)
  const [a, b] = [new Leg(1), new Leg(2)]
  while (relay.carry(a, b, sealed(1_200), 0) === 'carried');
  while (relay.carry(a, b, sealed(161), 0) === 'carried');
  assert.equal(relay.carry(a, b, sealed(1_200), 0), 'over-budget')
  assert.equal(relay.carry(a, b, handshake(192), 0), 'carried')
  assert.equal(relay.carry(a, b, sealed(160), 0), 'carried')
  assert.equal(relay.carry(a, b, handshake(193), 0), 'over-budget', 'no handshake is as long')
  assert.equal(relay.carry(a, b, sealed(161), 0), 'over-budget')
})

test('the reserve has an end too, and what floods it leaves a part to the others', () => {
  const relay = new Relay(true, 0)
  const target = new Leg(0)
  const sources = Array.from({ length: 1_000 }, (_, i) => new Leg(i + 1))
  const seconds = 20
  const honest = new Leg(5_000)
  let tried = 0
  let passed = 0
  let carried = 0
  for (let at = 0; at < 1_000 * seconds; at += 50) {
    for (const source of sources) {
      while (relay.carry(source, target, sealed(1_200), at) === 'carried') carried += 1_200
      if (relay.carry(source, target, sealed(100), at) === 'carried') carried += 100
    }
    if (at < 2_000 || at % 1_000 !== 0) continue
    tried++
    if (relay.carry(honest, target, handshake(182), at) === 'carried') passed++
  }
  assert.equal(passed, tried, 'one handshake a second beside 1,000 floods')
  assert.ok(carried <= 2_750_000 * (seconds + 1), `${carried} bytes`)
})

class Leg implements RelayLeg {
  readonly peer: PeerId
  readonly route: Route
  readonly frames: SessionFrame[] = []

  constructor(n: number, route: Route = DIRECT) {
    this.peer = n.toString(16).padStart(16, '0').padEnd(64, '0') as PeerId
    this.route = route
  }

  relay(frame: SessionFrame): boolean {
    if (this.frames.length < 10) this.frames.push(frame)
    return true
  }
}

function sealed(bytes: number): Uint8Array {
  return new Uint8Array(bytes).fill(SEALED, 0, 1)
}

function handshake(bytes: number): Uint8Array {
  return new Uint8Array(bytes).fill(INITIATE_IK, 0, 1)
}

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DIRECT, flow, longestSilenceMs, OTHER_RELAY, RELAY, Wires } from './wires.fixture.ts'

const LINE = { latencyMs: 30 }
const FRESH_HOSTS = ['44.0.0.3', '44.0.0.2'] as const

/** Talking by a socket that `side` gives up for a fresh one. */
function retiring(seed: number, side: 0 | 1, lossRate = 0) {
  const lab = new Wires(seed)
  const options = { ...LINE, lossRate }
  const relay = lab.relayed(RELAY, options)
  const old = lab.straight(...DIRECT, options)
  const [fresh, near] =
    side === 0
      ? [lab.straight('44.0.0.3', '44.0.0.2', options, [7, 0]), 0]
      : [lab.straight('44.0.0.1', '44.0.0.3', options, [0, 7]), 1]
  const [a, b] = lab.begin(relay)
  lab.tell(old)
  lab.run(1_000)
  const end = [a, b][near]
  assert.ok(end)
  return { lab, relay, old, fresh, a, b, end, near: side }
}

test('either side may give up a socket: both go by the fresh one within three round trips', () => {
  for (const side of [0, 1] as const) {
    for (const speakers of ['both', 'a', 'b'] as const) {
      const { lab, old, fresh, a, b, end } = retiring(side, side)
      const flows = [a, b]
        .filter((_, i) => speakers === 'both' || speakers === (i === 0 ? 'a' : 'b'))
        .map((from) => ({ from, to: from === a ? b : a, flow: flow(lab, from, 40) }))
      lab.run(1_000)
      const at = lab.now
      end.session.retire(0)
      const route = fresh.routes[side]
      end.session.tryRoute(route, lab.now)
      lab.run(700)
      const name = `side ${side} retires, ${speakers} speak`
      assert.deepEqual([a.session.route, b.session.route], fresh.routes, name)
      lab.cut(old)
      lab.run(5_000)
      for (const { from, to, flow: said } of flows) {
        assert.ok(longestSilenceMs(lab, to, at) <= 120, name)
        said.stop()
        lab.run(500)
        const numbers = to.received.map(({ number }) => number)
        assert.deepEqual(numbers.length, said.sent, `${name}: nothing lost or doubled`)
        assert.equal(from.happened('pathDied').length, 0, name)
      }
      assert.deepEqual([a.session.route, b.session.route], fresh.routes, `${name}: they stay`)
    }
  }
})

test('a socket that is given up carries on while nothing better of its kind is there', () => {
  const { lab, old, fresh, a, b } = retiring(2, 0)
  lab.cut(fresh)
  a.session.retire(0)
  a.session.tryRoute(fresh.routes[0], lab.now)
  const said = flow(lab, b, 40)
  const at = lab.now
  lab.run(10_000)
  assert.deepEqual([a.session.route, b.session.route], old.routes, 'direct before relayed')
  assert.ok(longestSilenceMs(lab, a, at) <= 80)
  said.stop()
})

test('letting a socket go ends its paths, but for the one in use', () => {
  const { lab, fresh, a } = retiring(3, 0)
  a.session.retire(0)
  a.session.tryRoute(fresh.routes[0], lab.now)
  a.session.letGo(7)
  assert.equal(a.session.paths.length, 2)
  a.session.tryRoute(fresh.routes[0], lab.now)
  lab.run(1_000)
  a.session.letGo(0)
  a.session.letGo(7)
  const kinds = a.session.paths.map(({ kind, route }) =>
    route.kind === 'udp' ? `${kind} by ${route.endpoint.socket}` : kind,
  )
  assert.deepEqual(kinds, ['relayed', 'direct by 7'])
})

test('another socket towards a proved address costs nothing of what the remote may name', () => {
  const { lab, fresh, a } = retiring(4, 0)
  lab.cut(fresh)
  for (let i = 0; i < 100; i++) {
    const endpoint = { kind: 'udp', socket: 100 + i, host: FRESH_HOSTS[1], port: 1000 } as const
    a.session.tryRoute({ kind: 'udp', endpoint }, lab.now)
    a.session.letGo(100 + i)
  }
  const named = lab.straight('44.0.0.1', '44.0.7.7', LINE)
  a.session.tryRoute(named.routes[0], lab.now)
  lab.run(1_000)
  assert.ok(a.session.paths.some(({ route }) => route === named.routes[0]))
})

test('a remote that comes from another address is told where it is seen', () => {
  const lab = new Wires(5)
  const old = lab.straight(...DIRECT, LINE)
  const [a] = lab.begin(old)
  lab.run(1_000)
  // Its NAT gave it another mapping: the same socket, seen elsewhere.
  const [toB] = old.routes
  const moved = lab.straight(...FRESH_HOSTS, LINE)
  lab.wires.splice(lab.wires.indexOf(moved), 1)
  lab.wires.splice(lab.wires.indexOf(old), 1, { ...moved, routes: [toB, moved.routes[1]] })
  a.say(0)
  lab.run(1_000)
  const told = a.happened('observed').map(({ address }) => address.host)
  assert.equal(told.at(-1), FRESH_HOSTS[0])
})

test('what is relayed over a dormant session wakes it, and shows that its way is gone', () => {
  const lab = new Wires(6)
  const wire = lab.straight(...DIRECT, LINE)
  const spare = lab.relayed(OTHER_RELAY, LINE)
  const [a] = lab.begin(wire)
  lab.tell(spare)
  lab.run(1_000)
  a.session.setDormant(true, lab.now)
  lab.run(600_000)
  lab.cut(wire)
  a.session.relay({
    type: 'relayed',
    prefix: new Uint8Array(8),
    datagram: new Uint8Array(40),
    isChained: false,
  })
  lab.run(2_000)
  assert.equal(a.happened('woke').length, 1)
  assert.equal(a.kind, 'relayed', 'another way is taken')
})

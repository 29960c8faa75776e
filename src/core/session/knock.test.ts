import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Endpoint } from '../io.ts'
import { PATHS_MAX } from './paths.ts'
import { type Route, routeKey } from './route.ts'
import { DIRECT, type End, flow, OTHER_RELAY, RELAY, type Wire, Wires } from './wires.fixture.ts'

const KNOCKS = 1536

function at(port: number, host: string = DIRECT[1]): Route {
  const endpoint: Endpoint = { kind: 'udp', socket: 0, host, port }
  return { kind: 'udp', endpoint }
}

/** Two ends on a relay, with another in reserve. */
function relayed(seed: number, latencyMs = 20): { lab: Wires; a: End; b: End; standby: Wire } {
  const lab = new Wires(seed)
  const relay = lab.relayed(RELAY, { latencyMs })
  const standby = lab.relayed(OTHER_RELAY, { latencyMs: latencyMs + 20 })
  const [a, b] = lab.begin(relay)
  lab.tell(standby)
  lab.run(2_000)
  return { lab, a, b, standby }
}

test('1,536 knocks that nobody hears leave no path, and data flows as if there were none', () => {
  const results = [false, true].map((knocks) => {
    const { lab, a, b } = relayed(1)
    const flows = [flow(lab, a, 20), flow(lab, b, 20)]
    const [paths, sizes] = [a.session.paths.length, a.sizes.length]
    for (let i = 0; i < KNOCKS; i++) {
      if (knocks) a.session.knock(at(1024 + i), lab.now)
      lab.run(4)
    }
    for (const one of flows) one.stop()
    lab.run(2_000)
    assert.equal(a.session.paths.length, paths)
    assert.equal(b.received.length, flows[0]?.sent)
    assert.equal(a.received.length, flows[1]?.sent)
    assert.equal(a.happened('path').length + a.happened('silent').length, 2)
    const strays = a.sizes.length - sizes
    return { strays, rttMs: a.session.rttMs, late: lateness(b) }
  })
  const [without, beside] = results
  assert.ok(without && beside)
  const more = beside.strays - without.strays - KNOCKS
  assert.ok(Math.abs(more) < 50, `${more} datagrams besides the knocks`)
  assert.ok(Math.abs(beside.late - without.late) < 1, 'no message came later')
  assert.ok(Math.abs(beside.rttMs - without.rttMs) < 5)
})

test('a knock is small, and its first challenge and its answers fit three times its size', () => {
  const { lab, a, b } = relayed(2)
  const knocks: number[] = []
  a.onStray = (_, datagram) => knocks.push(datagram.length)
  for (let i = 0; i < 300; i++) a.session.knock(at(1024 + i), lab.now)
  assert.ok(Math.min(...knocks) >= 40 && Math.max(...knocks) <= 50, `${knocks[0]} bytes`)

  // The one that gets through, from a mapping that b has never heard of.
  const from = at(7777, DIRECT[0])
  a.onStray = (_, datagram) => b.receive(datagram, from)
  const before = b.sizes.length
  let drawn = 0
  b.onStray = (to, datagram) => {
    assert.equal(routeKey(to), routeKey(from))
    drawn += datagram.length
  }
  a.session.knock(at(1000), lab.now)
  lab.run(10_000)
  assert.ok(b.sizes.length > before)
  assert.ok(drawn >= 4 * 30, `challenged ${drawn} bytes' worth: several times, lest one is lost`)
  assert.ok(drawn <= 3 * 50, `${drawn} bytes for one knock`)
})

test('whichever knock gets through proves the path for both sides, and data moves there', () => {
  for (let seed = 0; seed < 20; seed++) {
    const lab = new Wires(seed)
    const relay = lab.relayed(RELAY, { latencyMs: 150, loss: 0.05 })
    const direct = lab.straight(...DIRECT, { latencyMs: 20, loss: 0.05 })
    const [a, b] = lab.begin(relay)
    const flows = [flow(lab, a, 20), flow(lab, b, 20)]
    lab.run(3_000)
    const knocker = seed % 2 === 0 ? a : b
    const way = direct.routes[seed % 2]
    for (let i = 0; i < 3; i++) {
      if (way !== undefined) knocker.session.knock(way, lab.now)
      lab.run(500)
    }
    assert.deepEqual([a.kind, b.kind], ['direct', 'direct'], `seed ${seed}`)
    for (const one of flows) one.stop()
    lab.run(3_000)
    assert.equal(new Set(a.received.map(({ number }) => number)).size, flows[1]?.sent)
    assert.equal(a.received.length, flows[1]?.sent)
    assert.equal(b.received.length, flows[0]?.sent)
  }
})

test('what was on its way over a slow relay is still understood after 1,536 knocks came first', () => {
  const { lab, a, b } = relayed(3, 400)
  for (let i = 0; i < 20; i++) a.say(i)
  for (let i = 0; i < KNOCKS - 1; i++) a.session.knock(at(1024 + i), lab.now)
  a.onStray = (_, datagram) => b.receive(datagram, at(7777, DIRECT[0]))
  a.session.knock(at(1000), lab.now)
  lab.run(420)
  assert.equal(b.received.length, 20, 'none waited to be sent again')
  assert.deepEqual(b.rejections, [])
})

test('256 knocks from 256 endpoints: the path in use and the standby stay, and some are proved', () => {
  const { lab, a, b, standby } = relayed(4)
  const seen = new Map<string, Route>()
  // Each scratch socket of a has a mapping of its own, and b can answer every one.
  a.onStray = (to, datagram) => {
    if (to.kind !== 'udp') return
    const mapped = at(20_000 + to.endpoint.socket, DIRECT[0])
    seen.set(routeKey(mapped), to)
    lab.timeline.at(lab.now + 20, () => b.receive(datagram, mapped))
  }
  b.onStray = (to, datagram) => {
    const back = seen.get(routeKey(to))
    if (back !== undefined) lab.timeline.at(lab.now + 20, () => a.receive(datagram, back))
  }
  for (let socket = 16; socket < 272; socket++) {
    const endpoint = { kind: 'udp', socket, host: DIRECT[1], port: 1000 } as const
    a.session.knock({ kind: 'udp', endpoint }, lab.now)
    lab.run(0.5)
    assert.ok(b.session.paths.length <= PATHS_MAX)
    assert.ok(a.session.paths.length <= PATHS_MAX)
  }
  lab.run(2_000)
  assert.deepEqual([a.kind, b.kind], ['direct', 'direct'])
  for (const [side, end] of [a, b].entries()) {
    const key = routeKey(standby.routes[side as 0 | 1])
    const kept = end.session.paths.filter(({ kind }) => kind === 'relayed')
    assert.ok(kept.length >= 1 && kept.every(({ isProved }) => isProved), 'a relay is kept')
    assert.ok(kept.some(({ route }) => routeKey(route) === key) || kept.length === 1)
  }
})

/** How long messages took, on average. */
function lateness(end: End): number {
  const gaps = end.received.map(({ at, number }) => at - 20 * number)
  return gaps.reduce((sum, ms) => sum + ms, 0) / gaps.length
}

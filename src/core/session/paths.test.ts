import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PATHS_MAX } from './paths.ts'
import { type Route, routeKey } from './route.ts'
import {
  DIRECT,
  type End,
  flow,
  IPV6,
  LAN,
  longestSilenceMs,
  OTHER_RELAY,
  RELAY,
  type Wire,
  Wires,
} from './wires.fixture.ts'

const FALLBACK_MS = 2_000

/** A direct wire in use, and a relay to fall back on. */
function directWithRelay(seed: number, options = { latencyMs: 20, loss: 0 }, relayMs = 30) {
  const lab = new Wires(seed)
  const relay = lab.relayed(RELAY, { ...options, latencyMs: relayMs })
  const direct = lab.straight(...DIRECT, options)
  const [a, b] = lab.begin(relay)
  lab.tell(direct)
  lab.run(3_000)
  assert.deepEqual([a.kind, b.kind], ['direct', 'direct'], 'the direct path is in use')
  return { lab, relay, direct, a, b }
}

function assertOnceEach(to: End, sent: number, name: string): void {
  const numbers = to.received.map(({ number }) => number).sort((x, y) => x - y)
  assert.deepEqual(
    numbers,
    Array.from({ length: sent }, (_, i) => i),
    `${name}: each message once`,
  )
}

function pathOf(end: End, wire: Wire, side: 0 | 1) {
  const key = routeKey(wire.routes[side])
  return end.session.paths.find(({ route }) => routeKey(route) === key)
}

for (const senders of ['both', 'initiator', 'responder'] as const)
  test(`a direct path that dies while ${senders} send: the relay takes over within 2 s, at 200 ms and 5 % loss`, (t) => {
    const silences: number[] = []
    for (let seed = 0; seed < 60; seed++) {
      const { lab, direct, a, b } = directWithRelay(seed, { latencyMs: 100, loss: 0.05 }, 110)
      const flows = [
        { from: a, to: b, isOn: senders !== 'responder' },
        { from: b, to: a, isOn: senders !== 'initiator' },
      ].flatMap(({ from, to, isOn }) => (isOn ? [{ to, flow: flow(lab, from, 40) }] : []))
      lab.run(5_000)
      const cutAt = lab.now
      lab.cut(direct)
      lab.run(8_000)
      for (const { to } of flows) silences.push(longestSilenceMs(lab, to, cutAt))
      for (const one of flows) one.flow.stop()
      lab.run(3_000)
      for (const one of flows) assertOnceEach(one.to, one.flow.sent, `seed ${seed}`)
      assert.deepEqual([a.kind, b.kind], ['relayed', 'relayed'], `seed ${seed}: both moved`)
      assert.equal(pathOf(a, direct, 0)?.isProved, false, 'the dead path lost its proof')
    }
    silences.sort((x, y) => x - y)
    const p = (share: number) => Math.round(silences[Math.floor(silences.length * share)] ?? 0)
    t.diagnostic(`silent for p50 ${p(0.5)} ms, p95 ${p(0.95)} ms, at most ${p(0.9999)} ms`)
    assert.ok(p(0.95) <= FALLBACK_MS, `p95 ${p(0.95)} ms`)
  })

test('a direct path that comes back is taken again, and nothing is lost or doubled by either change', () => {
  for (let seed = 0; seed < 10; seed++) {
    const { lab, direct, a, b } = directWithRelay(seed, { latencyMs: 20, loss: 0.02 })
    const flows = [flow(lab, a, 30), flow(lab, b, 30)]
    lab.run(1_000)
    lab.cut(direct)
    lab.run(10_000)
    assert.deepEqual([a.kind, b.kind], ['relayed', 'relayed'])
    lab.cut(direct, true)
    lab.tell(direct)
    lab.run(2_000)
    assert.deepEqual([a.kind, b.kind], ['direct', 'direct'], `seed ${seed}`)
    for (const one of flows) one.stop()
    lab.run(2_000)
    assertOnceEach(b, flows[0]?.sent ?? 0, 'a to b')
    assertOnceEach(a, flows[1]?.sent ?? 0, 'b to a')
  }
})

test('an idle hour at 5 % loss leaves a session where it was', () => {
  for (let seed = 0; seed < 5; seed++) {
    const { lab, a, b } = directWithRelay(seed, { latencyMs: 20, loss: 0.05 })
    lab.run(5_000)
    const before = [a.happened('path').length, b.happened('path').length]
    lab.run(3_600_000)
    assert.deepEqual([a.happened('path').length, b.happened('path').length], before)
    assert.deepEqual([a.kind, b.kind], ['direct', 'direct'])
    assert.equal(a.happened('silent').length + b.happened('silent').length, 0)
  }
})

test('a side that stalls for a second is not left: what comes at last ends the suspicion', () => {
  const { lab, direct, relay, a, b } = directWithRelay(4)
  const one = flow(lab, a, 50)
  lab.run(2_000)
  // Everything stops, as when the remote's process is busy, and goes on.
  const before = a.happened('path').length
  lab.cut(direct)
  lab.cut(relay)
  lab.run(1_000)
  lab.cut(direct, true)
  lab.cut(relay, true)
  lab.run(5_000)
  one.stop()
  lab.run(2_000)
  assertOnceEach(b, one.sent, 'a to b')
  assert.equal(a.kind, 'direct')
  assert.ok(a.happened('path').length - before <= 4, 'it changed its path twice at most')
})

test('a path that keeps dying is taken ever more rarely', () => {
  const { lab, direct, a, b } = directWithRelay(5)
  const one = flow(lab, a, 50)
  let changes = 0
  let kind = a.kind
  // The path answers challenges for a while after each death.
  for (let i = 0; i < 600; i++) {
    lab.cut(direct, a.kind !== 'direct')
    lab.run(100)
    if (a.kind !== kind) changes++
    kind = a.kind
  }
  one.stop()
  lab.cut(direct)
  lab.run(5_000)
  assertOnceEach(b, one.sent, 'a to b')
  assert.ok(changes <= 14, `${changes} changes in a minute`)
})

test('with no other path, silence is reported once, so that the remote is sought elsewhere', () => {
  const lab = new Wires(6)
  const direct = lab.straight(...DIRECT, { latencyMs: 20 })
  const [a] = lab.begin(direct)
  lab.run(2_000)
  lab.cut(direct)
  const one = flow(lab, a, 50)
  lab.run(2_000)
  one.stop()
  assert.equal(a.happened('silent').length, 1)
})

test('a path that dies under traffic is reported with its age, an idle one without', () => {
  const { lab, direct, a } = directWithRelay(7)
  const one = flow(lab, a, 50)
  lab.run(60_000)
  lab.cut(direct)
  lab.run(3_000)
  one.stop()
  const [died] = a.happened('pathDied')
  assert.equal(died?.kind, 'direct')
  assert.ok(Math.abs((died?.ageMs ?? 0) - 63_000) < 500, `it died at ${died?.ageMs} ms`)

  const idle = directWithRelay(8)
  idle.lab.run(14_000)
  idle.lab.cut(idle.direct)
  idle.lab.run(20_000)
  assert.equal(idle.a.kind, 'relayed', 'the keepalive found it dead')
  assert.equal(idle.a.happened('pathDied').length, 0)
})

test('a relay that is gone is left at once for the other', () => {
  const lab = new Wires(9)
  const first = lab.relayed(RELAY, { latencyMs: 20 })
  const second = lab.relayed(OTHER_RELAY, { latencyMs: 40 })
  const [a, b] = lab.begin(first)
  lab.tell(second)
  lab.run(1_000)
  lab.cut(first)
  a.session.relayGone(RELAY, lab.now)
  assert.equal(viaOf(a), OTHER_RELAY)
  assert.equal(pathOf(a, first, 0), undefined, 'the path is forgotten')
  a.say(0)
  b.say(0)
  lab.run(2_000)
  assertOnceEach(b, 1, 'a to b')
  assertOnceEach(a, 1, 'b to a')
  assert.equal(a.happened('silent').length, 0)
  a.session.relayGone(OTHER_RELAY, lab.now)
  assert.equal(a.happened('silent').length, 1, 'with none left, it asks to be found')
  lab.tell(first)
  lab.cut(first, true)
  lab.run(1_000)
  assert.equal(viaOf(a), RELAY)
})

test('a relay that dies under traffic is left for the standby within a second', () => {
  for (let seed = 0; seed < 20; seed++) {
    const lab = new Wires(seed)
    const first = lab.relayed(RELAY, { latencyMs: 30, loss: 0.02 })
    const second = lab.relayed(OTHER_RELAY, { latencyMs: 40, loss: 0.02 })
    const [a, b] = lab.begin(first)
    lab.tell(second)
    const flows = [flow(lab, a, 40), flow(lab, b, 40)]
    lab.run(3_000)
    const cutAt = lab.now
    lab.cut(first)
    lab.run(4_000)
    for (const one of flows) one.stop()
    assert.ok(longestSilenceMs(lab, b, cutAt) < 1_000, `seed ${seed}`)
    assert.ok(longestSilenceMs(lab, a, cutAt) < 1_000, `seed ${seed}`)
  }
})

test('the standby of a relayed session is kept warm, and dropped after three unanswered challenges', () => {
  const lab = new Wires(10)
  const first = lab.relayed(RELAY, { latencyMs: 20 })
  const second = lab.relayed(OTHER_RELAY, { latencyMs: 40 })
  const [a, b] = lab.begin(first)
  lab.tell(second)
  lab.run(5_000)
  const key = routeKey(second.routes[0])
  const before = a.sent.get(key) ?? 0
  lab.run(600_000)
  const perCheck = ((a.sent.get(key) ?? 0) - before) / (600_000 / 15_000)
  assert.ok(perCheck >= 1 && perCheck <= 3, `${perCheck} datagrams a check`)
  assert.equal(viaOf(a), RELAY, 'checking it does not move the data')
  assert.equal(viaOf(b), RELAY)
  lab.cut(second)
  lab.run(40_000)
  assert.equal(pathOf(a, second, 0)?.isProved, true, 'two unanswered are forgiven')
  lab.run(25_000)
  assert.equal(pathOf(a, second, 0), undefined)
})

test('with a direct path in use, relays draw no traffic and stay known', () => {
  const { lab, relay, a } = directWithRelay(11)
  lab.run(5_000)
  const key = routeKey(relay.routes[0])
  const before = a.sent.get(key)
  lab.run(600_000)
  assert.equal(a.sent.get(key), before)
  assert.equal(pathOf(a, relay, 0)?.isProved, true)
})

test('LAN is taken before direct, direct before relayed, whatever the round trips', () => {
  const { lab, a, b } = directWithRelay(12, { latencyMs: 50, loss: 0 }, 1)
  const lan = lab.straight(...LAN, { latencyMs: 80 })
  lab.tell(lan)
  lab.run(2_000)
  assert.deepEqual([a.kind, b.kind], ['lan', 'lan'])
})

test('among equals a clearly faster path is taken, and one within the margin is not', () => {
  for (const [latencyMs, host, isTaken] of [
    [40, ['44.0.1.1', '44.0.1.2'], true],
    [48, ['44.0.1.1', '44.0.1.2'], false],
    [44.5, IPV6, true],
    [46, IPV6, true],
    [46, ['44.0.1.1', '44.0.1.2'], false],
    [47, IPV6, false],
  ] as const) {
    const lab = new Wires(13)
    const first = lab.straight(...DIRECT, { latencyMs: 50 })
    const [a, b] = lab.begin(first)
    // Measured without the delay of acknowledgements.
    for (let i = 0; i < 30; i++) {
      a.say(2 * i)
      a.say(2 * i + 1)
      lab.run(200)
    }
    assert.ok(Math.abs(a.session.rttMs - 100) < 1, `${a.session.rttMs} ms`)
    lab.tell(lab.straight(host[0], host[1], { latencyMs }))
    lab.run(1_000)
    for (const end of [a, b]) {
      const route = end.session.route
      const at = route?.kind === 'udp' ? route.endpoint.host : ''
      assert.equal(at.startsWith(DIRECT[0].slice(0, 7)), !isTaken, `${latencyMs} ms, at ${at}`)
    }
  }
})

test('a path whose probing failed is probed again when it is tried again, within the budget', () => {
  const lab = new Wires(14)
  const relay = lab.relayed(RELAY, { latencyMs: 20 })
  const direct = lab.straight(...DIRECT, { latencyMs: 20 })
  lab.cut(direct)
  const [a, b] = lab.begin(relay)
  const key = routeKey(direct.routes[0])
  for (let i = 0; i < 40; i++) {
    a.session.tryRoute(direct.routes[0], lab.now)
    lab.run(5_000)
  }
  const probes = a.sent.get(key) ?? 0
  assert.ok(probes >= 7 * 16 && probes <= 7 * (16 + 200 / 10), `${probes} probes`)
  lab.cut(direct, true)
  lab.run(60_000)
  lab.tell(direct)
  lab.run(1_000)
  assert.deepEqual([a.kind, b.kind], ['direct', 'direct'])
})

test('the paths are told with their routes, kinds, proofs and round trips', () => {
  const { lab, relay, direct, a } = directWithRelay(15)
  const dead = lab.straight('44.0.9.1', '44.0.9.2', { latencyMs: 20 })
  lab.cut(dead)
  lab.tell(dead)
  lab.run(100)
  const told = [relay, direct, dead].map((wire) => pathOf(a, wire, 0))
  assert.deepEqual(
    told.map((path) => [path?.kind, path?.isProved]),
    [
      ['relayed', true],
      ['direct', true],
      ['direct', false],
    ],
  )
  assert.equal(told[1]?.rttMs, 40)
  assert.equal(told[2]?.rttMs, undefined)
  assert.ok((told[1]?.provedAt ?? 0) > 0)
})

test('paths never number more than their bound, whatever the remote names', () => {
  const { lab, a } = directWithRelay(16)
  for (let i = 0; i < 1000; i++) {
    const endpoint = { kind: 'udp', socket: 0, host: `44.1.0.${i % 250}`, port: i } as const
    const route: Route = { kind: 'udp', endpoint }
    a.session.tryRoute(route, lab.now)
    lab.run(1_000)
    assert.ok(a.session.paths.length <= PATHS_MAX)
  }
  assert.equal(a.kind, 'direct')
})

function viaOf(end: End): string | undefined {
  const { route } = end.session
  return route?.kind === 'relay' ? route.via : undefined
}

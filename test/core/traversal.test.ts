import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Instant } from '../../src/core/io.ts'
import { prefixOf } from '../../src/core/session/route.ts'
import type { NatProfile } from '../../src/sim/nat.ts'
import { percentile, table } from '../../src/sim/report.ts'
import { pairUp, type SiteOptions, scratchOnly, type Weather } from './traversal.fixture.ts'

const DEPENDENT: Partial<NatProfile> = { mapping: 'address-and-port-dependent' }
const SITES = {
  open: {},
  eif: { profile: { filtering: 'endpoint-independent' } },
  adf: { profile: { filtering: 'address-dependent' } },
  apdf: { profile: {} },
  preserving: { profile: { ...DEPENDENT, allocation: 'preserving' } },
  sequential: { profile: { ...DEPENDENT, allocation: 'sequential' } },
  busy: { profile: { ...DEPENDENT, allocation: 'sequential', noisePerS: 50 } },
  block: { profile: { ...DEPENDENT, allocation: 'block' } },
  random: { profile: { ...DEPENDENT, allocation: 'random' } },
} as const satisfies Record<string, SiteOptions>
type Name = keyof typeof SITES

const STILL: Weather = { latencyMs: 0, lossRate: 0 }
/** 60 ms there and back, and 5 % of round trips lost. */
const ROUGH: Weather = { latencyMs: 15, lossRate: 0.0253 }
const SEEDS = 50

interface Cell {
  readonly times: readonly number[]
  readonly knocks: number
}

function measure(a: Name, b: Name, weather: Weather, limitMs: number): Cell {
  const times: number[] = []
  let knocks = 0
  for (let seed = 0; seed < SEEDS; seed++) {
    const [near, far] = seed % 2 === 0 ? [a, b] : [b, a]
    const pair = pairUp(`${a} ${b} ${seed}`, SITES[near], SITES[far], weather)
    const isDirect = () => pair.ab.path === 'direct' && pair.ba.path === 'direct'
    if (pair.line.run(limitMs, isDirect)) times.push(pair.line.nowMs)
    knocks = Math.max(knocks, pair.ab.knocked + pair.ba.knocked)
  }
  return { times, knocks }
}

/** The pair, the worst median and the least share of direct paths on a still line. */
const CELLS: readonly (readonly [Name, Name, number, number])[] = [
  ['open', 'open', 1, 1],
  ['open', 'apdf', 1, 1],
  ['open', 'random', 1, 1],
  ['eif', 'random', 1, 1],
  ['apdf', 'apdf', 60, 1],
  ['adf', 'apdf', 60, 1],
  ['adf', 'sequential', 60, 1],
  ['adf', 'random', 60, 1],
  ['apdf', 'preserving', 300, 1],
  ['apdf', 'sequential', 500, 1],
  ['apdf', 'busy', 500, 1],
  ['apdf', 'block', 950, 0.98],
  ['apdf', 'random', 950, 0.98],
  ['preserving', 'preserving', 300, 1],
  ['preserving', 'sequential', 500, 1],
  ['sequential', 'sequential', 500, 1],
  ['busy', 'busy', 500, 0.98],
]

for (const [weatherName, weather, patience] of [
  ['a still line', STILL, 1],
  ['a line of 60 ms that loses 5 %', ROUGH, 2],
] as const) {
  test(`every pair that can be direct is direct, on ${weatherName}`, (t) => {
    const rows: (string | number)[][] = []
    for (const [a, b, medianMs, share] of CELLS) {
      const { times, knocks } = measure(a, b, weather, 14_000)
      const direct = times.length
      const p50 = Math.round(percentile(times, 50))
      const p95 = Math.round(percentile(times, 95))
      rows.push([`${a} × ${b}`, `${direct} of ${SEEDS}`, p50, p95, knocks])
      assert.ok(direct >= share * SEEDS, `${a} × ${b}: ${direct} of ${SEEDS} are direct`)
      const limitMs = patience * medianMs + 20 * weather.latencyMs
      assert.ok(p50 <= limitMs, `${a} × ${b}: median ${p50} ms, at most ${limitMs}`)
    }
    t.diagnostic(`\n${table(['pair', 'direct', 'p50 ms', 'p95', 'knocks'], rows)}`)
  })
}

test('a random pair of NATs is left to the relay, without a knock', () => {
  for (const [a, b] of [
    ['random', 'random'],
    ['random', 'sequential'],
    ['block', 'preserving'],
  ] as const) {
    const pair = pairUp(`${a} ${b}`, SITES[a], SITES[b])
    pair.line.run(20_000)
    assert.equal(pair.ab.path, 'relayed', `${a} × ${b} stays relayed`)
    assert.equal(pair.ab.knocked + pair.ba.knocked, 0, `${a} × ${b}: knocks`)
    assert.equal(pair.a.scratch.size + pair.b.scratch.size, 0, `${a} × ${b}: scratch sockets`)
  }
})

test('behind a carrier NAT nobody takes ports by the hundred', () => {
  for (const isOurs of [true, false]) {
    const carrier = { vector: { isCarrier: true } }
    const pair = pairUp(
      'carrier',
      { ...SITES.apdf, ...(isOurs ? {} : carrier) },
      { ...SITES.random, ...(isOurs ? carrier : {}) },
    )
    pair.line.run(20_000)
    assert.equal(pair.ab.knocked + pair.ba.knocked, 0, 'knocks')
  }
})

test('a birthday is over within a second for most and within 7 s for nearly all', (t) => {
  const times: number[] = []
  const tries = 300
  for (let seed = 0; seed < tries; seed++) {
    const pair = pairUp(`birthday ${seed}`, SITES.apdf, SITES.random)
    const isDirect = () => pair.ab.path === 'direct' && pair.ba.path === 'direct'
    if (pair.line.run(7_150, isDirect)) times.push(pair.line.nowMs - 150)
    assert.ok(pair.ab.knocked <= 1_536, `${pair.ab.knocked} knocks of one search`)
  }
  t.diagnostic(`${times.length} of ${tries}, median ${percentile(times, 50)} ms`)
  assert.ok(times.length >= 0.985 * tries, `${times.length} of ${tries} within 7 s`)
  assert.ok(percentile(times, 50) <= 800, `median ${percentile(times, 50)} ms`)
})

test('the sockets of an attempt are closed, but for the one that carries the path', () => {
  const pair = pairUp('sockets', SITES.apdf, SITES.random)
  assert.ok(
    pair.line.run(14_000, () => pair.ba.path === 'direct'),
    'a direct path is found',
  )
  assert.ok(scratchOnly(pair.ba.route), 'it is on a scratch socket')
  assert.ok(pair.b.scratch.size >= 1 && pair.b.scratch.size <= 8, `${pair.b.scratch.size} are open`)
  pair.line.run(30_000)
  assert.ok(pair.b.scratch.size >= 1, 'it stays open while it is used')
  assert.ok(pair.ab.path === 'direct' && pair.ba.path === 'direct', 'the path stays')
  pair.ba.fall({ kind: 'relay', via: pair.relay.peer, prefix: prefixOf(pair.a.peer) })
  pair.b.traversal.sessionGone(pair.ba, pair.line.now)
  pair.b.sessions.delete(pair.a.peer)
  pair.line.run(6_000)
  assert.equal(pair.b.scratch.size, 0, 'and is closed when no path is left on it')
})

test('a vector learned late changes the strategy at once', () => {
  const unknown = { mapping: 'unknown', filtering: 'unknown', allocation: 'unknown' } as const
  const pair = pairUp('late', SITES.apdf, { ...SITES.sequential, vector: unknown })
  pair.line.run(1_000)
  assert.equal(pair.ab.path, 'relayed', 'probing alone does not do')
  pair.b.vector = { ...pair.b.vector, mapping: 'endpoint-dependent', allocation: 'sequential' }
  pair.b.traversal.selfChanged(pair.line.now)
  assert.ok(
    pair.line.run(400, () => pair.ab.path === 'direct' && pair.ba.path === 'direct'),
    'direct within a forecast and some ports',
  )
  assert.equal(pair.a.traversal.natOf(pair.b.peer)?.allocation, 'sequential', 'the remote knows')
})

test('no birthday is bet on a mapping that is not known yet, until the first retry', () => {
  const unknown = { mapping: 'unknown', filtering: 'unknown', allocation: 'unknown' } as const
  const pair = pairUp('no bet', { ...SITES.apdf, vector: unknown }, SITES.random)
  const knocked = () => pair.ab.knocked + pair.ba.knocked
  pair.line.run(4_900)
  assert.equal(knocked(), 0, 'knocks before it')
  const isDirect = () => pair.ab.path === 'direct' && pair.ba.path === 'direct'
  assert.ok(pair.line.run(9_000, isDirect), 'direct after it')
  const known = pairUp('a bet', { ...SITES.apdf, vector: unknown }, SITES.random)
  known.line.run(1_000)
  known.a.vector = { ...known.a.vector, mapping: 'endpoint-independent' }
  known.a.traversal.selfChanged(known.line.now)
  known.line.run(20)
  assert.ok(known.ab.knocked + known.ba.knocked > 0, 'at once when it is known')
})

test('a window that the remote foretold before it knew of our crossing is no answer to it', () => {
  const unknown = { mapping: 'unknown', filtering: 'unknown', allocation: 'unknown' } as const
  const slow = { latencyMs: 15, lossRate: 0 }
  for (const isFirst of [true, false]) {
    const [late, known] = [{ ...SITES.preserving, vector: unknown }, SITES.preserving]
    const pair = isFirst ? pairUp('stale', late, known, slow) : pairUp('stale', known, late, slow)
    const site = isFirst ? pair.a : pair.b
    pair.line.run(100)
    // It tells so only when it begins, and what the other foretells is under way by then.
    site.vector = { ...site.vector, mapping: 'endpoint-dependent', allocation: 'preserving' }
    const isDirect = () => pair.ab.path === 'direct' && pair.ba.path === 'direct'
    assert.ok(pair.line.run(1_000, isDirect), 'direct in the first round')
  }
})

test('an AIM that overtakes the candidates which explain it is kept for 2 s', () => {
  for (const [laterMs, isKept] of [
    [1_000, true],
    [2_100, false],
  ] as const) {
    const pair = pairUp('overtaken', SITES.apdf, { ...SITES.random, vector: { isCarrier: true } })
    const { a, b, ab, line } = pair
    line.run(100)
    const told = (addresses: readonly { host: string; port: number }[]) => {
      const nat = { ...b.vector, isCarrier: false }
      a.traversal.message(ab, { type: 'candidates', nat, addresses }, line.now)
    }
    told([])
    const address = { host: b.external, port: 1_024 }
    const aim = { type: 'aim', round: 1, step: 0, count: 0, lastPort: 65_535, address } as const
    a.traversal.message(ab, aim, line.now)
    line.run(laterMs)
    assert.equal(ab.knocked, 0, 'not before the remote told that host')
    told([{ host: b.external, port: 5_000 }])
    line.run(500)
    assert.equal(ab.knocked > 0, isKept, `${laterMs} ms later`)
  }
})

test('changes are told at most every 200 ms, and not twice', () => {
  const pair = pairUp('debounce', SITES.apdf, SITES.random)
  const told = () => pair.ab.messages.filter(({ type }) => type === 'candidates').length
  const before = told()
  for (let i = 0; i < 50; i++) {
    pair.a.vector = { ...pair.a.vector, lifetimeMs: 5_000 * (i + 1) }
    pair.a.traversal.selfChanged(pair.line.now)
    pair.line.run(20)
  }
  pair.line.run(300)
  assert.ok(told() - before <= 6, `${told() - before} times in 1.3 s`)
  assert.ok(told() - before >= 4, `${told() - before} times in 1.3 s`)
  const after = told()
  for (let i = 0; i < 20; i++) {
    pair.a.traversal.selfChanged(pair.line.now)
    pair.line.run(50)
  }
  assert.equal(told(), after, 'nothing changed, so nothing is told')
})

test('views of the strategy that differ end without harm', () => {
  const lies = [
    [SITES.apdf, { ...SITES.random, vector: { allocation: 'sequential' } }],
    [{ ...SITES.random, vector: { allocation: 'sequential' } }, SITES.sequential],
    [{ ...SITES.apdf, vector: { mapping: 'unknown' } }, SITES.random],
  ] as const
  for (const [index, [a, b]] of lies.entries()) {
    for (const isDeaf of [false, true]) {
      const pair = pairUp(`unequal ${index}`, a, b)
      pair.ba.isDeaf = isDeaf
      pair.line.run(14_500)
      const sent = pair.ab.knocked + pair.ba.knocked
      assert.ok(sent <= 4_000, `${sent} knocks in case ${index}`)
      if (pair.ab.path === 'direct') continue
      const open = pair.a.scratch.size + pair.b.scratch.size
      assert.ok(open <= 8, `case ${index}: ${open} scratch sockets are left`)
    }
  }
})

test('a relayed session is tried again after 5 s, 15 s, 60 s, 300 s, and every 300 s', () => {
  const pair = pairUp('retries', SITES.random, SITES.random)
  const times: number[] = []
  let seen = pair.ab.messages.length
  const untilMs = 1_000_000
  while (pair.line.nowMs < untilMs) {
    pair.line.run(untilMs, () => pair.ab.messages.length > seen || pair.line.nowMs >= untilMs)
    if (pair.ab.messages.length > seen) times.push(pair.line.nowMs)
    seen = pair.ab.messages.length
  }
  assert.deepEqual(times, [5_000, 15_000, 60_000, 300_000, 600_000, 900_000], 'told again at')
  const tried = pair.ab.tried.filter(({ kind }) => kind === 'udp').length
  assert.ok(tried >= 14, `${tried} probes: each time the remote's candidates are tried again`)
})

test('a change of network, or of what the remote tells, begins the retries anew', () => {
  const pair = pairUp('anew', SITES.random, SITES.random)
  pair.line.run(100_000)
  pair.a.traversal.networkChanged(pair.line.now)
  const before = pair.ab.messages.length
  pair.line.run(20_000)
  assert.equal(pair.ab.messages.length - before, 2, 'told again after 5 s and 15 s')
  pair.line.run(60_000)
  pair.b.vector = { ...pair.b.vector, lifetimeMs: 30_000 }
  pair.b.traversal.selfChanged(pair.line.now)
  const later = pair.ab.messages.length
  pair.line.run(20_000)
  assert.equal(pair.ab.messages.length - later, 2, 'and again when the remote changed')
})

test('a path that dies is sought again at once', () => {
  const pair = pairUp('again', SITES.apdf, SITES.sequential)
  const isDirect = () => pair.ab.path === 'direct' && pair.ba.path === 'direct'
  assert.ok(pair.line.run(2_000, isDirect), 'direct')
  const via = pair.relay.peer
  pair.ab.fall({ kind: 'relay', via, prefix: prefixOf(pair.b.peer) })
  pair.ba.fall({ kind: 'relay', via, prefix: prefixOf(pair.a.peer) })
  assert.ok(pair.line.run(1_000, isDirect), 'direct again')
})

test('a relayed session gets a standby through another relay after 1 s, and another when that is lost', () => {
  const pair = pairUp('standby', SITES.random, SITES.random)
  const relays = () => pair.ab.tried.filter(({ kind }) => kind === 'relay')
  pair.line.run(1_500)
  assert.equal(relays().length, 0, 'there is no other relay')
  const other = 'f'.repeat(64) as typeof pair.relay.peer
  pair.a.relays.push(other)
  pair.line.run(20_000)
  const route = { kind: 'relay', via: other, prefix: prefixOf(pair.b.peer) }
  assert.deepEqual(relays(), [route], 'the other relay is tried, once')
  for (const path of pair.ab.paths) if (path.route.kind === 'relay') path.isProved = false
  pair.a.traversal.pathChanged(pair.ab, pair.line.now)
  pair.line.run(1_500)
  assert.equal(relays().length, 2, 'and again when it is lost')
})

test('equal seeds give equal runs', () => {
  const trace = () => {
    const pair = pairUp('same', SITES.apdf, SITES.random, ROUGH)
    pair.line.run(10_000, () => pair.ab.path === 'direct' && pair.ba.path === 'direct')
    return [pair.line.nowMs, pair.ab.knocked, pair.ba.knocked, pair.a.sent, pair.b.sent]
  }
  assert.deepEqual(trace(), trace(), 'time and traffic')
})

test('a deadline in the past is never left behind', () => {
  const pair = pairUp('deadlines', SITES.random, SITES.random)
  pair.line.run(3_000)
  pair.a.traversal.onDeadline((pair.line.nowMs + 400_000) as Instant)
  const next = pair.a.traversal.deadline()
  assert.ok(next !== undefined && next.at > pair.line.nowMs + 400_000, 'the next is ahead')
})

test('nothing is done for a session that is lost, and everything once it is back', () => {
  const pair = pairUp('lost', SITES.apdf, SITES.random)
  pair.line.run(200)
  for (const session of [pair.ab, pair.ba]) session.state = 'lost'
  pair.line.run(100)
  const before = pair.ab.knocked + pair.ba.knocked
  pair.line.run(120_000)
  assert.equal(pair.ab.knocked + pair.ba.knocked, before, 'no knock while it is lost')
  assert.equal(pair.b.scratch.size, 0, 'its sockets are closed')
  for (const session of [pair.ab, pair.ba]) session.state = 'up'
  pair.a.traversal.sessionUp(pair.ab, pair.line.now)
  pair.b.traversal.sessionUp(pair.ba, pair.line.now)
  const isDirect = () => pair.ab.path === 'direct' && pair.ba.path === 'direct'
  assert.ok(pair.line.run(8_000, isDirect), 'direct')
})

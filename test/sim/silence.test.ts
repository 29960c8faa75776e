import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NatOptions } from '../../src/sim/index.ts'
import { percentile } from '../../src/sim/report.ts'
import { Flow, pairAt, untilPath } from './flow.fixture.ts'
import { world } from './subcluster.fixture.ts'

const SHORT: NatOptions = { filtering: 'address-and-port-dependent', lifetimeMs: 20_000 }
const HOUR_MS = 3_600_000

for (const [name, silenceMs, messages] of [
  ['24 s', 24_000, 100],
  ['10 min', 600_000, 100],
] as const)
  test(`behind mappings of 20 s, after ${name} of silence each message arrives at once`, (t) => {
    const net = world({ seed: name, defaultLink: { latencyMs: 15 } })
    const pair = pairAt(net, { nat: SHORT }, { nat: SHORT })
    untilPath(net, pair, 'direct', 10_000)
    const flow = new Flow(net, pair.a, pair.b)
    const delays: number[] = []
    for (let i = 0; i < messages; i++) {
      net.run(silenceMs)
      flow.say()
      delays.push(net.runUntil(() => flow.received === flow.sent, 5_000))
    }
    flow.finish()
    const p95 = percentile(delays, 95)
    t.diagnostic(
      `${messages} of ${messages} arrived, p95 ${Math.round(p95)} ms after they were sent`,
    )
    assert.ok(p95 < 200, `one way takes 30 ms, and these took ${p95} ms`)
  })

test('what an idle hour costs', (t) => {
  const net = world({ seed: 'idle', defaultLink: { latencyMs: 15 } })
  const pair = pairAt(net, { nat: SHORT }, { nat: SHORT })
  untilPath(net, pair, 'direct', 10_000)
  net.run(600_000)
  const before = { ...net.network.traffic }
  net.run(HOUR_MS)
  const { sent, sentBytes } = net.network.traffic
  const [datagrams, bytes] = [sent - before.sent, sentBytes - before.sentBytes]
  const sessions = net.peers.reduce((sum, peer) => sum + peer.snapshot().sessions.length, 0) / 2
  t.diagnostic(
    `${sessions} sessions, each an hour: ${Math.round(datagrams / sessions)} datagrams, ` +
      `${Math.round(bytes / sessions)} bytes (UDP payload, both sides together)`,
  )
  assert.ok(
    datagrams / sessions < 2 * (HOUR_MS / 10_000) * 2,
    'no more than a ping and its answer every 10 s',
  )
})

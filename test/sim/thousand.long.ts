import assert from 'node:assert/strict'
import { test } from 'node:test'
import { world } from './subcluster.fixture.ts'
import { describe, joinAll, shapeOf } from './thousand.fixture.ts'

const PEERS = 1_000

test('1,000 peers that come within 10 s: each knows those nearest to it, and nobody is cut off', (t) => {
  const startedMs = performance.now()
  const net = world({ seed: 'thousand' })
  const peers = joinAll(net, PEERS, 10_000)
  t.diagnostic(`${seconds(startedMs)} s of real time: ${describe(shapeOf(peers))}`)
  net.run(10_000)
  const shape = shapeOf(peers)
  const { heapUsed } = process.memoryUsage()
  t.diagnostic(`${seconds(startedMs)} s of real time: ${describe(shape)}`)
  t.diagnostic(`${Math.round(heapUsed / PEERS / 1_000)} kB of heap a peer`)
  assert.ok(shape.nearShare >= 0.9, `${shape.nearShare}`)
  assert.equal(shape.reached, PEERS)
})

function seconds(sinceMs: number): number {
  return Math.round((performance.now() - sinceMs) / 1_000)
}

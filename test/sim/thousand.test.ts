import assert from 'node:assert/strict'
import { test } from 'node:test'
import { world } from './subcluster.fixture.ts'
import { describe, joinAll, shapeOf } from './thousand.fixture.ts'

/** Just beyond what everyone can know: `thousand.long.ts` is the same with more. */
const PEERS = 80

test('80 peers: each knows those nearest to it, nobody is cut off, and surplus sessions end', (t) => {
  const net = world({ seed: 'eighty' })
  const peers = joinAll(net, PEERS, 3_000)
  net.run(4_000)
  const joined = shapeOf(peers)
  t.diagnostic(`joined: ${describe(joined)}`)
  assert.ok(joined.nearShare >= 0.95, `${joined.nearShare}`)
  assert.equal(joined.reached, PEERS)
  assert.ok((joined.sessions[0] ?? 0) >= 24)
  net.run(30_000)
  const settled = shapeOf(peers)
  t.diagnostic(`half a minute later: ${describe(settled)}`)
  assert.ok(settled.nearShare >= 0.95, `${settled.nearShare}`)
  assert.equal(settled.reached, PEERS)
  assert.ok((settled.sessions.at(-1) ?? 0) <= 70, 'who was there first has let go')
  for (const peer of peers) assert.equal(peer.snapshot().state, 'online')
})

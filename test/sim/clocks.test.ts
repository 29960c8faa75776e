import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Crowd, counterOf } from './crowd.fixture.ts'
import { addMember, textsOf, world } from './subcluster.fixture.ts'

const HOUR_MS = 3_600_000

test('clocks that are 6 h wrong on a third of peers: all is heard, kept for its life, and gone a day after', () => {
  const net = world({ seed: 6 })
  const crowd = new Crowd(net, {
    size: 9,
    hardNats: 0,
    subscribed: 1,
    lineMs: [5, 25],
    lossRate: 0.01,
    wrongClocks: { share: 1 / 3, byMs: 6 * HOUR_MS },
  })
  crowd.arrive(1_000)
  net.run(5_000)
  const texts = crowd.peers.map((peer, i) => {
    crowd.publish(peer, `packet ${i}`, HOUR_MS)
    return [`packet ${i}`, peer.peerId] as const
  })
  net.run(5_000)
  const by = new Map(texts)
  assert.equal(crowd.missing([...by.keys()], by), 0)
  net.run(HOUR_MS - 20_000)
  const [first] = crowd.peers
  assert.ok(first)
  const late = addMember(net, { bootstrap: [first.host] })
  net.run(5_000)
  const read = textsOf(late, 'packet')
  assert.deepEqual(read.sort(), [...by.keys()], 'kept and read until the end of its life')
  net.run(25 * HOUR_MS)
  for (const peer of crowd.peers)
    assert.equal(counterOf(peer, 'packetsKept'), 0, `${peer.name} still keeps some`)
})

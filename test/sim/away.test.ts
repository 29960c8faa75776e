import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SimPeer, World } from '../../src/sim/index.ts'
import {
  addMember,
  bytesOf,
  isDone,
  join,
  publish,
  SUBCLUSTER,
  send,
  textsOf,
  world,
} from './subcluster.fixture.ts'

/** Who writes leaves before who reads comes; only strangers are there all the time. */
const STRANGERS_KEY = new Uint8Array(32).fill(1)

function strangerOf(net: World): SimPeer {
  return addMember(net, { bootstrap: 'all' }, STRANGERS_KEY)
}

test('what is published is read by who comes when its author has left, from a stranger, in order', () => {
  for (let seed = 1; seed <= 5; seed++) {
    const net = world({ seed, defaultLink: { latencyMs: 20, jitterMs: 5, lossRate: 0.01 } })
    const carol = strangerOf(net)
    const alice = addMember(net, { bootstrap: [carol] })
    net.run(1_000)
    for (let i = 0; i < 50; i++) publish(alice, i, `news ${i}`)
    net.runUntil(() => alice.seen('done').length === 50, 5_000)
    alice.host.stop()
    net.run(60_000)
    const bob = addMember(net, { bootstrap: [carol] })
    net.runUntil(() => textsOf(bob, 'packet').length === 50, 1_500)
    assert.deepEqual(
      textsOf(bob, 'packet'),
      Array.from({ length: 50 }, (_, i) => `news ${i}`),
    )
    assert.ok(bob.seen('packet').every(({ packet }) => packet.via === 'cache' && !packet.gap))
    assert.equal(carol.seen('packet').length, 0)
  }
})

test('a large message is fetched from a stranger, and goes on where it stopped when that is killed', () => {
  const net = world({ seed: 7, defaultLink: { latencyMs: 20 } })
  const carol = strangerOf(net)
  const alice = addMember(net, { bootstrap: [carol] })
  net.run(1_000)
  const value = net.random.fork('large').bytes(2_000_000)
  alice.command({
    type: 'publish',
    operation: 1,
    subcluster: SUBCLUSTER,
    event: 'large',
    value,
    delivery: 'durable',
    lifeMs: 3_600_000,
  })
  net.runUntil(() => isDone(alice, 1), 20_000)
  alice.host.stop()
  const bob = addMember(net, { bootstrap: [carol] })
  net.runUntil(() => (bob.seen('progress').at(-1)?.receivedBytes ?? 0) > 500_000, 20_000)
  carol.host.crash()
  net.run(1_000)
  carol.host.restart()
  net.runUntil(() => bob.seen('packet').length === 1, 60_000)
  assert.deepEqual(bob.seen('packet')[0]?.value, value)
})

test('a message to a member that is away waits for it with strangers, and nobody else reads it', () => {
  for (let seed = 1; seed <= 5; seed++) {
    const net = world({ seed, defaultLink: { latencyMs: 20, lossRate: 0.01 } })
    const carol = strangerOf(net)
    const dave = addMember(net, { bootstrap: [carol] })
    const alice = addMember(net, { bootstrap: [carol] })
    const bob = addMember(net, { bootstrap: [carol] })
    net.run(3_000)
    bob.host.stop()
    net.run(1_000)
    for (let i = 0; i < 5; i++) send(alice, i, bob, 'note', bytesOf(`letter ${i}`))
    net.runUntil(() => alice.seen('done').length === 5, 5_000)
    alice.host.stop()
    net.run(600_000)
    bob.host.restart()
    join(bob)
    net.runUntil(() => textsOf(bob, 'message').length === 5, 3_000)
    assert.deepEqual(textsOf(bob, 'message'), [
      'letter 0',
      'letter 1',
      'letter 2',
      'letter 3',
      'letter 4',
    ])
    for (const other of [carol, dave]) assert.deepEqual(textsOf(other, 'message'), [])
    assert.ok(dave.seen('packet').length === 0, 'no member hears of it')
  }
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PeerId, SessionSnapshot, Snapshot } from '../core/io.ts'
import { UNKNOWN_NAT } from '../core/nat/vector.ts'
import {
  checkConvergence,
  checkEveryoneConnected,
  checkPorts,
  checkRejections,
  ExactlyOnceDelivery,
  OrderPerPeerAndEvent,
} from './check.ts'
import { Internet } from './internet.ts'
import { Toy } from './toy.fixture.ts'

test('exactly-once delivery passes what arrives once, and names what does not', () => {
  const delivery = new ExactlyOnceDelivery(new Internet({ seed: 7 }))
  delivery.sent('m1', ['bob', 'carol'])
  delivery.received('m1', 'bob')
  assert.throws(
    () => delivery.received('m1', 'bob'),
    /^CheckFailure: seed 7, 0\.000 ms, bob: exactly-once delivery: got m1 twice$/,
  )
  assert.throws(() => delivery.received('m1', 'dave'), /dave: .*not for it/)
  assert.throws(() => delivery.received('m2', 'bob'), /bob: .*nobody sent/)
  assert.throws(() => delivery.finish(), /1 deliveries are missing: m1 at carol$/)
  delivery.received('m1', 'carol')
  delivery.finish()
})

test('order is judged per receiver, sender and event; a hole is a fault', () => {
  const order = new OrderPerPeerAndEvent(new Internet({ seed: 7 }))
  order.received('bob', 'alice', 'x', 0)
  order.received('bob', 'alice', 'y', 0)
  order.received('carol', 'alice', 'x', 0)
  order.received('bob', 'alice', 'x', 1)
  assert.throws(() => order.received('bob', 'alice', 'x', 3), /bob: order: x number 3 from alice/)
  assert.throws(() => order.received('bob', 'alice', 'x', 1), /expected number 2/)
})

test('everyone is connected when every session is up, in both directions', () => {
  const internet = new Internet({ seed: 7 })
  const peer = (name: string, sessions: readonly [string, 'up' | 'lost'][]) => ({
    name,
    snapshot: () => snapshot(`id-${name}`, sessions),
  })
  const a = peer('a', [['id-b', 'up']])
  checkEveryoneConnected(internet, [a, peer('b', [['id-a', 'up']])])
  assert.throws(
    () => checkEveryoneConnected(internet, [a, peer('b', [['id-a', 'lost']])]),
    /, b: connected: no session with a, 0 with others/,
  )
})

test('rejections above what is allowed are a fault of the host that counted them', () => {
  const internet = new Internet({ seed: 7 })
  const host = internet.addHost({ name: 'bob' })
  checkRejections(internet)
  host.rejections.set('malformed', 2)
  checkRejections(internet, { malformed: 2 })
  assert.throws(() => checkRejections(internet), /bob: rejections: 2 × malformed, at most 0/)
})

test('convergence names the first that differs', () => {
  const internet = new Internet({ seed: 7 })
  const peers = ['a', 'b', 'c'].map((name) => ({ name }))
  checkConvergence(internet, peers, () => 'same')
  checkConvergence(internet, [], () => assert.fail())
  assert.throws(
    () => checkConvergence(internet, peers, ({ name }) => (name === 'c' ? 'y' : 'x')),
    /, c: convergence: a has x, c has y/,
  )
})

test('a port that failed is a fault', () => {
  const internet = new Internet({ seed: 7 })
  const toy = new Toy(internet, { name: 'bob' })
  checkPorts(internet)
  toy.host.storage.failsWrites = true
  toy.store(1, Uint8Array.of(1))
  assert.throws(() => checkPorts(internet), /bob: ports: 1 errors, first at storage/)
})

function snapshot(peerId: string, sessions: readonly [string, 'up' | 'lost'][]): Snapshot {
  return {
    peerId: peerId as PeerId,
    state: 'online',
    observed: [],
    local: [],
    nat: UNKNOWN_NAT,
    sessions: sessions.map(
      ([peer, state]): SessionSnapshot => ({
        peer: peer as PeerId,
        state,
        path: 'direct',
        address: undefined,
        relay: undefined,
        rttMs: 1,
        nat: undefined,
      }),
    ),
    counters: {},
  }
}

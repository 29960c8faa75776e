import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Instant } from '../io.ts'
import { SeededRandom } from '../seeded.fixture.ts'
import {
  CAUSAL_WAIT_MS,
  CausalOrder,
  type CausalPacket,
  type Released,
  STRICT_WAITING_MAX,
  WAITING_PACKETS_MAX,
} from './causal.ts'
import { LAMPORT_MAX } from './packet-seal.ts'

function packet(key: string, parents: readonly string[], lamport: number): CausalPacket {
  return { key, parents, lamport }
}

function keysOf(released: readonly Released<CausalPacket>[]): string[] {
  return released.map(({ packet, gap }) => (gap ? `${packet.key} gap` : packet.key))
}

const at = (ms: number) => ms as Instant

test('a packet is released after those it follows', () => {
  const order = new CausalOrder()
  assert.deepEqual(order.arrived(packet('c', ['b'], 3), at(0)), [])
  assert.deepEqual(order.arrived(packet('b', ['a'], 2), at(0)), [])
  assert.deepEqual(keysOf(order.arrived(packet('a', [], 1), at(0))), ['a', 'b', 'c'])
  assert.equal(order.deadline(), undefined)
  assert.equal(order.waitingCount, 0)
})

test('those released together come by Lamport time and then by id', () => {
  const order = new CausalOrder()
  for (const [key, lamport] of [
    ['z', 2],
    ['y', 3],
    ['x', 3],
    ['w', 2],
  ] as const)
    order.arrived(packet(key, ['root'], lamport), at(0))
  assert.deepEqual(keysOf(order.arrived(packet('root', [], 1), at(0))), [
    'root',
    'w',
    'z',
    'x',
    'y',
  ])
})

test('a packet whose parent does not come is released with a gap after two seconds', () => {
  const order = new CausalOrder()
  order.arrived(packet('b', ['a'], 2), at(100))
  order.arrived(packet('c', ['b'], 3), at(200))
  assert.equal(order.deadline()?.at, 100 + CAUSAL_WAIT_MS)
  assert.deepEqual(order.onDeadline(at(99 + CAUSAL_WAIT_MS)), [])
  assert.deepEqual(keysOf(order.onDeadline(at(100 + CAUSAL_WAIT_MS))), ['b gap', 'c'])
  assert.deepEqual(keysOf(order.arrived(packet('a', [], 1), at(3000))), ['a'])
})

test('only what still lacks a parent carries the gap when several are due', () => {
  const order = new CausalOrder()
  order.arrived(packet('c', ['b'], 3), at(0))
  order.arrived(packet('b', ['a'], 2), at(0))
  order.arrived(packet('d', ['other'], 1), at(0))
  assert.deepEqual(keysOf(order.onDeadline(at(5000))), ['d gap', 'b gap', 'c'])
})

test('the heads are the latest that nothing follows, four at most', () => {
  const order = new CausalOrder()
  for (const key of ['a', 'b', 'c']) order.arrived(packet(key, [], 1), at(0))
  assert.deepEqual(order.heads, ['a', 'b', 'c'])
  order.arrived(packet('d', ['a', 'c'], 2), at(0))
  assert.deepEqual(order.heads, ['b', 'd'])
  for (const key of ['e', 'f', 'g']) order.arrived(packet(key, [], 1), at(0))
  assert.deepEqual(order.heads, ['d', 'e', 'f', 'g'])
  order.published(packet('own', order.heads, order.nextLamport))
  assert.deepEqual(order.heads, ['own'])
})

test('a parent that comes after its child is no head', () => {
  const order = new CausalOrder()
  order.arrived(packet('child', ['late'], 2), at(0))
  order.onDeadline(at(CAUSAL_WAIT_MS))
  order.arrived(packet('late', [], 1), at(3000))
  assert.deepEqual(order.heads, ['child'])
})

test('Lamport time follows what was delivered and stops at its limit', () => {
  const order = new CausalOrder()
  assert.equal(order.nextLamport, 1)
  order.arrived(packet('a', [], 41), at(0))
  assert.equal(order.nextLamport, 42)
  order.arrived(packet('b', [], LAMPORT_MAX), at(0))
  assert.equal(order.nextLamport, LAMPORT_MAX)
})

test('who waits is bounded in number: the oldest goes ahead with its gap, in strict order not even then', () => {
  const order = new CausalOrder()
  let released = 0
  for (let i = 0; i < 3 * WAITING_PACKETS_MAX; i++) {
    released += order.arrived(packet(`p${i}`, [`missing ${i}`, 'x', 'y', 'z'], i), at(i)).length
    assert.equal(order.waitingCount <= WAITING_PACKETS_MAX, true)
  }
  assert.equal(released, 2 * WAITING_PACKETS_MAX)
  const strict = new CausalOrder(true)
  for (let i = 0; i < STRICT_WAITING_MAX + 5; i++)
    assert.deepEqual(strict.arrived(packet(`p${i}`, ['missing'], i), at(0), 1_000_000), [])
  assert.equal(strict.waitingCount, STRICT_WAITING_MAX)
})

test('parents in a circle, or oneself, only wait', () => {
  const order = new CausalOrder()
  order.arrived(packet('a', ['b'], 1), at(0))
  order.arrived(packet('b', ['a'], 1), at(0))
  order.arrived(packet('self', ['self'], 1), at(0))
  assert.deepEqual(keysOf(order.onDeadline(at(CAUSAL_WAIT_MS))), ['a gap', 'b', 'self gap'])
  assert.equal(order.waitingCount, 0)
})

test('random graphs in random order are delivered whole, parents first', () => {
  for (let seed = 1; seed <= 50; seed++) {
    const random = new SeededRandom(seed)
    const all: CausalPacket[] = []
    for (let i = 0; i < 60; i++) {
      const parents = new Set<string>()
      for (let k = random.below(4); k > 0 && i > 0; k--)
        parents.add(`p${Math.max(0, i - 1 - random.below(8))}`)
      all.push(packet(`p${i}`, [...parents], i + 1))
    }
    const order = new CausalOrder()
    const delivered: string[] = []
    const rest = [...all]
    while (rest.length > 0) {
      const [next] = rest.splice(random.below(rest.length), 1)
      assert.ok(next)
      for (const released of order.arrived(next, at(0))) {
        assert.equal(released.gap, false)
        for (const parent of released.packet.parents) assert.equal(delivered.includes(parent), true)
        delivered.push(released.packet.key)
      }
    }
    assert.equal(delivered.length, all.length)
  }
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SimPeer } from '../../src/sim/index.ts'
import {
  addMember,
  bytesOf,
  isDone,
  membersSeenBy,
  send,
  textsOf,
  world,
} from './subcluster.fixture.ts'

test('a peer that only a neighbour of a neighbour can reach is reached through both', () => {
  const { net, ends, relays } = line(2)
  const [a, b] = ends
  net.runUntil(() => membersSeenBy(a).has(b.peerId), 10_000)
  assert.equal(sessionOf(a, b)?.path, 'relayed')
  assert.equal(sessionOf(b, a)?.path, 'relayed')
  const text = 'x'.repeat(100_000)
  send(a, 1, b, 'long', bytesOf(text))
  net.runUntil(() => isDone(a, 1), 5_000)
  assert.deepEqual(textsOf(b, 'message'), [text], 'full datagrams pass both relays')
  const carried = relays.map((relay) => relay.snapshot().counters['relayedDatagrams'] ?? 0)
  assert.ok(
    carried.every((count) => count > 50),
    `${carried} datagrams carried`,
  )
})

test('three relays in a chain are refused', () => {
  const { net, ends } = line(3)
  const [a, b] = ends
  net.run(30_000)
  assert.equal(sessionOf(a, b), undefined)
})

/** Peers of which each reaches only the next. */
function line(relayCount: number) {
  const net = world({ seed: 9, defaultLink: { latencyMs: 10 } })
  const relays: SimPeer[] = []
  for (let i = 0; i < relayCount; i++) {
    relays.push(addMember(net, { bootstrap: relays.slice(-1).map(({ host }) => host) }))
  }
  const [first, last] = [relays[0], relays.at(-1)]
  assert.ok(first !== undefined && last !== undefined)
  const a = addMember(net, { bootstrap: [first.host] })
  const b = addMember(net, { bootstrap: [last.host] })
  const all = [a, ...relays, b]
  for (const [i, peer] of all.entries()) {
    const beyond = all.slice(i + 2).map(({ host }) => host)
    if (beyond.length > 0) net.partition([peer.host], beyond)
  }
  return { net, ends: [a, b] as const, relays }
}

function sessionOf(peer: SimPeer, other: SimPeer) {
  return peer.snapshot().sessions.find(({ peer: remote }) => remote === other.peerId)
}

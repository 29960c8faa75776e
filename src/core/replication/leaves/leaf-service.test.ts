import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PeerId } from '../../io.ts'
import { madePacket, StoreBench, WALL } from '../cache/packets.fixture.ts'
import {
  decodeLeafMessage,
  encodeWantLeaves,
  indexesOf,
  KIND_LACK_LEAVES,
  KIND_LEAF,
  placesOf,
} from './leaf-messages.ts'
import {
  LACKS_UNDER_WAY_MAX,
  LEAVES_UNDER_WAY_MAX,
  LeafService,
  QUEUED_LEAVES_MAX,
  SERVED_PEERS_MAX,
} from './leaf-service.ts'
import { peerId } from './leaf-world.fixture.ts'

const MADE = madePacket(1, { payloadBytes: 800_000 })
const COUNT = 695

function bench() {
  const { store } = new StoreBench({ ownBytes: 10_000_000 })
  store.add(MADE.packet, MADE.id, 'own', 'author', WALL)
  for (const { level, index, bytes } of MADE.leaves) store.addLeaf(MADE.name, level, index, bytes)
  const sent: { readonly peer: PeerId; readonly message: Uint8Array; onAcked: () => void }[] = []
  const service = new LeafService({
    held: (short) => store.byShort(short),
    send: (peer, message, onAcked) => sent.push({ peer, message, onAcked }),
  })
  const want = (peer: PeerId, level: number, indexes: readonly number[], id = MADE.id) => {
    const codes = placesOf(id, level, indexes).map((places) =>
      service.message(peer, encodeWantLeaves(places)),
    )
    return codes.find((code) => code !== undefined)
  }
  return { store, sent, service, want }
}

function range(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => first + i)
}

test('what is asked for is given, and what is not there is said to be lacking', () => {
  const { sent, want } = bench()
  assert.equal(want(peerId(1), 0, [COUNT - 1, 3, COUNT, COUNT + 9]), undefined)
  const [lack, ...leaves] = sent.map(({ message }) => decodeLeafMessage(message))
  assert.ok(typeof lack === 'object' && lack.kind === KIND_LACK_LEAVES)
  assert.deepEqual([...indexesOf(lack)], [COUNT, COUNT + 9])
  const given = leaves.map((leaf) => {
    assert.ok(typeof leaf === 'object' && leaf.kind === KIND_LEAF)
    assert.deepEqual(
      leaf.bytes,
      MADE.leaves.find((l) => l.level === 0 && l.index === leaf.index)?.bytes,
    )
    return leaf.index
  })
  assert.deepEqual(given, [3, COUNT - 1])
})

test('a root that is not held, or has no such level, is lacking', () => {
  const { sent, service, want } = bench()
  want(peerId(1), 0, [0, 1], new Uint8Array(32))
  want(peerId(1), 200, [0, 1])
  want(peerId(1), 0, [2 ** 53 - 1])
  assert.deepEqual(
    sent.map(({ message }) => message[0]),
    [KIND_LACK_LEAVES, KIND_LACK_LEAVES, KIND_LACK_LEAVES],
  )
  for (const { onAcked } of sent) onAcked()
  assert.equal(service.servedCount, 0)
})

// Without the bound a request of 140 bytes draws 740 kB at once.
test('a small request draws only so much at once, and the rest as it is acknowledged', () => {
  const { sent, service, want } = bench()
  const peer = peerId(1)
  assert.equal(want(peer, 0, range(0, COUNT)), 'over-limit')
  assert.equal(sent.length, LEAVES_UNDER_WAY_MAX)
  assert.equal(service.queuedFor(peer), QUEUED_LEAVES_MAX - LEAVES_UNDER_WAY_MAX)
  let acked = 0
  for (const { onAcked } of sent) {
    assert.equal(sent.length - acked <= LEAVES_UNDER_WAY_MAX, true)
    onAcked()
    acked++
  }
  assert.equal(acked, QUEUED_LEAVES_MAX)
  assert.equal(service.servedCount, 0)
})

test('what is asked for again while it is on its way is sent once', () => {
  const { sent, service, want } = bench()
  for (let i = 0; i < 10; i++) assert.equal(want(peerId(1), 0, range(0, 100)), undefined)
  assert.equal(sent.length, LEAVES_UNDER_WAY_MAX)
  assert.equal(service.queuedFor(peerId(1)), 100 - LEAVES_UNDER_WAY_MAX)
})

test('who never acknowledges draws a bounded number of answers, of either kind', () => {
  const { sent, want } = bench()
  for (let i = 0; i < 500; i++) {
    want(peerId(1), 0, range(0, COUNT))
    want(peerId(1), 9, range(0, 100))
  }
  assert.equal(sent.length, LEAVES_UNDER_WAY_MAX + LACKS_UNDER_WAY_MAX)
})

test('so many are served at a time; a session that ends makes room, and its acknowledgements do nothing', () => {
  const { sent, service, want } = bench()
  for (let i = 0; i < SERVED_PEERS_MAX; i++)
    assert.equal(want(peerId(i), 0, i === 7 ? range(0, 100) : [0]), undefined)
  assert.equal(want(peerId(5000), 0, [0]), 'over-limit')
  assert.equal(service.servedCount, SERVED_PEERS_MAX)
  service.sessionGone(peerId(7))
  assert.equal(want(peerId(5000), 0, range(0, 100)), undefined)
  const before = sent.length
  sent.find(({ peer }) => peer === peerId(7))?.onAcked()
  assert.equal(sent.length, before)
})

test('a message that went from the store meanwhile is served no further than what was queued', () => {
  const { store, sent, want } = bench()
  want(peerId(1), 0, range(0, 100))
  store.remove(MADE.name)
  sent.length = 0
  want(peerId(1), 0, range(100, 10))
  assert.deepEqual(
    sent.map(({ message }) => message[0]),
    [KIND_LACK_LEAVES],
  )
})

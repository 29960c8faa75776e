import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sodiumNative } from '../../crypto/sodium-native.ts'
import { SeededRandom } from '../seeded.fixture.ts'
import { LeafAssembly } from './leaf-assembly.ts'
import {
  growTree,
  LEAF_BYTES,
  type Leaf,
  leafHash,
  PAYLOAD_BYTES_MAX,
  ROOT_HASHES_MAX,
  treeShape,
} from './leaf-tree.ts'
import { encodeLeaf } from './leaves/leaf-messages.ts'
import { PACKET_BYTES_MAX } from './packet.ts'
import { sealPacket } from './packet-seal.ts'
import { encodePacketMessage } from './spread/spread-messages.ts'

const crypto = sodiumNative()
/** What carries a message in a datagram: seal 20 to 25 bytes, frame 2 to 5. */
const DATAGRAM_OVERHEAD_BYTES = 27
const EMPTY = new Uint8Array(0)

function grown(blobBytes: number) {
  const blob = new SeededRandom(blobBytes).bytes(blobBytes)
  return { blob, ...growTree(crypto, blob) }
}

test('the shape follows from the size, and its top fits into the root at every size', () => {
  assert.deepEqual(treeShape(0), [1])
  assert.deepEqual(treeShape(18 * LEAF_BYTES - 16), [18])
  assert.deepEqual(treeShape(18 * LEAF_BYTES - 15), [19, 1])
  assert.deepEqual(treeShape(65_536), [57, 2])
  assert.deepEqual(treeShape(PAYLOAD_BYTES_MAX), [58_255, 1619, 45, 2])
  for (let bytes = 0; bytes <= PAYLOAD_BYTES_MAX; bytes += 99_991)
    assert.equal((treeShape(bytes).at(-1) ?? 0) <= ROOT_HASHES_MAX, true)
})

/** All messages by which one payload goes to one neighbour. */
function messagesOf(payload: Uint8Array): Uint8Array[] {
  const seed = new Uint8Array(32)
  const keys = { tag: crypto.signingKeyPair(seed), sealKey: seed }
  const packet = sealPacket(crypto, keys, crypto.signingKeyPair(new Uint8Array(32)), {
    createdS: 0,
    lifeMinutes: 60,
    salt: new Uint8Array(12),
    event: 'news',
    lamport: 300,
    parents: [new Uint8Array(16)],
    payload,
  })
  const leaves = packet.levels.flat()
  return [
    encodePacketMessage(packet.bytes, 1, true),
    ...leaves.map(({ level, index, bytes }) => encodeLeaf(packet.id, level, index, bytes)),
  ]
}

test('a text of 16 bytes that follows another is a datagram of 300 bytes at most', () => {
  const [message, ...more] = messagesOf(new Uint8Array(16))
  assert.deepEqual(more, [])
  assert.equal((message?.length ?? 0) + DATAGRAM_OVERHEAD_BYTES, 300)
})

test('64 KiB cost at most 71 kB in datagrams', () => {
  const messages = messagesOf(new Uint8Array(65_536))
  for (const message of messages.slice(1)) assert.equal(message.length <= PACKET_BYTES_MAX, true)
  const bytes = messages.reduce((sum, { length }) => sum + length + DATAGRAM_OVERHEAD_BYTES, 0)
  assert.equal(messages.length, 60)
  assert.equal(bytes <= 71_000, true, `${bytes} bytes`)
})

test('leaves given level by level, in any order, make the blob', () => {
  const { blob, root, levels } = grown(100_000)
  const random = new SeededRandom(5)
  const assembly = new LeafAssembly(crypto, root)
  for (const level of levels.toReversed()) {
    const rest = [...level]
    while (rest.length > 0) {
      const [leaf] = rest.splice(random.below(rest.length), 1)
      assert.ok(leaf)
      const verdict = assembly.add(leaf.level, leaf.index, leaf.bytes)
      assert.equal(verdict, leaf.level === 0 && rest.length === 0 ? 'complete' : 'taken')
      assert.equal(assembly.add(leaf.level, leaf.index, leaf.bytes), 'known')
    }
  }
  assert.deepEqual(assembly.blob(), blob)
})

// Each verdict turns into 'taken' when the comparison of hashes is removed.
test('a leaf that is altered, misplaced, too long or of no place is wrong', () => {
  const { root, levels } = grown(50_000)
  const assembly = new LeafAssembly(crypto, root)
  for (const leaf of levels[1] ?? []) assembly.add(1, leaf.index, leaf.bytes)
  const leaf = levels[0]?.[3] as Leaf
  const altered = leaf.bytes.slice()
  altered[0] = (altered[0] ?? 0) ^ 1
  assert.equal(assembly.add(0, 3, altered), 'wrong')
  assert.equal(assembly.add(0, 4, leaf.bytes), 'wrong')
  assert.equal(assembly.add(0, 3, new Uint8Array(LEAF_BYTES + 1)), 'wrong')
  assert.equal(assembly.add(0, 44, leaf.bytes), 'wrong')
  assert.equal(assembly.add(2, 0, leaf.bytes), 'wrong')
  assert.equal(assembly.add(0, 2 ** 53 - 1, leaf.bytes), 'wrong')
  assert.equal(assembly.add(0, 3, leaf.bytes), 'taken')
})

test('a leaf counts only when the level above vouches for it', () => {
  const { root, levels } = grown(50_000)
  const assembly = new LeafAssembly(crypto, root)
  const low = levels[0]?.[40] as Leaf
  assert.equal(assembly.add(0, 40, low.bytes), 'early')
  assert.equal(assembly.add(1, 1, levels[1]?.[1]?.bytes ?? new Uint8Array(0)), 'taken')
  assert.equal(assembly.add(0, 40, low.bytes), 'taken')
})

test('the missing leaves of a level are listed as far as they are vouched for', () => {
  const { root, levels } = grown(50_000)
  const assembly = new LeafAssembly(crypto, root)
  assert.deepEqual(assembly.missing(1, 10), [0, 1])
  assert.deepEqual(assembly.missing(0, 10), [])
  assembly.add(1, 1, levels[1]?.[1]?.bytes ?? new Uint8Array(0))
  assert.deepEqual(assembly.missing(0, 3), [36, 37, 38])
  assembly.add(0, 37, levels[0]?.[37]?.bytes ?? new Uint8Array(0))
  assert.deepEqual(assembly.missing(0, 3), [36, 38, 39])
  assert.deepEqual(assembly.missing(9, 3), [])
})

test('what is missing is found at the cost of what is found', (t) => {
  const { root, levels } = grown(8_000_000)
  const assembly = new LeafAssembly(crypto, root)
  for (const level of levels.slice(1).toReversed())
    for (const leaf of level) assembly.add(leaf.level, leaf.index, leaf.bytes)
  // In this order a search from the beginning would pass over all that is there.
  let calls = 0
  const startedMs = performance.now()
  while (!assembly.isComplete) {
    const [index] = assembly.missing(0, 1)
    assert.ok(index !== undefined)
    assert.notEqual(assembly.add(0, index, levels[0]?.[index]?.bytes ?? EMPTY), 'wrong')
    calls++
  }
  assert.equal(calls, levels[0]?.length)
  t.diagnostic(`${calls} leaves, ${((performance.now() - startedMs) * 1000) / calls} µs each`)
  assert.deepEqual(assembly.missing(0, 1), [])
})

test('the payload that has come is counted without the tree and the seal', () => {
  const { root, levels } = grown(50_000)
  const assembly = new LeafAssembly(crypto, root)
  assert.deepEqual([assembly.receivedBytes, assembly.totalBytes], [0, 50_000 - 16])
  for (const leaf of levels[1] ?? []) assembly.add(1, leaf.index, leaf.bytes)
  assert.equal(assembly.receivedBytes, 0)
  assembly.add(0, 7, levels[0]?.[7]?.bytes ?? EMPTY)
  assert.equal(assembly.receivedBytes, LEAF_BYTES)
  for (const leaf of levels[0] ?? []) assembly.add(0, leaf.index, leaf.bytes)
  assert.equal(assembly.receivedBytes, assembly.totalBytes)
})

test('what is there can be given to another, in the order of its listing', () => {
  const { blob, root, levels } = grown(50_000)
  const from = new LeafAssembly(crypto, root)
  for (const leaf of levels.toReversed().flat()) from.add(leaf.level, leaf.index, leaf.bytes)
  assert.equal(from.has(1, 1), true)
  assert.equal(from.has(1, 2), false)
  assert.deepEqual(from.get(1, 1), levels[1]?.[1]?.bytes)
  const to = new LeafAssembly(crypto, root)
  for (const { level, index, bytes } of from.leaves())
    assert.match(to.add(level, index, bytes), /taken|complete/)
  assert.deepEqual(to.blob(), blob)
})

// Without the check of the length the first verdict is 'taken', and the honest holder of the rest is blamed.
test('a leaf of another length than its place is wrong even if it is listed', () => {
  const { root, levels } = grown(50_000)
  const short = levels[1]?.[0]?.bytes.subarray(0, 40) ?? EMPTY
  const hashes = root.hashes.slice()
  hashes.set(leafHash(crypto, 1, short))
  const assembly = new LeafAssembly(crypto, { ...root, hashes })
  assert.equal(assembly.add(1, 0, short), 'wrong')
})

test('a leaf of one level does not pass as a leaf of another', () => {
  const { root, levels } = grown(50_000)
  const upper = levels[1]?.[0]?.bytes ?? new Uint8Array(0)
  const { root: lower } = growTree(crypto, upper)
  assert.notDeepEqual(lower.hashes.subarray(0, 32), root.hashes.subarray(0, 32))
})

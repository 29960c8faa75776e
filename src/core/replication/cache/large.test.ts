import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StoredRecord, UnixMs } from '../../io.ts'
import { SeededRandom } from '../../seeded.fixture.ts'
import type { PacketStore } from './packet-store.ts'
import { type MadePacket, madePacket, StoreBench, WALL } from './packets.fixture.ts'

function records(disk: ReadonlyMap<string, Uint8Array>): StoredRecord[] {
  return [...disk].map(([key, value]) => ({ key, value }))
}

function addWhole(store: PacketStore, made: MadePacket, source: string): void {
  store.add(made.packet, made.id, 'custody', source, WALL)
  for (const { level, index, bytes } of made.leaves) store.addLeaf(made.name, level, index, bytes)
}

test('a large message is charged and written leaf by leaf, and is whole with the last', () => {
  const { store, disk } = new StoreBench()
  const made = madePacket(1, { payloadBytes: 50_000 })
  const held = store.add(made.packet, made.id, 'custody', 'link', WALL)
  assert.equal(held?.isWhole, false)
  for (const [at, { level, index, bytes }] of made.leaves.entries()) {
    const before = store.bytes.cache
    const verdict = store.addLeaf(made.name, level, index, bytes)
    assert.equal(verdict, at === made.leaves.length - 1 ? 'complete' : 'taken')
    assert.equal(store.bytes.cache >= before + bytes.length, true)
    const key = `leaf/${made.name}/${level}.${index.toString(16).padStart(6, '0')}`
    assert.deepEqual(disk.get(key), bytes)
  }
  assert.equal(held?.isWhole, true)
  store.remove(made.name)
  assert.equal(disk.size, 0)
  assert.deepEqual(store.bytes, { own: 0, cache: 0 })
})

// Fails when `LeafAssembly.add` no longer compares hashes.
test('a wrong leaf is neither kept nor written, and nobody goes for it', () => {
  const { store, log } = new StoreBench()
  const made = madePacket(1, { payloadBytes: 50_000 })
  store.add(made.packet, made.id, 'custody', 'link', WALL)
  const { bytes } = store
  const wrong = made.leaves[0]?.bytes.slice() ?? new Uint8Array(0)
  wrong[5] = (wrong[5] ?? 0) ^ 1
  assert.equal(store.addLeaf(made.name, 1, 0, wrong), 'wrong')
  assert.equal(store.addLeaf(made.name, 1, 2 ** 52, wrong), 'wrong')
  assert.equal(store.addLeaf(made.name, 200, 0, wrong), 'wrong')
  assert.equal(store.addLeaf('none', 1, 0, wrong), 'unwanted')
  assert.deepEqual(store.bytes, bytes)
  assert.equal(log.length, 1)
})

test('a root that is too large for its duty is held without its leaves', () => {
  const { store, disk } = new StoreBench({ cacheBytes: 400_000, ownBytes: 400_000 })
  const made = madePacket(1, { payloadBytes: 110_000 })
  const held = store.add(made.packet, made.id, 'custody', 'link', WALL)
  assert.deepEqual([held?.leaves, held?.isWhole], [undefined, false])
  const [first] = made.leaves
  assert.ok(first)
  assert.equal(store.addLeaf(made.name, first.level, first.index, first.bytes), 'unwanted')
  assert.equal(store.takesLeaves(110_000, 'custody'), false)
  assert.equal(store.takesLeaves(110_000, 'own'), true)
  // As ours it is wanted, and when it is no more, its leaves go.
  store.setDuty(made.name, 'own', 'author')
  assert.equal(store.addLeaf(made.name, first.level, first.index, first.bytes), 'taken')
  assert.equal(disk.size, 2)
  store.setDuty(made.name, 'passing', 'link')
  assert.equal(disk.size, 1)
  assert.equal(store.get(made.name)?.leaves, undefined)
})

test('large messages of one link make room among themselves, not among the others', () => {
  const { store } = new StoreBench({ cacheBytes: 400_000, write: () => {} })
  const others = Array.from({ length: 30 }, (_, i) => madePacket(i))
  for (const { packet, id } of others) store.add(packet, id, 'custody', 'other', WALL)
  const large = Array.from({ length: 8 }, (_, i) => madePacket(100 + i, { payloadBytes: 90_000 }))
  for (const made of large) {
    addWhole(store, made, 'flood')
    assert.equal(store.get(made.name)?.isWhole, true)
    assert.equal(store.bytes.cache <= 400_000, true)
  }
  assert.equal(
    others.every(({ name }) => store.has(name)),
    true,
  )
  assert.equal(store.isSpent(large[0]?.name ?? ''), true)
})

test('for a leaf the next oldest of its share goes, and not its root', () => {
  const { store } = new StoreBench({ cacheBytes: 60_000, write: () => {} })
  const made = madePacket(1, { payloadBytes: 10_000 })
  store.add(made.packet, made.id, 'custody', 'link', WALL)
  for (let i = 2; i < 47; i++) {
    const { packet, id } = madePacket(i)
    store.add(packet, id, 'custody', 'link', WALL)
  }
  assert.equal(store.spentCount, 0)
  for (const { level, index, bytes } of made.leaves) store.addLeaf(made.name, level, index, bytes)
  assert.equal(store.get(made.name)?.isWhole, true)
  assert.equal(store.spentCount > 5, true)
})

test('a large message goes for its own leaf when it is all of the largest share', () => {
  const { store } = new StoreBench({ cacheBytes: 400_000, write: () => {} })
  for (let i = 0; i < 240; i++) {
    const { packet, id } = madePacket(i)
    store.add(packet, id, 'custody', `other ${i % 20}`, WALL)
  }
  const before = store.count
  const made = madePacket(1000, { payloadBytes: 90_000 })
  addWhole(store, made, 'flood')
  assert.equal(store.isSpent(made.name), true)
  assert.equal(store.count, before, 'the others use less than a fair share')
  const [first] = made.leaves
  assert.equal(store.addLeaf(made.name, first?.level ?? 0, 0, first?.bytes ?? made.id), 'unwanted')
})

test('what was on disk is there again, whatever the order of the records', () => {
  const made = [
    madePacket(1, { tag: 1 }),
    madePacket(2, { tag: 2, payloadBytes: 50_000 }),
    madePacket(3, { tag: 2, payloadBytes: 50_000 }),
  ]
  const before = new StoreBench()
  for (const one of made) addWhole(before.store, one, 'link')
  before.store.setDuty(made[0]?.name ?? '', 'own', 'author')
  const random = new SeededRandom(3)
  for (let round = 0; round < 5; round++) {
    const shuffled = records(before.disk)
    for (let i = shuffled.length - 1; i > 0; i--) {
      const [a, b] = [shuffled[i], shuffled[random.below(i + 1)]]
      assert.ok(a && b)
      shuffled.splice(shuffled.indexOf(b), 1, a)
      shuffled.splice(i, 1, b)
    }
    const { store, log } = new StoreBench()
    assert.equal(store.load(shuffled, WALL), 0)
    assert.deepEqual(store.bytes, before.store.bytes)
    for (const { name } of made) {
      const [held, old] = [store.get(name), before.store.get(name)]
      assert.deepEqual(held?.bytes, old?.bytes)
      assert.deepEqual([held?.duty, held?.isWhole], [old?.duty, true])
      assert.deepEqual(held?.id, old?.id)
      if (old?.leaves !== undefined) assert.deepEqual(held?.leaves?.blob(), old.leaves.blob())
    }
    assert.equal(log.length, 0)
  }
})

test('what is over, of no packet or unreadable is deleted on loading, and the rest is kept', () => {
  const [over, good, large] = [
    madePacket(1),
    madePacket(2),
    madePacket(3, { payloadBytes: 50_000 }),
  ]
  const before = new StoreBench()
  for (const one of [over, good, large]) addWhole(before.store, one, 'link')
  const wall = (WALL + 10 * 3_600_000) as UnixMs
  const disk = new Map(before.disk)
  const upper = disk.get(`leaf/${large.name}/1.000000`)
  const packet = disk.get(`packet/${good.name}`)
  assert.ok(upper && packet)
  const stray = 'ab'.repeat(16)
  disk.set('packet/zz', packet)
  disk.set(`packet/${stray}`, packet)
  disk.set(`packet/${'cd'.repeat(16)}`, packet.slice(0, 40))
  disk.set(`packet/${'ef'.repeat(16)}`, Uint8Array.of(1, 9, ...packet.subarray(2)))
  disk.set(`leaf/${large.name}/0.zz`, upper)
  disk.set(`leaf/${stray}/0.000000`, upper)
  disk.delete(`leaf/${large.name}/1.000000`)
  disk.set(`leaf/${large.name}/1.000001`, upper)
  const { store, log } = new StoreBench()
  assert.equal(store.load(records(disk), wall), 6)
  assert.equal(store.count, 3, 'their life is over, but some right clock may take them')
  const { leaves } = store.get(large.name) ?? {}
  assert.deepEqual(leaves?.missing(1, 9), [0, 1])
  assert.equal(leaves?.receivedBytes, 0, 'nothing vouches for the leaves below')
  const left = new Map(disk)
  for (const { key, value } of log) {
    assert.equal(value, undefined)
    left.delete(key)
  }
  assert.deepEqual(
    [...left.keys()].sort(),
    [over, good, large].map((m) => `packet/${m.name}`).sort(),
  )
  const late = new StoreBench()
  assert.equal(late.store.load(records(left), (WALL + 14 * 3_600_000) as UnixMs), 0)
  assert.equal(late.store.count, 0)
  assert.equal(late.log.length, 3)
})

test('loaded packets count against a share of each tag, and make way as others do', () => {
  const before = new StoreBench()
  for (let i = 0; i < 100; i++) {
    const { packet, id } = madePacket(i, { tag: i < 90 ? 0 : i })
    before.store.add(packet, id, 'custody', 'link', WALL)
  }
  const { store } = new StoreBench({ cacheBytes: 50_000 })
  store.load(records(before.disk), WALL)
  assert.equal(store.bytes.cache <= 50_000, true)
  const others = Array.from({ length: 10 }, (_, i) => madePacket(90 + i, { tag: 90 + i }))
  const areKept = () => others.every(({ name }) => store.has(name))
  assert.equal(areKept(), true)
  // Were they all of one share, it would now be the largest for a long time.
  for (let i = 0; i < 100; i++) {
    const { packet, id } = madePacket(1000 + i, { tag: 1000 })
    store.add(packet, id, 'custody', `link ${i % 3}`, WALL)
  }
  assert.equal(areKept(), true)
})

// What was acknowledged as held must be there after a crash at any write.
test('every prefix of the writes loads, and holds every packet that it has', () => {
  const random = new SeededRandom(11)
  const bench = new StoreBench({ cacheBytes: 60_000, ownBytes: 60_000 })
  for (let i = 0; i < 60; i++) {
    const wish = { tag: i % 4, ...(i % 6 === 0 ? { payloadBytes: 3000 + random.below(9000) } : {}) }
    const made = madePacket(i, wish)
    if (i % 3 === 0) bench.store.add(made.packet, made.id, 'own', `author ${i % 5}`, WALL)
    addWhole(bench.store, made, `link ${i % 5}`)
    if (i % 7 === 0) bench.store.setDuty(made.name, 'passing', 'link')
    if (i % 11 === 0) bench.store.remove(made.name)
  }
  const disk = new Map<string, Uint8Array>()
  let evictions = 0
  for (const { key, value } of bench.log) {
    if (value === undefined) disk.delete(key)
    else disk.set(key, value)
    if (value === undefined) evictions++
    const again = new StoreBench({ cacheBytes: 60_000, ownBytes: 60_000 })
    assert.equal(again.store.load(records(disk), WALL), 0)
    const names = [...disk.keys()].filter((key) => key.startsWith('packet/'))
    assert.equal(again.store.count, names.length)
    assert.deepEqual(again.gone, [])
  }
  assert.equal(evictions > 20, true)
})

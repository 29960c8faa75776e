import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { UnixMs } from '../../io.ts'
import { SHELF_ENTRIES_MAX } from './fair-shelf.ts'
import type { Duty } from './packet-store.ts'
import { madePacket, StoreBench, WALL } from './packets.fixture.ts'
import { TOMBSTONES_MAX } from './tombstones.ts'

const HOUR_MS = 3_600_000

function later(ms: number): UnixMs {
  return (WALL + ms) as UnixMs
}

test('a packet is found by its name, its short name and its tag, and as it was', () => {
  const { store, disk } = new StoreBench()
  const made = [0, 1, 2].map((number) => madePacket(number, { tag: number % 2 }))
  for (const { packet, id } of made) store.add(packet, id, 'custody', 'link', WALL)
  const [first] = made
  assert.ok(first)
  const held = store.get(first.name)
  assert.equal(store.has(first.name), true)
  assert.equal(store.byShort(first.name.slice(0, 16)), held)
  assert.deepEqual(held?.packet.bytes, first.packet.bytes)
  assert.deepEqual(held?.id, first.id)
  assert.deepEqual([held?.tag, held?.duty, held?.isWhole], [first.tag, 'custody', true])
  assert.deepEqual(
    store.withTag(first.tag).map(({ name }) => name),
    [made[0]?.name, made[2]?.name],
  )
  assert.equal(store.count, 3)
  assert.equal(disk.size, 3)
  assert.equal(store.withTag('none').length, 0)
})

test('what is kept is a copy', () => {
  const { store } = new StoreBench()
  const { packet, id, name } = madePacket(1)
  const before = packet.bytes.slice()
  store.add(packet, id, 'own', 'author', WALL)
  packet.bytes.fill(0xff)
  id.fill(0xff)
  assert.deepEqual(store.get(name)?.bytes, before)
  assert.notDeepEqual(store.get(name)?.id, id)
})

test('a packet that is held already is not taken twice', () => {
  const { store, log } = new StoreBench()
  const { packet, id } = madePacket(1)
  const held = store.add(packet, id, 'custody', 'link', WALL)
  assert.equal(store.add(packet, id, 'own', 'other', WALL), held)
  assert.equal(held?.duty, 'custody')
  assert.equal(log.length, 1)
})

// Fault 1 of v6: a full cache threw away what came last, and froze.
test('a full cache gives up the oldest of a share and never the newest', () => {
  const { store } = new StoreBench({ cacheBytes: 100_000 })
  const names: string[] = []
  for (let number = 0; number < 500; number++) {
    const { packet, id, name } = madePacket(number)
    names.push(name)
    assert.ok(store.add(packet, id, 'custody', 'link', WALL))
    assert.equal(store.has(name), true)
    assert.equal(store.bytes.cache <= 100_000, true)
  }
  assert.deepEqual(
    names.filter((name) => store.has(name)),
    names.slice(-store.count),
  )
  assert.equal(store.count > 50, true)
  assert.equal(store.isSpent(names[0] ?? ''), true)
})

// Fault 2 of v6: the time was never passed on, so nothing expired; and each hop gave a new life.
test('a packet is dropped half a day after its life, which began with its author', () => {
  const { store, disk, gone } = new StoreBench()
  const createdS = WALL / 1000 - 1800
  const old = madePacket(1, { createdS, lifeMinutes: 60 })
  const young = madePacket(2, { lifeMinutes: 600 })
  store.add(old.packet, old.id, 'passing', 'link', WALL)
  store.add(young.packet, young.id, 'own', 'author', WALL)
  const at = store.nextExpiry()
  const overMs = createdS * 1000 + HOUR_MS + 12 * HOUR_MS
  assert.ok(at !== undefined && at > overMs && at <= overMs + 60_000)
  assert.deepEqual(store.expire((at - 1) as UnixMs), [])
  assert.deepEqual(
    store.expire(at).map(({ name }) => name),
    [old.name],
  )
  assert.equal(store.has(old.name), false)
  assert.equal(store.isSpent(old.name), true)
  assert.deepEqual([...disk.keys()], [`packet/${young.name}`])
  assert.deepEqual(gone, [old.name])
  const end = store.nextExpiry()
  assert.ok(end !== undefined && end > at)
  store.expire(end)
  assert.equal(store.count, 0)
})

// Fault 3 of v6: a packet was charged its content twice, so that 16 MB held 6,604.
test('a packet is charged its bytes once, and 16 MB hold 13,000 of 500 bytes', (t) => {
  const { store } = new StoreBench({ cacheBytes: 16 * 1024 * 1024, write: () => {} })
  const startedMs = performance.now()
  for (let number = 0; number < 20_000; number++) {
    const { packet, id } = madePacket(number, { tag: number % 50, sizeBytes: 496 })
    store.add(packet, id, 'custody', `link ${number % 10}`, WALL)
  }
  t.diagnostic(`${((performance.now() - startedMs) / 20).toFixed(1)} µs each, making them included`)
  assert.equal(store.count >= 13_000, true, `${store.count}`)
  assert.equal(store.bytes.cache <= 16 * 1024 * 1024, true)
})

test('a tombstone lasts a day beyond its packet, and there are at most so many', () => {
  const { store } = new StoreBench({ cacheBytes: 2000, write: () => {} })
  const first = madePacket(0)
  store.add(first.packet, first.id, 'custody', 'link', WALL)
  store.remove(first.name)
  assert.equal(store.isSpent(first.name), true)
  assert.equal(store.add(first.packet, first.id, 'own', 'author', WALL), undefined)
  store.expire(later(36 * HOUR_MS))
  assert.equal(store.isSpent(first.name), true)
  store.expire(later((1 + 36) * HOUR_MS + 60_000))
  assert.equal(store.isSpent(first.name), false)
  assert.equal(store.nextExpiry(), undefined)
  for (let number = 1; number < TOMBSTONES_MAX + 1000; number++) {
    const { packet, id } = madePacket(number)
    store.add(packet, id, 'custody', 'link', WALL)
    assert.equal(store.spentCount <= TOMBSTONES_MAX, true)
  }
  assert.equal(store.spentCount, TOMBSTONES_MAX)
  const kinds = { held: 0, spent: 0 }
  for (const { isHeld } of store.entries()) kinds[isHeld ? 'held' : 'spent']++
  assert.deepEqual(kinds, { held: 1, spent: TOMBSTONES_MAX })
})

test('what was not kept for strangers is taken again once its tag is forgotten as spent', () => {
  const { store } = new StoreBench()
  const [ours, theirs] = [madePacket(1, { tag: 1 }), madePacket(2, { tag: 2 })]
  for (const { packet, id, name } of [ours, theirs]) {
    store.add(packet, id, 'passing', 'link', WALL)
    store.remove(name)
  }
  store.forgetSpent(ours.tag)
  assert.ok(store.add(ours.packet, ours.id, 'own', 'author', WALL))
  assert.equal(store.add(theirs.packet, theirs.id, 'own', 'author', WALL), undefined)
})

test('a packet larger than its budget is refused, and nobody goes for it', () => {
  const { store } = new StoreBench({ cacheBytes: 1300, ownBytes: 1300 })
  const [small, large] = [madePacket(1), madePacket(2, { sizeBytes: 1168 })]
  assert.ok(store.add(small.packet, small.id, 'passing', 'link', WALL))
  assert.equal(store.add(large.packet, large.id, 'custody', 'link', WALL), undefined)
  assert.equal(store.has(small.name), true)
  assert.equal(store.isSpent(large.name), false)
})

test('of two packets with one short name the first is found by it', () => {
  const { store } = new StoreBench()
  const [a, b] = [madePacket(1), madePacket(2)]
  const twin = b.id.slice()
  twin.set(a.id.subarray(0, 8))
  store.add(a.packet, a.id, 'custody', 'link', WALL)
  const other = store.add(b.packet, twin, 'custody', 'link', WALL)
  assert.equal(store.byShort(a.name.slice(0, 16))?.name, a.name)
  store.remove(other?.name ?? '')
  assert.equal(store.byShort(a.name.slice(0, 16))?.name, a.name)
})

test('a change of duty moves a packet to the other budget, and to disk', () => {
  const { store, disk } = new StoreBench()
  const { packet, id, name } = madePacket(1)
  store.add(packet, id, 'passing', 'link', WALL)
  const { cache } = store.bytes
  store.setDuty(name, 'own', 'author')
  assert.deepEqual(store.bytes, { own: cache, cache: 0 })
  assert.equal(store.get(name)?.duty, 'own')
  assert.equal(disk.get(`packet/${name}`)?.[1], 0)
  store.setDuty(name, 'custody', 'link')
  assert.deepEqual(store.bytes, { own: 0, cache })
  assert.equal(disk.get(`packet/${name}`)?.[1], 1)
})

test('a packet that moves into a full budget stays, and another goes', () => {
  const { store } = new StoreBench({ cacheBytes: 10_000, ownBytes: 10_000 })
  const made = Array.from({ length: 20 }, (_, number) => madePacket(number))
  for (const { packet, id } of made.slice(0, 10)) store.add(packet, id, 'own', 'author', WALL)
  const moved = made[10]
  assert.ok(moved)
  store.add(moved.packet, moved.id, 'passing', 'link', WALL)
  store.setDuty(moved.name, 'own', 'author')
  assert.equal(store.has(moved.name), true)
  assert.equal(store.bytes.own <= 10_000, true)
})

test('what nobody takes any more goes before what is only passing, and that before custody', () => {
  const { store } = new StoreBench({ cacheBytes: 20 * 1264, write: () => {} })
  const add = (number: number, duty: Duty, lifeMinutes: number) => {
    const { packet, id, name } = madePacket(number, { lifeMinutes, sizeBytes: 496 })
    store.add(packet, id, duty, `link ${number}`, number < 99 ? WALL : later(HOUR_MS))
    return name
  }
  const over = Array.from({ length: 2 }, (_, i) => add(i, 'custody', 30))
  const kept = Array.from({ length: 16 }, (_, i) => add(10 + i, 'custody', 600))
  const passing = Array.from({ length: 2 }, (_, i) => add(40 + i, 'passing', 600))
  assert.equal(store.count, 20)
  const isHeld = (name: string) => store.has(name)
  const goes = (gone: readonly string[]) => {
    const before = store.count
    const newer = add(99 + before + store.spentCount, 'custody', 600)
    assert.equal(store.count, before)
    assert.equal(isHeld(newer), true)
    assert.equal(gone.some(isHeld), false)
  }
  // Their life is over by our clock, though others may still take them.
  store.expire(later(HOUR_MS))
  assert.equal(store.count, 20)
  goes(over.slice(0, 1))
  assert.deepEqual(over.map(isHeld), [false, true])
  goes(over)
  assert.deepEqual(passing.map(isHeld), [true, true])
  goes(passing.slice(0, 1))
  goes(passing)
  assert.equal(kept.every(isHeld), true)
})

test('entries are bounded too: in a huge budget a packet is charged its part of it', () => {
  const { store } = new StoreBench({ ownBytes: 100 * SHELF_ENTRIES_MAX * 1000, write: () => {} })
  const { packet, id } = madePacket(1)
  store.add(packet, id, 'own', 'author', WALL)
  assert.equal(store.bytes.own, 100_000)
})

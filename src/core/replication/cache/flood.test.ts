import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Duty } from './packet-store.ts'
import { type MadePacket, madePacket, StoreBench, WALL } from './packets.fixture.ts'

/** What a full cache must withstand: whoever uses less than a fair share keeps all of it. */
const CACHE_BYTES = 2_600_000
const FLOOD_PACKETS = 6_000
const FLOOD_TAGS = 1_000_000

interface Flood {
  readonly tag: (number: number) => number
  readonly source: (number: number) => string
  readonly duty?: Duty
}

/** Ten others with so many packets each; then the flood. Returns the others' packets. */
function flooded(packetsEach: number, { tag, source, duty = 'custody' }: Flood) {
  const bench = new StoreBench({ cacheBytes: CACHE_BYTES, ownBytes: CACHE_BYTES, write: () => {} })
  const { store } = bench
  const others: MadePacket[] = []
  for (let number = 0; number < 10 * packetsEach; number++) {
    const made = madePacket(number, { tag: number % 10 })
    store.add(made.packet, made.id, duty, `other ${number % 10}`, WALL)
    others.push(made)
  }
  for (let number = 0; number < FLOOD_PACKETS; number++) {
    const { packet, id, name } = madePacket(FLOOD_TAGS + number, { tag: tag(number) })
    assert.ok(store.add(packet, id, duty, source(number), WALL))
    assert.equal(store.has(name), true)
    const { own, cache } = store.bytes
    assert.equal(own <= CACHE_BYTES && cache <= CACHE_BYTES, true)
  }
  return { store, others }
}

function assertKept({ store, others }: ReturnType<typeof flooded>): void {
  for (const { name, packet } of others)
    assert.deepEqual(store.get(name)?.bytes, packet.bytes, 'kept and served')
  // The cache is full of the flood, so something had to go.
  assert.equal(store.spentCount > 0, true)
}

test('a flood from one link leaves the others what they have', () => {
  assertKept(flooded(100, { tag: (n) => FLOOD_TAGS + (n % 7), source: () => 'flood' }))
})

test('a flood from one link under a tag each leaves the others what they have', () => {
  assertKept(flooded(100, { tag: (n) => FLOOD_TAGS + n, source: () => 'flood' }))
})

test('a flood of one author does the same among our own packets', () => {
  const flood = { tag: () => 3, source: () => 'flood', duty: 'own' as const }
  assertKept(flooded(100, flood))
})

test('a flood of one tag through the link of another leaves the other tags of that link', () => {
  const flood = { tag: () => FLOOD_TAGS, source: (n: number) => `other ${n % 10}` }
  assertKept(flooded(90, flood))
})

test('a flood from 1,000 links leaves those who have less than each of them', () => {
  assertKept(flooded(1, { tag: () => FLOOD_TAGS, source: (n) => `flood ${n % 1000}` }))
})

test('a flood from 1,000 links under 1,000 tags does so too', () => {
  const tag = (n: number) => FLOOD_TAGS + (n % 999)
  assertKept(flooded(1, { tag, source: (n) => `flood ${n % 1000}` }))
})

test('a flood of 1,000 authors does so too among our own packets', () => {
  const source = (n: number) => `flood ${n % 1000}`
  assertKept(flooded(1, { tag: () => 3, source, duty: 'own' }))
})

test('a flood that only passes through takes nothing from custody', () => {
  const { store } = new StoreBench({ cacheBytes: CACHE_BYTES, write: () => {} })
  const kept: string[] = []
  for (let number = 0; number < 1500; number++) {
    const { packet, id, name } = madePacket(number)
    store.add(packet, id, 'custody', 'one', WALL)
    kept.push(name)
  }
  for (let number = 0; number < FLOOD_PACKETS; number++) {
    const { packet, id } = madePacket(FLOOD_TAGS + number, { tag: number })
    store.add(packet, id, 'passing', `flood ${number % 100}`, WALL)
  }
  assert.equal(
    kept.every((name) => store.has(name)),
    true,
  )
})

test('neither budget takes anything from the other', () => {
  const { store } = new StoreBench({ cacheBytes: 50_000, ownBytes: 50_000 })
  const own = madePacket(1)
  const cached = madePacket(2)
  store.add(own.packet, own.id, 'own', 'author', WALL)
  store.add(cached.packet, cached.id, 'passing', 'link', WALL)
  for (let number = 10; number < 500; number++) {
    const { packet, id } = madePacket(number)
    store.add(packet, id, number % 2 === 0 ? 'own' : 'custody', 'flood', WALL)
    if (number === 100) assert.equal(store.isSpent(cached.name), true)
  }
  assert.equal(store.has(own.name), true, 'its author has less than the flood')
})

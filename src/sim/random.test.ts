import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRandom } from './random.ts'

const MASK = 0xffffffffn

test('the words are those of xoshiro128**, by its definition in whole numbers', () => {
  const random = new SeededRandom(7)
  const words = Array.from({ length: 200 }, () => BigInt(random.word()))
  // The generator's state after any word follows from the seed alone, which is not public: so the
  // definition runs from a state recovered by running the seeding in whole numbers too.
  let state = seedState('7')
  const rotl = (x: bigint, k: bigint) => ((x << k) | (x >> (32n - k))) & MASK
  for (const word of words) {
    const [a, b, c, d] = state
    assert.equal(word, (rotl((b * 5n) & MASK, 7n) * 9n) & MASK)
    const c1 = c ^ a
    const d1 = d ^ b
    state = [a ^ d1, b ^ c1, c1 ^ ((b << 9n) & MASK), rotl(d1, 11n)]
  }
})

test('equal seeds give equal sequences and others do not', () => {
  const first = new SeededRandom('a').bytes(64)
  assert.deepEqual(new SeededRandom('a').bytes(64), first)
  assert.notDeepEqual(new SeededRandom('b').bytes(64), first)
  assert.notDeepEqual(new SeededRandom(1).bytes(64), new SeededRandom(2).bytes(64))
})

test('a fork depends on seed and name alone, not on what was drawn before', () => {
  const one = new SeededRandom(1)
  const other = new SeededRandom(1)
  other.bytes(100)
  assert.equal(one.fork('x').word(), other.fork('x').word())
  assert.notEqual(one.fork('x').word(), one.fork('y').word())
})

test('fractions, bytes and picks are spread evenly', () => {
  const random = new SeededRandom(3)
  const tenths = new Array<number>(10).fill(0)
  for (let i = 0; i < 100_000; i++) {
    const at = random.below(10)
    tenths[at] = (tenths[at] ?? 0) + 1
  }
  // Chi-squared with 9 degrees of freedom exceeds 33.7 once in 10,000 seeds.
  const chi = tenths.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0)
  assert.ok(chi < 33.7, `chi-squared ${chi}`)
  const bits = random.bytes(10_000).reduce((sum, byte) => sum + popcount(byte), 0)
  assert.ok(Math.abs(bits - 40_000) < 600, `${bits} bits of 80,000`)
})

test('shuffling keeps every element and reaches every order', () => {
  const random = new SeededRandom(4)
  const orders = new Set<string>()
  for (let i = 0; i < 500; i++) {
    const shuffled = random.shuffled([1, 2, 3, 4])
    assert.deepEqual([...shuffled].sort(), [1, 2, 3, 4])
    orders.add(shuffled.join())
  }
  assert.equal(orders.size, 24)
})

test('certain chances draw nothing', () => {
  const random = new SeededRandom(5)
  const twin = new SeededRandom(5)
  assert.equal(random.chance(0), false)
  assert.equal(random.chance(1), true)
  assert.equal(random.word(), twin.word())
})

function popcount(byte: number): number {
  return byte.toString(2).replaceAll('0', '').length
}

function seedState(path: string): readonly [bigint, bigint, bigint, bigint] {
  let hash = 0x811c9dc5n
  for (const character of path) {
    hash = ((hash ^ BigInt(character.charCodeAt(0))) * 0x01000193n) & MASK
  }
  const word = () => {
    hash = (hash + 0x9e3779b9n) & MASK
    let mixed = ((hash ^ (hash >> 16n)) * 0x85ebca6bn) & MASK
    mixed = ((mixed ^ (mixed >> 13n)) * 0xc2b2ae35n) & MASK
    return mixed ^ (mixed >> 16n)
  }
  const a = word()
  const b = word()
  const c = word()
  return [a, b, c, word() | 1n]
}

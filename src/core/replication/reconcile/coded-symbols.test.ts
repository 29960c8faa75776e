import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { sodiumNative } from '../../../crypto/sodium-native.ts'
import { SeededRandom } from '../../seeded.fixture.ts'
import { toHex } from '../../wire/bytes.ts'
import { CodedSymbols, chanceOf, checkOf, nextIndex, SymbolEncoder } from './coded-symbols.ts'
import { randomNames } from './pair.fixture.ts'
import { idKey, SaltedSet } from './salted-set.ts'
import { SetDifference } from './set-difference.ts'

const crypto = sodiumNative()
const KEY = new Uint8Array(16).fill(3)
const run = { seed: 20_240_229, numRuns: 150 }

function setOf(names: readonly Uint8Array[], key = KEY): SaltedSet {
  return new SaltedSet(crypto, key, names)
}

/** Adds symbols, `step` at a time, until the difference is known; gives up at `max`. */
function decode(ours: SaltedSet, theirs: SaltedSet, step: number, max: number): SetDifference {
  const difference = new SetDifference(ours, theirs.size)
  const encoder = new SymbolEncoder(theirs)
  while (!difference.isDone && difference.symbols < max)
    difference.add(encoder.take(difference.symbols + step))
  return difference
}

test('symbols made in steps are those made at once, and come back from their bytes', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 300 }),
      fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 8 }),
      fc.integer(),
      (size, steps, seed) => {
        const set = setOf(randomNames(new SeededRandom(seed), size))
        const stepwise = new SymbolEncoder(set)
        let end = 0
        let hex = ''
        for (const step of steps) {
          const bytes = stepwise.take(end + step).toBytes()
          hex += toHex(CodedSymbols.fromBytes(end, bytes).toBytes())
          end += step
        }
        assert.equal(hex, toHex(new SymbolEncoder(set).take(end).toBytes()))
      },
    ),
    run,
  )
})

test('an item is in each symbol as often as the theory says', () => {
  const [items, symbols] = [20_000, 64]
  const random = new SeededRandom(11)
  const counts = new Uint32Array(symbols)
  for (let item = 0; item < items; item++) {
    const [high, low] = [random.below(2 ** 16), Math.floor(random.next() * 2 ** 32)]
    let index = 0
    for (let k = 1; index < symbols; index = nextIndex(index, high, low, k++))
      counts[index] = (counts[index] ?? 0) + 1
  }
  for (const [index, count] of counts.entries()) {
    const chance = chanceOf(index)
    const sigma = Math.sqrt(items * chance * (1 - chance))
    assert.ok(Math.abs(count - items * chance) <= 5 * sigma, `symbol ${index}: ${count}`)
  }
})

test('the check of an XOR of ids is not the XOR of their checks', () => {
  const random = new SeededRandom(5)
  const draw = (): [number, number] => [random.below(2 ** 16), Math.floor(random.next() * 2 ** 32)]
  for (let i = 0; i < 10_000; i++) {
    const [a, b, c] = [draw(), draw(), draw()]
    const sum = checkOf(...a) ^ checkOf(...b) ^ checkOf(...c)
    assert.notEqual(checkOf(a[0] ^ b[0] ^ c[0], (a[1] ^ b[1] ^ c[1]) >>> 0), sum >>> 0)
  }
})

test('what is decoded is the naive difference of any two sets', () => {
  const size = fc.integer({ min: 0, max: 120 })
  const step = fc.integer({ min: 1, max: 50 })
  fc.assert(
    fc.property(size, size, size, step, fc.integer(), (both, mine, yours, step, seed) => {
      const names = randomNames(new SeededRandom(seed), both + mine + yours)
      const ours = setOf(names.slice(0, both + mine))
      const theirs = setOf([...names.slice(0, both), ...names.slice(both + mine)])
      const difference = decode(ours, theirs, step, 4_000)
      assert.ok(difference.isDone)
      const keyOf = (name: Uint8Array) => setOf([name]).keyAt(0)
      const sorted = (keys: Iterable<number>) => [...keys].sort((a, b) => a - b)
      const mineKeys = names.slice(both, both + mine).map(keyOf)
      assert.deepEqual(sorted(difference.keys('ours')), sorted(mineKeys))
      assert.deepEqual(
        sorted(difference.keys('theirs')),
        sorted(names.slice(both + mine).map(keyOf)),
      )
    }),
    run,
  )
})

test('the estimate of a difference is near it once there are symbols, whichever side it is on', () => {
  const names = randomNames(new SeededRandom(21), 3_000)
  for (const [mine, yours] of [
    [0, 1_000],
    [1_000, 0],
    [500, 500],
    [100, 900],
  ] as const) {
    const ours = setOf(names.slice(0, 1_000 + mine))
    const theirs = setOf([...names.slice(0, 1_000), ...names.slice(2_000, 2_000 + yours)])
    const { estimate } = decode(ours, theirs, 200, 200)
    assert.ok(estimate > 700 && estimate < 1_400, `${mine} + ${yours}: ${estimate.toFixed(0)}`)
  }
})

test('symbols that nobody made end in nothing found, with bounded work', () => {
  const random = new SeededRandom(31)
  const ours = setOf(randomNames(random, 50))
  for (let i = 0; i < 50; i++) {
    const difference = new SetDifference(ours, random.below(100))
    difference.add(CodedSymbols.fromBytes(0, random.bytes(500 * 10)))
    assert.equal(difference.isDone, false)
  }
})

test('symbols made so that peeling never ends are given up', () => {
  // An item alone in each symbol, most of which it is not mapped to.
  const symbols = new CodedSymbols(0, 300)
  const random = new SeededRandom(41)
  for (let index = 0; index < 300; index++) {
    const [high, low] = [random.below(2 ** 16), Math.floor(random.next() * 2 ** 32)]
    symbols.toggle(index, high, low, checkOf(high, low), index % 2 === 0 ? 1 : -1)
  }
  const difference = new SetDifference(setOf([]), 10)
  difference.add(symbols)
  assert.equal(difference.isDone, false)
  assert.ok(difference.keys('theirs').size + difference.keys('ours').size <= 300)
  // One item in symbol 0 alone, not in the others that it is mapped to: to take it out puts it there,
  // to take it out there puts it back.
  const one = new CodedSymbols(0, 40)
  const [high, low] = [7, 7]
  one.toggle(0, high, low, checkOf(high, low), 1)
  const endless = new SetDifference(setOf([]), 1)
  endless.add(one)
  assert.ok(endless.isHopeless && !endless.isDone)
  assert.deepEqual(endless.keys('theirs'), new Set([idKey(high, low)]))
})

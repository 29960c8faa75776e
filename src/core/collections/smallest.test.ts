import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRandom } from '../seeded.fixture.ts'
import { smallest } from './smallest.ts'

test('the smallest are those that sorting all of them puts first', () => {
  const random = new SeededRandom(3)
  for (let round = 0; round < 300; round++) {
    const all = Array.from({ length: random.below(60) }, (_, i) => ({ i, key: random.below(30) }))
    const sorted = all.toSorted((a, b) => a.key - b.key)
    for (const count of [0, 1, 5, 100])
      assert.deepEqual(
        smallest(all, count, ({ key }) => key),
        sorted.slice(0, count),
      )
  }
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRandom } from '../seeded.fixture.ts'
import { PortPermutation } from './port-permutation.ts'

function ports(first: number, last: number, limit = last - first + 2, seed = 1): number[] {
  const permutation = new PortPermutation(new SeededRandom(seed), first, last)
  const given: number[] = []
  for (let i = 0; i < limit; i++) {
    const port = permutation.next()
    if (port === undefined) break
    given.push(port)
  }
  return given
}

test('every port of a range comes once', () => {
  for (const [first, last] of [
    [1_024, 65_535],
    [5_000, 5_000],
    [5_000, 5_001],
    [5_000, 5_002],
    [2_000, 2_511],
    [30_000, 38_190],
  ] as const) {
    const given = ports(first, last)
    assert.equal(given.length, last - first + 1, `${first} to ${last}: how many`)
    assert.equal(new Set(given).size, given.length, `${first} to ${last}: each once`)
    assert.equal(Math.min(...given), first, `${first} to ${last}: lowest`)
    assert.equal(Math.max(...given), last, `${first} to ${last}: highest`)
  }
})

test('wherever a block of 512 ports lies among 8,191, few steps meet it', () => {
  const given = ports(30_000, 38_190, 64)
  for (let base = 30_000; base <= 38_190 - 511; base += 7) {
    const met = given.filter((port) => port >= base && port < base + 512).length
    assert.ok(met >= 2, `the block from ${base} on was met ${met} times in 64 steps`)
  }
})

test('two searches seldom begin at the same port', () => {
  const starts = new Set(Array.from({ length: 50 }, (_, seed) => ports(1_024, 65_535, 1, seed)[0]))
  assert.ok(starts.size >= 49, `${starts.size} starts of 50`)
})

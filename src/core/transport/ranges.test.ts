import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RangeSet } from './ranges.ts'

const LIMIT = 64
const step = fc.record({
  how: fc.constantFrom('add', 'add', 'add', 'remove'),
  start: fc.nat(LIMIT - 1),
  length: fc.integer({ min: 1, max: 12 }),
})

function boundsOf(ranges: RangeSet): number[] {
  return Array.from({ length: ranges.size }, (_, i) => [ranges.start(i), ranges.end(i)]).flat()
}

/** The ranges of a plain set, the slow way. */
function naiveBounds(numbers: ReadonlySet<number>, from = 0, to = 2 * LIMIT): number[] {
  const bounds: number[] = []
  for (let i = from; i < to; i++) {
    if (!numbers.has(i)) continue
    if (i === from || !numbers.has(i - 1)) bounds.push(i)
    if (i === to - 1 || !numbers.has(i + 1)) bounds.push(i + 1)
  }
  return bounds
}

test('a range set holds what a plain set holds', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const ranges = new RangeSet()
      const numbers = new Set<number>()
      for (const { how, start, length } of steps) {
        const end = start + length
        const before = numbers.size
        const sizeBefore = ranges.size
        if (how === 'add') {
          const touches = ranges.touches(start, end)
          for (let i = start; i < end; i++) numbers.add(i)
          assert.equal(ranges.add(start, end), numbers.size - before)
          assert.equal(touches, ranges.size <= sizeBefore)
        } else {
          for (let i = start; i < end; i++) numbers.delete(i)
          ranges.remove(start, end)
        }
        assert.deepEqual(boundsOf(ranges), naiveBounds(numbers))
        assert.equal(ranges.has(start), numbers.has(start))
        const gaps = new Set(Array.from({ length: 2 * LIMIT }, (_, i) => i))
        for (const number of numbers) gaps.delete(number)
        assert.deepEqual(ranges.missing(start, end), naiveBounds(gaps, start, end))
      }
    }),
    { seed: 1, numRuns: 500 },
  )
})

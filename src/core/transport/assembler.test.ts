import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Assembler } from './assembler.ts'
import { PieceBudget } from './flow.ts'

const CONTENT = Uint8Array.from({ length: 200 }, (_, i) => i)
const piece = fc.tuple(fc.nat(CONTENT.length - 1), fc.integer({ min: 0, max: 40 }))

function readAll(assembler: Assembler): number[] {
  const bytes: number[] = []
  for (let data = assembler.read(); data !== undefined; data = assembler.read()) bytes.push(...data)
  return bytes
}

test('overlapping pieces in any order become the bytes in order', () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
      const budget = new PieceBudget(1000)
      const assembler = new Assembler(budget)
      const here = new Set<number>()
      const read: number[] = []
      for (const [start, length] of pieces) {
        const data = CONTENT.subarray(start, start + length)
        assert.equal(assembler.insert(start, data), true)
        for (let i = start; i < start + data.length; i++) here.add(i)
        read.push(...readAll(assembler))
        let prefix = 0
        while (here.has(prefix)) prefix++
        assert.equal(assembler.offset, prefix)
        assert.equal(budget.used <= here.size - prefix, true)
      }
      assert.deepEqual(read, Array.from(CONTENT.subarray(0, assembler.offset)))
      assembler.clear()
      assert.equal(budget.used, 0)
    }),
    { seed: 3, numRuns: 500 },
  )
})

test('a full budget refuses what must wait and takes what comes next', () => {
  const budget = new PieceBudget(3)
  const assembler = new Assembler(budget)
  for (const start of [10, 20, 30])
    assert.equal(assembler.insert(start, CONTENT.subarray(0, 1)), true)
  assert.equal(assembler.insert(40, CONTENT.subarray(0, 1)), false)
  assert.ok(assembler.insert(20, CONTENT.subarray(0, 1)), 'known bytes need no room')
  assert.equal(assembler.insert(0, CONTENT.subarray(0, 10)), true)
  assert.equal(readAll(assembler).length, 11)
  assert.equal(budget.used, 2)
})

test('the first copy of a byte stands', () => {
  const assembler = new Assembler(new PieceBudget(10))
  assembler.insert(2, Uint8Array.of(2, 3))
  assembler.insert(0, Uint8Array.of(9, 9, 9, 9, 9))
  assert.deepEqual(readAll(assembler), [9, 9, 2, 3, 9])
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { expandNumber, numberLength } from './packet-number.ts'

const MAX = Number.MAX_SAFE_INTEGER

test('the examples of RFC 9000 appendix A are met', () => {
  assert.equal(numberLength(0xac5c02, 0xabe8b3), 2)
  assert.equal(numberLength(0xace8fe, 0xabe8b3), 3)
  assert.equal(expandNumber(0x9b32, 2, 0xa82f30ea), 0xa82f9b32)
})

test('of two numbers equally far from the expected one, the higher is meant', () => {
  assert.equal(expandNumber(72, 1, 455), 584)
  assert.equal(expandNumber(172, 1, 299), 428)
  assert.equal(expandNumber(173, 1, 299), 173)
})

test('a number is as short as its distance from the acknowledged one allows', () => {
  assert.equal(numberLength(0, -1), 1)
  assert.equal(numberLength(127, -1), 1)
  assert.equal(numberLength(128, -1), 2)
  assert.equal(numberLength(1000 + 0x8000, 1000), 2)
  assert.equal(numberLength(1001 + 0x8000, 1000), 3)
  assert.equal(numberLength(MAX, MAX - 0x800001), 4)
})

test('a receiver with anything between the acknowledged number and this one expands it', () => {
  const numbers = fc.tuple(
    fc.oneof(fc.integer({ min: -1, max: 300 }), fc.integer({ min: -1, max: MAX - 2 ** 31 })),
    fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 2 ** 31 })),
    fc.double({ min: 0, max: 1, noNaN: true }),
  )
  fc.assert(
    fc.property(numbers, ([acked, span, share]) => {
      const number = acked + span
      const length = numberLength(number, acked)
      const highest = acked + Math.floor((span - 1) * share)
      assert.equal(expandNumber(number % 256 ** length, length, highest), number)
    }),
    { seed: 3, numRuns: 2000 },
  )
})

test('expansion gives a safe non-negative number with the same low bytes, or nothing', () => {
  const highest = fc.oneof(
    fc.integer({ min: -1, max: 1000 }),
    fc.integer({ min: 2 ** 32 - 300, max: 2 ** 32 + 300 }),
    fc.integer({ min: MAX - 2 ** 33, max: MAX }),
    fc.integer({ min: MAX - 300, max: MAX }),
  )
  const length = fc.constantFrom(1 as const, 2 as const, 3 as const, 4 as const)
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), length, highest, (raw, size, top) => {
      const truncated = raw % 256 ** size
      const number = expandNumber(truncated, size, top)
      if (number === undefined) return assert.ok(top > MAX - 2 ** 32)
      assert.ok(Number.isSafeInteger(number) && number >= 0)
      assert.equal(number % 256 ** size, truncated)
    }),
    { seed: 4, numRuns: 3000 },
  )
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { REPLAY_WINDOW, ReplayWindow } from './replay.ts'

/** What a window must say, from a set of all numbers ever accepted. */
class NaiveWindow {
  readonly #seen = new Set<number>()
  highest = -1

  check(number: number): boolean {
    return number > this.highest - REPLAY_WINDOW && !this.#seen.has(number)
  }

  accept(number: number): void {
    this.#seen.add(number)
    this.highest = Math.max(this.highest, number)
  }
}

function play(numbers: Iterable<number>): ReplayWindow {
  const [window, naive] = [new ReplayWindow(), new NaiveWindow()]
  for (const number of numbers) {
    assert.equal(window.check(number), naive.check(number), `number ${number}`)
    if (!naive.check(number)) continue
    window.accept(number)
    naive.accept(number)
    assert.equal(window.check(number), false)
    assert.equal(window.highest, naive.highest)
  }
  return window
}

test('a window says what a set of all numbers says', () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.integer({ min: -40, max: 40 }) },
    { weight: 2, arbitrary: fc.integer({ min: -300, max: 300 }) },
    { weight: 1, arbitrary: fc.integer({ min: -8300, max: 8300 }) },
    { weight: 1, arbitrary: fc.integer({ min: -20_000, max: 40_000 }) },
  )
  const start = fc.oneof(
    fc.integer({ min: 0, max: 300 }),
    fc.integer({ min: 0, max: 2 ** 40 }),
    fc.constant(2 ** 32 - 100),
    fc.constant(Number.MAX_SAFE_INTEGER - 50_000_000),
  )
  fc.assert(
    fc.property(start, fc.array(step, { maxLength: 400 }), (first, steps) => {
      let at = first
      play(steps.map((step) => (at = Math.max(0, at + step))))
    }),
    { seed: 31, numRuns: 300 },
  )
})

test('every number of the window counts once, the one below it no more', () => {
  const top = 100_000
  const window = new ReplayWindow()
  window.accept(top)
  for (let number = top - 1; number > top - REPLAY_WINDOW; number--) {
    assert.equal(window.check(number), true)
    window.accept(number)
    assert.equal(window.check(number), false)
  }
  assert.equal(window.check(top - REPLAY_WINDOW), false)
})

test('no number of the window is forgotten or made up when the window grows or moves', () => {
  const jumps = [...Array.from({ length: 66 }, (_, i) => i + 1), 255, 256, 257, 8191, 8192, 8193]
  for (const count of [1, 31, 32, 255, 256, 257, 4096, 8192, 8193, 10_001]) {
    for (const jump of jumps) {
      const window = new ReplayWindow()
      for (let number = 0; number < count; number++) window.accept(number)
      const top = count - 1 + jump
      window.accept(top)
      for (let number = Math.max(0, top - REPLAY_WINDOW - 2); number < top; number++) {
        const isFresh = number >= count && number > top - REPLAY_WINDOW
        if (window.check(number) !== isFresh) assert.fail(`${number} after ${count} and ${top}`)
      }
    }
  }
})

test('datagrams in order, twice each, count once each through several wraps', () => {
  const numbers = Array.from({ length: 60_000 }, (_, i) => i >> 1)
  assert.equal(play(numbers).highest, 29_999)
})

test('numbers up to the largest are told apart', () => {
  const max = Number.MAX_SAFE_INTEGER
  play([2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 32, max - 1, max, max - 1, max - 8191, max - 8192])
})

test('memory grows with use, from nothing to 1 KiB and no further', () => {
  const window = new ReplayWindow()
  assert.equal(window.sizeBytes, 0)
  assert.equal(window.check(5), true)
  assert.equal(window.sizeBytes, 0)
  for (let number = 0; number < 256; number++) window.accept(number)
  assert.equal(window.sizeBytes, 32)
  window.accept(2000)
  assert.equal(window.sizeBytes, 256)
  window.accept(2 ** 50)
  assert.equal(window.sizeBytes, 1024)
})

test('accepting a number twice, or none, is a fault of ours', () => {
  const window = new ReplayWindow()
  window.accept(3)
  assert.throws(() => window.accept(3), /once/)
  assert.throws(() => window.accept(-1), /safe integer/)
  assert.throws(() => window.accept(2 ** 53), /safe integer/)
})

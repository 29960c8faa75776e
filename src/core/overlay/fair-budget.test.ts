import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PeerId } from '../io.ts'
import { FairBudget } from './fair-budget.ts'

const LIMITS = {
  totalPerSecond: 2_500_000,
  totalBurst: 2_500_000,
  sourcePerSecond: 125_000,
  sourceBurst: 500_000,
}
const HONEST = 'honest' as PeerId

test('a source alone gets its burst at once and then its rate, and no more', () => {
  const budget = new FairBudget(LIMITS, 0)
  let taken = 0
  for (let at = 0; at < 10_000; at++) if (budget.take(HONEST, 1_000, at)) taken += 1_000
  assert.ok(taken <= 500_000 + 10 * 125_000, `${taken} bytes`)
  assert.ok(taken >= 0.99 * (500_000 + 10 * 125_000), `${taken} bytes`)
})

test('one honest source among 200 that flood gets what it wants while that is less than its part', (t) => {
  const { honestShare, carried } = flood(200, 10_000, 60_000)
  t.diagnostic(`${(100 * honestShare).toFixed(1)} % of 10 kB/s carried beside 200 floods`)
  assert.ok(honestShare >= 0.98, `${honestShare}`)
  assert.ok(carried <= 2_500_000 * 61, `${carried} bytes in all`)
  assert.ok(carried >= 0.95 * 2_500_000 * 60, `${carried} bytes in all: the total is used`)
})

test('one honest source among 1,000 that flood gets its part, whatever it wants', (t) => {
  const { honestShare } = flood(1_000, 20_000, 30_000)
  const partShare = 2_500_000 / 1_001 / 20_000
  t.diagnostic(`${(20 * honestShare).toFixed(2)} kB/s of a part of ${(20 * partShare).toFixed(2)}`)
  assert.ok(honestShare >= 0.9 * partShare, `${honestShare} of ${partShare}`)
})

test('a source that begins when the total is spent is not kept out', () => {
  const budget = new FairBudget(LIMITS, 0)
  for (let at = 0; at < 5_000; at += 2) floodOnce(budget, 200, at)
  assert.ok(budget.take(HONEST, 1_200, 5_000), 'its first datagram goes through')
})

test('more sources than it remembers grow nothing and cannot exceed the total', () => {
  const budget = new FairBudget(LIMITS, 0)
  let taken = 0
  for (let i = 0; i < 20_000; i++) {
    if (budget.take(`source ${i}` as PeerId, 1_200, i / 20)) taken += 1_200
  }
  assert.ok(taken <= 2_500_000 + 2_500_000, `${taken} bytes`)
})

/** `count` sources send all they can; one more sends `honestPerS` bytes a second. */
function flood(count: number, honestPerS: number, durationMs: number) {
  const budget = new FairBudget(LIMITS, 0)
  let carried = 0
  let asked = 0
  let honest = 0
  for (let at = 0; at < durationMs; at += 10) {
    carried += floodOnce(budget, count, at)
    if (at % 100 !== 50) continue
    asked += honestPerS / 10
    for (let left = honestPerS / 10; left > 0; left -= 1_000) {
      if (budget.take(HONEST, Math.min(1_000, left), at)) honest += Math.min(1_000, left)
    }
  }
  return { honestShare: honest / asked, carried: carried + honest }
}

function floodOnce(budget: FairBudget, count: number, at: number): number {
  let taken = 0
  for (let i = 0; i < count; i++) {
    for (let k = 0; k < 3; k++) if (budget.take(`flood ${i}` as PeerId, 1_200, at)) taken += 1_200
  }
  return taken
}

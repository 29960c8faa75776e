import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SharedBudget } from './shared-budget.ts'

const LIMITS = {
  perSecond: 2,
  burst: 64,
  ownPerSecond: 0.01,
  ownBurst: 2,
  reservePerSecond: 4,
  reserveBurst: 400,
}

test('the common part goes to whoever asks, and a newcomer has its own when it is spent', () => {
  const budget = new SharedBudget(LIMITS, 0)
  const greedy = budget.part(0)
  let taken = 0
  while (budget.take(greedy, 0)) taken++
  assert.equal(taken, 64 + 2, 'all that is common, and its own')
  const newcomer = budget.part(0)
  assert.equal(budget.take(newcomer, 0), true)
  assert.equal(budget.take(newcomer, 0), true)
  assert.equal(budget.take(newcomer, 0), false)
})

test('as many as the reserve is for, asking all the time, take nothing from one that asks seldom', () => {
  const budget = new SharedBudget(LIMITS, 0)
  const greedy = Array.from({ length: 200 }, () => budget.part(0))
  const honest = budget.part(0)
  let taken = 0
  let got = 0
  for (let second = 0; second < 600; second++) {
    for (const part of greedy) if (budget.take(part, 1_000 * second)) taken++
    if (second % 100 === 99 && budget.take(honest, 1_000 * second)) got++
  }
  assert.equal(got, 6, 'one every 100 s')
  assert.ok(taken <= 64 + 2 * 600 + 400 + 4 * 600, `${taken} in all`)
})

test('who finds the reserve empty loses nothing of its own', () => {
  const budget = new SharedBudget({ ...LIMITS, perSecond: 0, burst: 0, reserveBurst: 1 }, 0)
  const part = budget.part(0)
  assert.equal(budget.take(budget.part(0), 0), true)
  assert.equal(budget.take(part, 0), false)
  assert.equal(budget.take(part, 250), true)
  assert.equal(budget.take(part, 500), true)
})

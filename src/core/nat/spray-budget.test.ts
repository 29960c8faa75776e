import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Instant } from '../io.ts'
import { SprayBudget } from './spray-budget.ts'

const at = (ms: number) => ms as Instant

test('knocks end at a burst of 4,096 and 128 a second', () => {
  const budget = new SprayBudget(at(0))
  let sent = 0
  for (let ms = 0; ms < 10_000; ms += 10) {
    for (let i = 0; i < 100; i++) if (budget.takeKnock(at(ms))) sent++
  }
  assert.ok(sent <= 4_096 + 10 * 128, `${sent} knocks in 10 s`)
  assert.ok(sent >= 4_096 + 9 * 128, `${sent} knocks in 10 s: the budget is used`)
})

test('a host is sprayed three times in ten minutes', () => {
  const budget = new SprayBudget(at(0))
  const begun = [0, 1_000, 2_000, 3_000, 599_000].map((ms) => budget.begin('198.18.0.1', at(ms)))
  assert.deepEqual(begun, [true, true, true, false, false], 'within ten minutes')
  assert.equal(budget.begin('198.18.0.2', at(3_000)), true, 'another host')
  assert.equal(budget.begin('198.18.0.1', at(600_000)), true, 'after ten minutes')
  assert.equal(budget.begin('198.18.0.1', at(600_500)), false, 'the others still count')
})

test('a spray that found its path does not count', () => {
  const budget = new SprayBudget(at(0))
  for (let i = 0; i < 20; i++) {
    assert.equal(budget.begin('198.18.0.1', at(i)), true, `spray ${i}`)
    budget.found('198.18.0.1')
  }
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Instant } from '../io.ts'
import { Interest } from './interest.ts'

test('a change is told at once, many that follow together, and no deadline lies in the past', () => {
  const toldAt: number[] = []
  let now = 1_000
  const interest = new Interest({ now: () => now as Instant, tell: () => toldAt.push(now) })
  const change = () => {
    interest.changed()
    const { at = 0 } = interest.deadline() ?? {}
    assert.ok(at >= now)
    if (at <= now) interest.onDeadline(now as Instant)
  }
  assert.equal(interest.deadline(), undefined)
  for (; now < 1_500; now += 10) {
    change()
    if (now % 100 === 0) interest.onDeadline(now as Instant)
  }
  assert.deepEqual(toldAt, [1_000, 1_100, 1_200, 1_300, 1_400])
  interest.onDeadline(now as Instant)
  assert.equal(toldAt.length, 6)
  now += 600_000
  interest.onDeadline(now as Instant)
  assert.equal(toldAt.length, 6, 'nothing changed since')
  change()
  assert.equal(toldAt.at(-1), now)
})

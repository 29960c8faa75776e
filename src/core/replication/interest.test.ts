import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Instant } from '../io.ts'
import { Interest } from './interest.ts'

test('a change is told at once, and many that follow together', () => {
  const toldAt: number[] = []
  let now = 1_000
  const interest = new Interest(() => toldAt.push(now), now as Instant)
  assert.equal(interest.deadline(), undefined)
  for (; now < 6_000; now += 10) {
    interest.changed()
    const at = interest.deadline()?.at ?? Number.POSITIVE_INFINITY
    if (at <= now) interest.onDeadline(now as Instant)
  }
  assert.deepEqual(toldAt, [1_000, 2_000, 3_000, 4_000, 5_000])
  interest.onDeadline(now as Instant)
  assert.equal(toldAt.length, 6)
  interest.onDeadline((now + 1_000) as Instant)
  assert.equal(toldAt.length, 6, 'nothing changed since')
})

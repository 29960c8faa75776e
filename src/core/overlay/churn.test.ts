import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRandom } from '../../sim/random.ts'
import type { Instant, PeerId } from '../io.ts'
import { SessionLengths } from './churn.ts'

const HOUR_MS = 3_600_000
const MINUTE_MS = 60_000

test('before anything was seen a stay counts as an hour, and a young network is not underestimated', () => {
  const lengths = new SessionLengths()
  assert.equal(lengths.meanMs(at(0)), HOUR_MS)
  for (let i = 0; i < 40; i++) lengths.began(id(i), at(0))
  assert.ok(lengths.meanMs(at(10 * MINUTE_MS)) >= HOUR_MS, 'nobody left yet')
})

test('the mean of many stays is learned, and learned anew when it changes', () => {
  const random = new SeededRandom('stays')
  const lengths = new SessionLengths()
  const now = churn(lengths, random, 0, 30 * MINUTE_MS, 8 * HOUR_MS)
  const first = lengths.meanMs(at(now))
  assert.ok(Math.abs(first / (30 * MINUTE_MS) - 1) < 0.25, `${first / MINUTE_MS} min`)
  const later = churn(lengths, random, now, 5 * MINUTE_MS, 4 * HOUR_MS)
  const second = lengths.meanMs(at(later))
  assert.ok(Math.abs(second / (5 * MINUTE_MS) - 1) < 0.35, `${second / MINUTE_MS} min`)
})

test('a session that ends without its remote having left shortens nothing', () => {
  const lengths = new SessionLengths()
  for (let i = 0; i < 1_000; i++) {
    lengths.began(id(0), at(1_000 * i))
    lengths.ended(id(0), false, at(1_000 * i + 500))
  }
  assert.ok(lengths.meanMs(at(1_000_000)) >= HOUR_MS)
  lengths.ended(id(7), true, at(1_000_000))
  assert.ok(lengths.meanMs(at(1_000_000)) >= HOUR_MS, 'one that never began is none')
})

/** 40 peers, whose places are taken by others when they leave. */
function churn(
  lengths: SessionLengths,
  random: SeededRandom,
  fromMs: number,
  meanMs: number,
  forMs: number,
): number {
  let next = fromMs
  for (let nowMs = fromMs; nowMs < fromMs + forMs; nowMs += 1_000) {
    for (let i = 0; i < 40; i++) {
      lengths.began(id(i), at(nowMs))
      if (random.chance(1_000 / meanMs)) lengths.ended(id(i), true, at(nowMs + 1_000))
    }
    next = nowMs + 1_000
  }
  return next
}

function at(ms: number): Instant {
  return ms as Instant
}

function id(n: number): PeerId {
  return n.toString(16).padStart(64, '0') as PeerId
}

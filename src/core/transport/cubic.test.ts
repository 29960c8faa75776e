import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cubic } from './cubic.ts'
import { HyStart } from './hystart.ts'
import { CONGESTION_WINDOW_MAX } from './limits.ts'
import { type PacedPath, Pacer } from './pacer.ts'

/** Acknowledges a whole window each round trip. */
function roundTrips(cubic: Cubic, from: number, count: number, rttMs: number): number {
  let now = from
  for (let i = 0; i < count; i++) {
    now += rttMs
    for (let left = cubic.windowBytes; left > 0; left -= 1200)
      cubic.onAcked(Math.min(left, 1200), now, rttMs, false)
  }
  return now
}

test('slow start doubles the window each round trip', () => {
  const cubic = new Cubic(1200)
  assert.equal(cubic.windowBytes, 12_000)
  roundTrips(cubic, 0, 3, 50)
  assert.equal(cubic.windowBytes, 96_000)
})

test('after a loss the window falls to 0.7 and takes K seconds back to where it was', () => {
  const cubic = new Cubic(1200)
  roundTrips(cubic, 0, 6, 50)
  const before = cubic.windowBytes
  cubic.onCongestion()
  assert.equal(cubic.windowBytes, before * 0.7)
  // RFC 9438 §4.2: K = cbrt(W_max (1 − β) / C)
  const seconds = Math.cbrt((before / 1200) * (0.3 / 0.4))
  roundTrips(cubic, 1000, Math.round(seconds * 20), 50)
  assert.ok(Math.abs(cubic.windowBytes - before) < 0.03 * before, `${cubic.windowBytes / before}`)
})

test('a second loss below the plateau lowers the plateau, to make room for others', () => {
  const cubic = new Cubic(1200)
  roundTrips(cubic, 0, 6, 50)
  cubic.onCongestion()
  const before = cubic.windowBytes
  cubic.onCongestion()
  // RFC 9438 §4.7: the plateau is the window times (1 + β) / 2.
  const seconds = Math.cbrt((before / 1200) * (0.15 / 0.4))
  roundTrips(cubic, 1000, Math.round(seconds * 20), 50)
  const part = cubic.windowBytes / before
  assert.ok(part > 0.82 && part < 0.88, `${part}`)
})

test('a window that the application does not use does not grow', () => {
  const cubic = new Cubic(1200)
  for (let i = 0; i < 100; i++) cubic.onAcked(1200, i, 50, true)
  assert.equal(cubic.windowBytes, 12_000)
})

test('the window stays within its bounds', () => {
  const cubic = new Cubic(1200)
  for (let i = 0; i < 100; i++) cubic.onAcked(CONGESTION_WINDOW_MAX / 4, i, 50, false)
  assert.equal(cubic.windowBytes, CONGESTION_WINDOW_MAX)
  for (let i = 0; i < 100; i++) cubic.onCongestion()
  assert.equal(cubic.windowBytes, 2400)
})

test('slow start ends when round trips grow, and not when they do not', () => {
  for (const growthMs of [0, 10]) {
    const hystart = new HyStart()
    let ended = -1
    for (let order = 0; order < 400 && ended < 0; order++) {
      const round = Math.floor(order / 20)
      if (hystart.sample(order, order + 20, 50 + Math.min(round, 6) * growthMs)) ended = order
    }
    assert.equal(ended >= 0, growthMs > 0, `${ended}`)
  }
})

test('pacing spreads a window over its round trip in bursts of ten', () => {
  const path: PacedPath = {
    windowBytes: 120_000,
    smoothedMs: 100,
    isSlowStart: false,
    datagramBytes: 1200,
  }
  const pacer = new Pacer()
  let burst = 0
  while (pacer.delayMs(path, 0) === 0) {
    pacer.onSent(1200)
    burst++
  }
  assert.equal(burst, 10)
  let sent = 0
  let now = 0
  while (now < 100) {
    const delayMs = pacer.delayMs(path, now)
    assert.equal(delayMs === 0 || delayMs >= 1, true)
    if (delayMs === 0) {
      pacer.onSent(1200)
      sent++
    } else now += delayMs
  }
  assert.ok(sent >= 123 && sent <= 127, `${sent}`)
})

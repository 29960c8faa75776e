import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DEFAULT_LINK, Link, type LinkProfile } from './link.ts'
import { SeededRandom } from './random.ts'

test('a plain line delays every datagram by its latency', () => {
  const link = make({ latencyMs: 30 })
  assert.deepEqual(link.pass('up', 100, 0, new SeededRandom(1)), [30])
  assert.deepEqual(link.pass('down', 100, 5, new SeededRandom(1)), [30])
})

test('loss, duplication and reordering happen as often as the profile says', () => {
  const link = make({ lossRate: 0.1, duplicateRate: 0.05, reorderRate: 0.2, reorderMs: 50 })
  const random = new SeededRandom(2)
  const total = 50_000
  let lost = 0
  let copies = 0
  let late = 0
  for (let i = 0; i < total; i++) {
    const passage = link.pass('up', 100, i, random)
    if (passage === 'lost') lost++
    else if (typeof passage !== 'string') {
      copies += passage.length - 1
      late += passage[0] === DEFAULT_LINK.latencyMs + 50 ? 1 : 0
    }
  }
  near(lost / total, 0.1, 0.006)
  near(copies / (total - lost), 0.05, 0.004)
  near(late / (total - lost), 0.2, 0.008)
})

test('jitter spreads arrivals within its bound and never changes their order', () => {
  const link = make({ latencyMs: 10, jitterMs: 40 })
  const random = new SeededRandom(3)
  let lastOutMs = 0
  let spread = 0
  for (let i = 0; i < 5000; i++) {
    const [delayMs = Number.NaN] = delays(link.pass('up', 100, i * 100, random))
    assert.ok(delayMs >= 10 && delayMs < 50, `${delayMs}`)
    spread += delayMs
  }
  near(spread / 5000, 30, 1)
  for (let i = 0; i < 5000; i++) {
    const nowMs = 500_000 + i
    const [delayMs = Number.NaN] = delays(link.pass('up', 100, nowMs, random))
    assert.ok(nowMs + delayMs >= lastOutMs)
    lastOutMs = nowMs + delayMs
  }
})

test('a line of 1 Mbit/s sends 125 bytes per millisecond, and the queue drops its tail', () => {
  const link = make({ latencyMs: 0, bandwidthBps: 1_000_000, queueBytes: 10_000 })
  const random = new SeededRandom(4)
  const passages = Array.from({ length: 12 }, () => link.pass('up', 972, 0, random))
  assert.deepEqual(
    passages.slice(0, 10),
    [8, 16, 24, 32, 40, 48, 56, 64, 72, 80].map((ms) => [ms]),
  )
  assert.deepEqual(passages.slice(10), ['queue-full', 'queue-full'])
  assert.deepEqual(link.pass('up', 972, 8, random), [80])
  assert.deepEqual(link.pass('up', 972, 1000, random), [8])
})

test('the two directions have queues of their own, and an upload rate of its own', () => {
  const link = make({ latencyMs: 0, bandwidthBps: 8_000_000, uploadBps: 800_000 })
  const random = new SeededRandom(5)
  assert.deepEqual(link.pass('up', 72, 0, random), [1])
  assert.deepEqual(link.pass('down', 972, 0, random), [1])
})

test('a datagram above the limit of the line is dropped', () => {
  const random = new SeededRandom(6)
  assert.equal(make({}).pass('up', 1473, 0, random), 'too-big')
  assert.deepEqual(make({}).pass('up', 1472, 0, random), [DEFAULT_LINK.latencyMs])
})

test('a changed profile holds for what follows, and nonsense is refused', () => {
  const link = make({ latencyMs: 10 })
  link.change({ latencyMs: 70 })
  assert.deepEqual(link.pass('up', 1, 0, new SeededRandom(7)), [70])
  assert.throws(() => link.change({ lossRate: 1.5 }), { code: 'EOPTION', message: /lossRate/ })
  assert.throws(() => make({ latencyMs: Number.NaN }), { code: 'EOPTION', message: /latencyMs/ })
  assert.throws(() => make({ bandwidthBps: 0 }), { code: 'EOPTION' })
})

function make(profile: Partial<LinkProfile>): Link {
  return new Link({ ...DEFAULT_LINK, ...profile })
}

function delays(passage: ReturnType<Link['pass']>): readonly number[] {
  assert.ok(typeof passage !== 'string')
  return passage
}

function near(value: number, expected: number, tolerance: number): void {
  assert.ok(Math.abs(value - expected) <= tolerance, `${value} is not near ${expected}`)
}

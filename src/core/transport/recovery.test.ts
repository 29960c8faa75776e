import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AckFrame } from '../wire/frames.ts'
import { Cubic } from './cubic.ts'
import { PROBE_TIMEOUT_MAX_MS } from './limits.ts'
import { Recovery } from './recovery.ts'
import { Rtt } from './rtt.ts'

interface Bench {
  readonly recovery: Recovery
  readonly cubic: Cubic
  readonly rtt: Rtt
  readonly acked: number[]
  readonly lost: number[]
  send(number: number, now: number): void
  ack(now: number, ...ranges: readonly (readonly [number, number])[]): boolean
}

function bench(): Bench {
  const rtt = new Rtt()
  const cubic = new Cubic(1200)
  const recovery = new Recovery(rtt, cubic)
  const acked: number[] = []
  const lost: number[] = []
  return {
    recovery,
    cubic,
    rtt,
    acked,
    lost,
    send: (number, now) => {
      const carried = { acked: () => acked.push(number), lost: () => lost.push(number) }
      recovery.onSent(number, 1200, [carried], now)
    },
    ack: (now, ...ranges) => {
      const frame: AckFrame = {
        type: 'ack',
        delayUs: 0,
        ranges: ranges.map(([first, last]) => ({ first, last })),
      }
      return recovery.onAck(frame, false, now)
    },
  }
}

test('a datagram three behind an acknowledged one is lost, two behind is not yet', () => {
  const { send, ack, lost, acked, recovery } = bench()
  for (let i = 0; i < 5; i++) send(i, i)
  ack(50, [3, 3])
  assert.deepEqual(lost, [0])
  ack(51, [4, 4])
  assert.deepEqual(lost, [0, 1])
  assert.deepEqual(acked, [3, 4])
  assert.equal(recovery.bytesInFlight, 1200)
})

test('what lies behind by less is lost after 9/8 of a round trip', () => {
  const { send, ack, lost, recovery } = bench()
  send(0, 0)
  send(1, 0)
  ack(80, [1, 1])
  assert.equal(recovery.timerAt(), 90)
  assert.equal(recovery.onTimer(89), false)
  assert.deepEqual(lost, [])
  recovery.onTimer(90)
  assert.deepEqual(lost, [0])
  assert.equal(recovery.timerAt(), undefined)
})

test('numbers of other paths do not count as reordering', () => {
  const { send, ack, lost } = bench()
  send(0, 0)
  send(10, 1)
  send(20, 2)
  ack(50, [20, 20])
  assert.deepEqual(lost, [])
})

test('a loss shrinks the window once for each round trip', () => {
  const { send, ack, cubic } = bench()
  for (let i = 0; i < 10; i++) send(i, 0)
  ack(50, [9, 9])
  const reduced = cubic.windowBytes
  assert.equal(reduced < 12_000, true)
  send(10, 50)
  send(11, 50)
  send(12, 50)
  ack(60, [8, 8])
  assert.equal(cubic.windowBytes, reduced)
})

test('probe timeouts double up to their cap and repeat the oldest two datagrams', () => {
  const { send, ack, lost, recovery } = bench()
  send(0, 0)
  ack(100, [0, 0])
  for (let i = 1; i < 6; i++) send(i, 1000)
  const waits: number[] = []
  let last = 1000
  for (let i = 0; i < 8; i++) {
    const at = recovery.timerAt() ?? 0
    assert.equal(recovery.onTimer(at), true)
    recovery.onTimeout()
    waits.push(at - last)
    send(100 + i, at)
    last = at
  }
  assert.deepEqual(waits, [325, 650, 1300, ...Array(5).fill(PROBE_TIMEOUT_MAX_MS)])
  assert.deepEqual(lost.slice(0, 4), [1, 2, 1, 2])
  assert.equal(recovery.probes, 2)
  assert.equal(recovery.timeouts, 8)
  recovery.wake()
  assert.equal(recovery.timeouts, 0)
  assert.equal(recovery.probes, 1)
})

test('losses over three probe timeouts shrink the window to its minimum', () => {
  const { send, ack, cubic, rtt } = bench()
  send(0, 0)
  ack(100, [0, 0])
  for (let i = 1; i <= 10; i++) send(i, 200 + 200 * i)
  ack(2300, [10, 10])
  assert.equal(cubic.windowBytes, 2400)
  assert.equal(rtt.smoothedMs > 99, true)
})

test('losses with something acknowledged between them are no persistent congestion', () => {
  const { send, ack, cubic } = bench()
  send(0, 0)
  ack(100, [0, 0])
  for (let i = 1; i <= 10; i++) send(i, 200 + 200 * i)
  ack(2300, [10, 10], [5, 5])
  assert.ok(cubic.windowBytes > 8000, `${cubic.windowBytes}`)
})

test('what a path is given up with is lost and blames no congestion', () => {
  const { send, lost, cubic, recovery, ack } = bench()
  for (let i = 0; i < 4; i++) send(i, 0)
  const before = cubic.windowBytes
  recovery.abandon()
  assert.deepEqual(lost, [0, 1, 2, 3])
  assert.equal(cubic.windowBytes, before)
  assert.equal(recovery.timerAt(), undefined)
  assert.equal(ack(10, [0, 3]), false)
})

test('repeated acknowledgements of a long history cost nothing more', () => {
  const { send, ack, recovery, acked } = bench()
  for (let i = 0; i < 20_000; i++) {
    send(i, i)
    if (i % 2 === 1) ack(i + 1, [0, i])
  }
  assert.equal(acked.length, 20_000)
  assert.equal(recovery.tracked, 0)
})

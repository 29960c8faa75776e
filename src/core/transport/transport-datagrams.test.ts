import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MALFORMED } from '../errors.ts'
import { decodeFrames, type Frame, type SessionFrame } from '../wire/frames.ts'
import { DATAGRAM_QUEUE_MAX, SEAL_BYTES, SESSION_FRAMES_MAX } from './limits.ts'
import { type NextDatagram, Transport } from './transport.ts'

const CHALLENGE: SessionFrame = { type: 'challenge', nonce: new Uint8Array(8) }

function transport(...paths: readonly number[]): Transport {
  const made = new Transport({ isInitiator: true })
  for (const path of paths) made.addPath(path, { datagramBytes: 1200 })
  made.setActivePath(paths[0] ?? 0)
  return made
}

function drain(from: Transport, now: number): { next: NextDatagram; frames: Frame[] }[] {
  const all: { next: NextDatagram; frames: Frame[] }[] = []
  for (let next = from.next(now); next !== undefined; next = from.next(now)) {
    const copy = { ...next, frames: next.frames.slice() }
    const frames = decodeFrames(copy.frames)
    assert.ok(frames !== MALFORMED, 'there is something to check')
    assert.equal(copy.frames.length + SEAL_BYTES <= 1200, true)
    all.push({ next: copy, frames })
  }
  return all
}

function relay(bytes: number): SessionFrame {
  return { type: 'relay', prefix: new Uint8Array(8), datagram: new Uint8Array(bytes) }
}

test('numbers are never used twice, whatever path they take', () => {
  const a = transport(0, 1)
  const numbers: number[] = []
  for (let i = 0; i < 20; i++) {
    a.sendMessage(new Uint8Array(3000))
    a.pushFrame(1, CHALLENGE)
    a.setActivePath(i % 2)
    for (const { next } of drain(a, 100 * i)) numbers.push(next.number)
    a.onDeadline(100 * i + 50)
  }
  assert.deepEqual(
    numbers,
    Array.from(numbers, (_, i) => i),
  )
})

test('a pushed frame takes its path past a full window, and is not repeated', () => {
  const a = transport(0, 1)
  a.sendMessage(new Uint8Array(100_000))
  assert.equal(drain(a, 0).length, 10)
  a.pushFrame(1, CHALLENGE)
  a.pushFrame(0, CHALLENGE)
  const sent = drain(a, 1)
  assert.deepEqual(
    sent.map(({ next, frames }) => [next.path, ...frames.map((frame) => frame.type)]),
    [
      [0, 'challenge'],
      [1, 'challenge'],
    ],
  )
  for (let now = 0; now < 20_000; now += 100) {
    a.onDeadline(now)
    for (const { frames } of drain(a, now))
      assert.equal(
        frames.every((frame) => frame.type !== 'challenge'),
        true,
      )
  }
})

test('an unanswered candidate path is given up, never probed', () => {
  const a = transport(0, 1)
  a.pushFrame(1, CHALLENGE)
  assert.equal(drain(a, 0).length, 1)
  assert.ok(a.deadline() !== undefined, 'there is something to check')
  a.onDeadline(10_000)
  assert.deepEqual(drain(a, 10_000), [])
  assert.equal(a.deadline(), undefined)
  assert.equal(a.bytesInFlight, 0)
})

test('relayed datagrams go alone, ask for nothing, and are dropped when too large', () => {
  const a = transport(0)
  const largest = 1200 - SEAL_BYTES - 9
  a.receive(0, 0, Uint8Array.of(1), 0)
  for (const frame of [relay(10), relay(largest + 1), relay(largest), CHALLENGE])
    a.pushFrame(0, frame)
  const sent = drain(a, 1)
  assert.deepEqual(
    sent.map(({ frames }) => frames.map((frame) => frame.type)),
    [['relay'], ['relay'], ['ack', 'challenge']],
  )
  assert.equal(sent[1]?.next.frames.length, 1200 - SEAL_BYTES)
})

test('the queue of pushed frames is bounded, and so is what is remembered of them', () => {
  const a = transport(0)
  for (let i = 0; i < 3 * SESSION_FRAMES_MAX; i++) a.pushFrame(0, relay(1))
  assert.equal(drain(a, 0).length, SESSION_FRAMES_MAX)
  for (let i = 0; i < 10_000; i++) {
    a.pushFrame(0, CHALLENGE)
    drain(a, 1)
  }
  assert.ok(a.bytesInFlight < 256 * 100, `${a.bytesInFlight}`)
})

test('an unknown path takes no frames', () => {
  const a = transport(0)
  a.pushFrame(7, CHALLENGE)
  assert.deepEqual(drain(a, 0), [])
})

test('an unreliable datagram is sent once, if it fits into one', () => {
  const a = transport(0)
  const largest = 1200 - SEAL_BYTES - 3
  assert.equal(a.sendDatagram(new Uint8Array(largest + 1)), false)
  // A waiting ACK leaves no room for it: the datagram goes alone and the ACK after it.
  a.receive(0, 0, Uint8Array.of(1), 0)
  a.receive(0, 1, Uint8Array.of(1), 0)
  assert.equal(a.sendDatagram(new Uint8Array(largest)), true)
  assert.deepEqual(
    drain(a, 0).map(({ frames }) => frames.map((frame) => frame.type)),
    [['datagram'], ['ack']],
  )
  for (let now = 0; now < 5000; now += 100) {
    a.onDeadline(now)
    for (const { frames } of drain(a, now)) assert.deepEqual(frames, [{ type: 'ping' }])
  }
})

test('unreliable datagrams beyond the queue are refused, and without a path all are', () => {
  const a = transport(0)
  for (let i = 0; i < DATAGRAM_QUEUE_MAX; i++) assert.equal(a.sendDatagram(new Uint8Array(1)), true)
  assert.equal(a.sendDatagram(new Uint8Array(1)), false)
  a.removePath(0)
  drain(a, 0)
  assert.equal(a.sendDatagram(new Uint8Array(1)), false)
})

test('a ping asks for an acknowledgement', () => {
  const a = transport(0)
  a.ping()
  assert.deepEqual(
    drain(a, 0).map(({ frames }) => frames),
    [[{ type: 'ping' }]],
  )
  assert.equal(a.ptoCount, 0)
  a.onDeadline(5000)
  assert.equal(a.ptoCount, 1)
  assert.equal(a.hasUnacked, false)
})

test('acknowledgements take the path by which they were asked for', () => {
  const a = transport(0, 1)
  a.receive(1, 0, Uint8Array.of(1), 0)
  assert.deepEqual(a.deadline(), { at: 25, reason: 'ack' })
  assert.deepEqual(drain(a, 24), [])
  assert.deepEqual(
    drain(a, 25).map(({ next }) => next.path),
    [1],
  )
  a.receive(1, 1, Uint8Array.of(1), 30)
  a.removePath(1)
  assert.deepEqual(
    drain(a, 60).map(({ next }) => next.path),
    [0],
  )
})

test('without a path nothing is sent and no timer runs', () => {
  const a = new Transport({ isInitiator: false })
  a.sendMessage(new Uint8Array(10))
  a.ping()
  a.receive(0, 0, Uint8Array.of(1), 0)
  assert.equal(a.next(100), undefined)
  assert.equal(a.deadline(), undefined)
})

test('pacing releases a large window bit by bit', () => {
  const a = transport(0)
  a.addPath(1, { datagramBytes: 1200, rttMs: 100 })
  a.setActivePath(1)
  a.sendMessage(new Uint8Array(1_000_000))
  assert.equal(drain(a, 0).length, 10)
  a.receive(1, 0, ackOf(9), 100)
  assert.equal(drain(a, 100).length, 10)
  assert.equal(a.deadline()?.reason, 'send')
  const at = a.deadline()?.at ?? 0
  assert.ok(at >= 101 && at < 105, `${at}`)
  assert.equal(drain(a, at).length >= 1, true)
})

test('a driver that stops before all is sent is called back at once', () => {
  const a = transport(0)
  a.sendMessage(new Uint8Array(3000))
  a.next(5)
  assert.deepEqual(a.deadline(), { at: 5, reason: 'send' })
  assert.equal(drain(a, 5).length, 2)
  assert.equal(a.deadline()?.reason, 'recovery')
})

/** An ACK frame of everything up to `largest`. */
function ackOf(largest: number): Uint8Array {
  return Uint8Array.of(2, largest, 0, 0, largest)
}

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeFrames, type Frame, writeFrame } from '../wire/frames.ts'
import { Writer } from '../wire/writer.ts'
import { SEAL_BYTES } from './limits.ts'
import { pair } from './link.fixture.ts'
import { receptionOf } from './reception.ts'
import { Transport } from './transport.ts'

const NONCE = new Uint8Array(8)
const PREFIX = new Uint8Array(8)

function transport(...paths: readonly { isProved?: boolean; wrapBytes?: number }[]): Transport {
  const made = new Transport({ isInitiator: true })
  for (const [number, options] of paths.entries())
    made.addPath(number, { datagramBytes: 1000, ...options })
  made.setActivePath(0)
  return made
}

function bytesOf(...frames: readonly Frame[]): Uint8Array {
  const writer = new Writer(1500)
  for (const frame of frames) writeFrame(writer, frame)
  return writer.done()
}

function typesOf(next: { frames: Uint8Array } | undefined): string[] {
  const frames = next && decodeFrames(next.frames)
  return Array.isArray(frames) ? frames.map(({ type }) => type) : []
}

test('what is owed grows older under traffic, though every datagram puts the probe timer off', () => {
  const { timeline, a, ab } = pair(
    1,
    { latencyMs: 50 },
    () => {},
    () => {},
  )
  const say = () => {
    a.transport.sendMessage(new Uint8Array(20))
    a.pump()
  }
  for (let i = 0; i < 40; i++) timeline.at(i * 40, say)
  timeline.run(() => timeline.now >= 1_000)
  assert.ok(timeline.now - (a.transport.owedSince ?? 0) < 200, 'answered within a round trip')
  const answered = a.transport.ackedSentAt
  ab.isUp = false
  timeline.run(() => timeline.now >= 1_500)
  assert.equal(a.transport.ptoCount, 0, 'the probe timer never ran out')
  const owedMs = timeline.now - (a.transport.owedSince ?? timeline.now)
  assert.ok(owedMs > 400, `owed for ${owedMs} ms`)
  assert.ok((a.transport.ackedSentAt ?? 0) >= (answered ?? 0))
})

test('a path that is not proved carries no acknowledgement, neither alone nor beside a challenge', () => {
  const victim = transport({}, { isProved: false })
  victim.receive(1, 0, bytesOf({ type: 'ping' }), 0)
  victim.pushFrame(1, { type: 'challenge', nonce: NONCE })
  const challenge = victim.next(0)
  assert.equal(challenge?.path, 1)
  assert.deepEqual(typesOf(challenge), ['challenge'])
  const ack = victim.next(30)
  assert.equal(ack?.path, 0)
  assert.deepEqual(typesOf(ack), ['ack'])
  victim.setProved(1, true)
  victim.receive(1, 1, bytesOf({ type: 'ping' }), 40)
  assert.equal(victim.next(80)?.path, 1, 'once proved it does')
})

test('a datagram inside RELAY may fill more than data may, and no more', () => {
  const sender = transport({ wrapBytes: 1100 })
  const room = 1100 - SEAL_BYTES - 1 - PREFIX.length
  for (const [bytes, isSent] of [
    [room, true],
    [room + 1, false],
  ] as const) {
    sender.pushFrame(0, { type: 'relay', prefix: PREFIX, datagram: new Uint8Array(bytes) })
    assert.equal(sender.next(0)?.frames.length, isSent ? 1100 - SEAL_BYTES : undefined)
  }
  sender.sendMessage(new Uint8Array(5_000))
  assert.equal(sender.next(0)?.frames.length, 1000 - SEAL_BYTES)
})

test('an untracked datagram takes a number and leaves nothing in flight', () => {
  const sender = transport({})
  const numbers = [0, 1, 2].map(() => sender.takeUntracked(24))
  assert.deepEqual(
    numbers.map(({ number }) => number),
    [0, 1, 2],
  )
  assert.equal(numbers[0]?.frames.length, 24)
  assert.equal(sender.bytesInFlight, 0)
  assert.equal(sender.deadline(), undefined)
  sender.ping()
  assert.equal(sender.next(0)?.number, 3)
})

test('a ping that is lost is sent again, on the path that is then in use', () => {
  const sender = transport({}, {})
  sender.ping()
  assert.equal(sender.next(0)?.path, 0)
  sender.setActivePath(1)
  sender.abandon(0)
  const again = sender.next(10)
  assert.equal(again?.path, 1)
  assert.deepEqual(typesOf(again), ['ping'])
})

test('what a datagram says of its sender: probes and bare acknowledgements move nothing', () => {
  const ack: Frame = { type: 'ack', delayUs: 0, ranges: [{ first: 0, last: 0 }] }
  const challenge: Frame = { type: 'challenge', nonce: NONCE }
  const message: Frame = {
    type: 'message',
    message: 0,
    total: 1,
    offset: 0,
    data: new Uint8Array(1),
  }
  for (const [frames, expected] of [
    [[], 'aside'],
    [[ack], 'aside'],
    [[ack, challenge], 'aside'],
    [[{ type: 'response', nonce: NONCE }], 'aside'],
    [[{ type: 'ping' }], 'control'],
    [[ack, { type: 'ping' }], 'control'],
    [[{ type: 'maxData', bytes: 1 }, message], 'data'],
    [[challenge, message], 'data'],
  ] as const) {
    assert.equal(receptionOf(frames), expected, JSON.stringify(frames.map(({ type }) => type)))
  }
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MALFORMED } from '../errors.ts'
import { SeededRandom } from '../seeded.fixture.ts'
import { decodeFrames, type Frame, writeFrame } from '../wire/frames.ts'
import { Writer } from '../wire/writer.ts'
import {
  CONNECTION_WINDOW,
  MESSAGE_BYTES_MAX,
  PARTIAL_MESSAGES_MAX,
  PIECES_MAX,
  STREAM_WINDOW,
  STREAMS_MAX,
} from './limits.ts'
import { Transport } from './transport.ts'

const BYTE = new Uint8Array(1)

class Victim {
  readonly transport = new Transport({ isInitiator: true })
  #number = 0
  #sent = -1

  constructor() {
    this.transport.addPath(0, { datagramBytes: 1200 })
    this.transport.setActivePath(0)
  }

  receive(...frames: readonly Frame[]): boolean {
    const writer = new Writer(1500)
    for (const frame of frames) writeFrame(writer, frame)
    const taken = this.transport.receive(0, this.#number++, writer.done(), 0)
    while (this.transport.poll() !== undefined);
    return taken !== 'violation'
  }

  /** The largest number acknowledged by what is sent next. */
  acknowledged(): number {
    let largest = -1
    for (let next = this.transport.next(30); next; next = this.transport.next(30)) {
      this.#sent = next.number
      const frames = decodeFrames(next.frames)
      assert.ok(frames !== MALFORMED, 'there is something to check')
      for (const frame of frames)
        if (frame.type === 'ack') largest = Math.max(largest, frame.ranges[0]?.last ?? -1)
    }
    return largest
  }

  /** Sends what there is to send and acknowledges all of it. */
  exchange(): void {
    this.acknowledged()
    const ranges = [{ first: 0, last: this.#sent }]
    assert.equal(this.receive({ type: 'ack', delayUs: 0, ranges }), true)
  }
}

const piece = (stream: number, offset: number, length = 1, fin = false): Frame => ({
  type: 'stream',
  stream,
  offset,
  data: new Uint8Array(length),
  fin,
})
const part = (message: number, total: number, offset: number, length = 1): Frame => ({
  type: 'message',
  message,
  total,
  offset,
  data: new Uint8Array(length),
})

test('what breaks the protocol is told from what does not', () => {
  const ack = (last: number): Frame => ({
    type: 'ack',
    delayUs: 0,
    ranges: [{ first: last, last }],
  })
  const reset = (finalSize: number): Frame => ({
    type: 'resetStream',
    stream: 1,
    code: 0,
    finalSize,
  })
  const cases: readonly (readonly [string, boolean, readonly Frame[]])[] = [
    ['an ACK of what was never sent', false, [ack(0)]],
    ['a stream of ours that we never opened', false, [piece(0, 0)]],
    ['a window for a stream we never opened', false, [{ type: 'maxStream', stream: 2, bytes: 9 }]],
    ['the last stream allowed', true, [piece(2 * STREAMS_MAX - 1, 0)]],
    ['a stream beyond the limit', false, [piece(2 * STREAMS_MAX + 1, 0)]],
    [
      'a stop of a stream beyond the limit',
      false,
      [{ type: 'stopSending', stream: 9999, code: 0 }],
    ],
    ['data up to the window', true, [piece(1, STREAM_WINDOW - 1)]],
    ['data beyond the window', false, [piece(1, STREAM_WINDOW)]],
    ['an end before known data', false, [piece(1, 10), piece(1, 0, 1, true)]],
    ['data beyond the end', false, [piece(1, 3, 1, true), piece(1, 10)]],
    ['an end that moves', false, [piece(1, 3, 1, true), piece(1, 4, 1, true)]],
    ['an end repeated', true, [piece(1, 3, 1, true), piece(1, 3, 1, true)]],
    ['a reset before known data', false, [piece(1, 10), reset(5)]],
    ['a reset that moves the end', false, [piece(1, 3, 1, true), reset(5)]],
    ['a reset beyond the window', false, [reset(STREAM_WINDOW + 1)]],
    ['a reset repeated', true, [reset(100), reset(100)]],
    ['the largest message', true, [part(0, MESSAGE_BYTES_MAX, 0)]],
    ['a larger message', false, [part(0, MESSAGE_BYTES_MAX + 1, 0)]],
    ['a message of two sizes', false, [part(0, 1000, 0), part(0, 1001, 1)]],
    ['a fragment, then a smaller whole', false, [part(0, 1000, 0), part(0, 1, 0)]],
    ['a whole message, then a fragment of it', true, [part(0, 1, 0), part(0, 9, 0)]],
    [
      'messages beyond the connection window',
      false,
      [0, 1, 2, 3, 4].map((message) => part(message, MESSAGE_BYTES_MAX, 0)),
    ],
    ['a limit that shrinks', true, [{ type: 'maxData', bytes: 0 }]],
  ]
  for (const [name, isAllowed, frames] of cases)
    assert.equal(new Victim().receive(...frames), isAllowed, name)
})

test('streams together cannot exceed the connection window', () => {
  const victim = new Victim()
  const full = CONNECTION_WINDOW / STREAM_WINDOW
  for (let i = 0; i < full; i++)
    assert.equal(victim.receive(piece(2 * i + 1, STREAM_WINDOW - 1)), true)
  assert.equal(victim.receive(piece(2 * full + 1, 0)), false)
})

test('data that comes after a stream was given up costs no credit, and ends it', () => {
  const victim = new Victim()
  for (let i = 0; i < 100; i++) {
    const stream = 2 * i + 1
    assert.equal(victim.receive(piece(stream, 0)), true)
    victim.transport.resetStream(stream, 0)
    victim.exchange()
    assert.equal(victim.receive(piece(stream, STREAM_WINDOW - 1, 1, true)), true)
    victim.exchange()
    assert.equal(victim.transport.openStreams, 0)
  }
})

test('pieces beyond the budget are not acknowledged, and what fills holes still is taken', () => {
  const victim = new Victim()
  const perStream = 1000
  let sent = 0
  for (let i = 0; i < 2 * PIECES_MAX; i++) {
    const stream = 1 + 2 * Math.floor(i / perStream)
    if (victim.receive(piece(stream, 2 + 2 * (i % perStream)))) sent++
  }
  assert.equal(sent, 2 * PIECES_MAX)
  assert.equal(victim.acknowledged(), PIECES_MAX - 1)
  assert.equal(victim.receive(piece(1, 0, perStream)), true)
  assert.equal(victim.acknowledged(), 2 * PIECES_MAX)
  assert.equal(victim.receive(piece(2 * STREAMS_MAX - 1, 9)), true)
  assert.equal(victim.acknowledged(), 2 * PIECES_MAX + 1)
})

test('messages begun beyond the bound are not acknowledged, and those begun can be completed', () => {
  const victim = new Victim()
  for (let i = 0; i < 2 * PARTIAL_MESSAGES_MAX; i++)
    assert.equal(victim.receive(part(i, 2, 0)), true)
  assert.equal(victim.acknowledged(), PARTIAL_MESSAGES_MAX - 1)
  for (let i = 0; i < PARTIAL_MESSAGES_MAX; i++) assert.equal(victim.receive(part(i, 2, 1)), true)
  assert.equal(victim.acknowledged(), 3 * PARTIAL_MESSAGES_MAX - 1)
  assert.equal(victim.receive(part(5_000_000, 2, 0)), true)
  assert.equal(victim.acknowledged(), 3 * PARTIAL_MESSAGES_MAX)
})

test('holes in the numbers of messages are bounded', () => {
  const victim = new Victim()
  for (let i = 0; i < 10_000; i++) assert.equal(victim.receive(part(2 * i, 1, 0)), true)
  const last = victim.acknowledged()
  assert.equal(last, 4095)
  assert.equal(victim.receive(part(1, 1, 0)), true)
  assert.equal(victim.acknowledged(), 10_000)
})

test('100,000 random byte strings never throw', () => {
  const random = new SeededRandom(1)
  const victim = new Victim()
  let taken = 0
  for (let i = 0; i < 100_000; i++) {
    const bytes = random.bytes(random.below(24))
    if (victim.transport.receive(0, i, bytes, i) !== 'violation') taken++
    while (victim.transport.poll() !== undefined);
    while (victim.transport.next(i) !== undefined);
    victim.transport.onDeadline(i)
  }
  assert.equal(taken > 100, true)
})

function randomFrame(random: SeededRandom): Frame {
  const number = (): number => {
    const kind = random.below(4)
    if (kind === 0) return random.below(8)
    if (kind === 1) return random.below(2000)
    return kind === 2 ? random.below(1 << 22) : random.below(Number.MAX_SAFE_INTEGER)
  }
  const data = random.bytes(1 + random.below(40))
  const stream = random.below(20)
  const first = random.below(30)
  const makers: readonly (() => Frame)[] = [
    () => ({ type: 'ping' }),
    () => ({ type: 'ack', delayUs: number(), ranges: [{ first, last: first + random.below(4) }] }),
    () => ({ type: 'maxData', bytes: number() }),
    () => ({ type: 'maxStream', stream, bytes: number() }),
    () => ({ type: 'maxStreams', count: number() }),
    () => ({ type: 'resetStream', stream, code: number(), finalSize: number() % 1000 }),
    () => ({ type: 'stopSending', stream, code: number() }),
    () => ({ type: 'stream', stream, offset: number() % 4000, data, fin: random.below(9) === 0 }),
    () => {
      const offset = random.below(3) * data.length
      return { type: 'message', message: number(), total: offset + data.length, offset, data }
    },
    () => ({ type: 'datagram', data }),
    () => ({ type: 'challenge', nonce: new Uint8Array(8) }),
  ]
  return makers[random.below(makers.length)]?.() ?? { type: 'ping' }
}

test('random valid frames never throw, and leave the transport bounded', () => {
  const random = new SeededRandom(2)
  let violations = 0
  for (let round = 0; round < 60; round++) {
    const victim = new Victim()
    const { transport } = victim
    for (let i = 0; i < 6; i++) transport.writeStream(transport.openStream(), new Uint8Array(5000))
    for (let i = 0; i < 500; i++) {
      const now = i * 5
      if (random.below(10) === 0) transport.sendMessage(random.bytes(1 + random.below(3000)))
      if (random.below(20) === 0) transport.ping()
      const frames = Array.from({ length: 1 + random.below(4) }, () => randomFrame(random))
      if (!victim.receive(...frames)) violations++
      for (let k = 0; transport.next(now) !== undefined; k++) assert.equal(k < 1000, true)
      transport.onDeadline(now)
      const at = transport.deadline()?.at
      assert.equal(at === undefined || Number.isFinite(at), true)
      assert.equal(transport.openStreams <= STREAMS_MAX + 6, true)
      assert.equal(transport.bytesInFlight >= 0, true)
      assert.equal(transport.backlogBytes >= 0, true)
    }
  }
  assert.equal(violations > 100, true)
})

test('a remote that acknowledges nothing gets two probes each timeout and no more', () => {
  const victim = new Victim()
  const { transport } = victim
  transport.sendMessage(BYTE)
  let datagrams = 0
  for (let now = 0; now < 600_000; now += 10) {
    transport.onDeadline(now)
    while (transport.next(now) !== undefined) datagrams++
  }
  assert.ok(datagrams > 500 && datagrams < 620, `${datagrams}`)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MALFORMED } from '../errors.ts'
import { decodeFrames, type MessageFrame } from '../wire/frames.ts'
import type { TransportEvent } from './events.ts'
import { Fifo } from './fifo.ts'
import { SendCredit } from './flow.ts'
import { OVERTAKE_BYTES } from './limits.ts'
import { OutgoingDatagram } from './outgoing-datagram.ts'
import { OutgoingMessages } from './outgoing-messages.ts'

interface Bench {
  readonly credit: SendCredit
  readonly messages: OutgoingMessages
  readonly events: Fifo<TransportEvent>
  /** Fills one datagram: the frames, and what to tell of them. */
  fill(size?: number): { frames: MessageFrame[]; datagram: OutgoingDatagram }
}

function bench(limit: number): Bench {
  const credit = new SendCredit(limit)
  const events = new Fifo<TransportEvent>()
  const messages = new OutgoingMessages(credit, events)
  const fill = (size = 1175): { frames: MessageFrame[]; datagram: OutgoingDatagram } => {
    const datagram = new OutgoingDatagram()
    datagram.begin(size)
    messages.fillDamaged(datagram)
    messages.fillSmall(datagram)
    messages.fillLarge(datagram)
    if (datagram.isEmpty) return { frames: [], datagram }
    const frames = decodeFrames(datagram.writer.done())
    assert.ok(frames !== MALFORMED, 'what is written can be read')
    return { frames: frames.filter((frame) => frame.type === 'message'), datagram }
  }
  return { credit, messages, events, fill }
}

test('small messages overtake a large one without credit by a bounded amount', () => {
  const { credit, messages, fill } = bench(1_000_000)
  messages.send(new Uint8Array(1_048_576))
  for (let i = 0; i < 1000; i++) messages.send(new Uint8Array(1000))
  while (fill().frames.length > 0);
  assert.ok(credit.used > OVERTAKE_BYTES - 1000 && credit.used <= OVERTAKE_BYTES, `${credit.used}`)
  assert.equal(messages.canSend, false)
  credit.raise(credit.used + 1_048_576 + 5000)
  assert.equal(messages.canSend, true)
  while (messages.unsentBytes > 995_000) assert.equal(fill().frames.length > 0, true)
})

test('a message takes credit for all of itself when its first byte leaves', () => {
  const { credit, messages, fill } = bench(3000)
  messages.send(new Uint8Array(2000))
  messages.send(new Uint8Array(2000))
  assert.equal(credit.used, 0)
  assert.equal(fill().frames[0]?.total, 2000)
  assert.equal(credit.used, 2000)
  fill()
  assert.deepEqual(fill().frames, [])
})

test('a small message travels whole, and many share a datagram', () => {
  const { messages, fill } = bench(1_000_000)
  for (let i = 0; i < 5; i++) messages.send(new Uint8Array(400))
  assert.deepEqual(
    [fill(), fill(), fill()].map(({ frames }) => frames.map((frame) => frame.data.length)),
    [[400, 400], [400, 400], [400]],
  )
})

test('a small message is parted where a path carries too little', () => {
  const { messages, fill } = bench(1_000_000)
  messages.send(new Uint8Array(1000))
  const parts = [fill(300), fill(300), fill(300), fill(300)].flatMap(({ frames }) => frames)
  assert.equal(
    parts.reduce((sum, part) => sum + part.data.length, 0),
    1000,
  )
  assert.equal(new Set(parts.map((part) => part.message)).size, 1)
})

test('numbers on the wire follow the order of sending, handles that of asking', () => {
  const { messages, events, fill } = bench(1_000_000)
  const large = messages.send(new Uint8Array(2000))
  const small = messages.send(new Uint8Array(10))
  const first = fill()
  assert.deepEqual(
    first.frames.map((frame) => [frame.message, frame.total]),
    [
      [0, 10],
      [1, 2000],
    ],
  )
  for (const carried of first.datagram.carried) carried.acked()
  assert.deepEqual(events.shift(), { type: 'messageAcked', message: small })
  for (const carried of fill().datagram.carried) carried.acked()
  assert.deepEqual(events.shift(), { type: 'messageAcked', message: large })
  assert.equal(messages.unackedCount, 0)
})

test('what is lost goes out again first, and is acknowledged once', () => {
  const { messages, events, fill } = bench(1_000_000)
  const handle = messages.send(new Uint8Array(1100))
  const first = fill()
  for (const carried of first.datagram.carried) carried.lost()
  messages.send(new Uint8Array(10))
  const again = fill()
  assert.deepEqual(
    again.frames.map((frame) => frame.message),
    [0, 1],
  )
  for (const { datagram } of [again, first, again])
    for (const carried of datagram.carried) carried.acked()
  assert.deepEqual(events.shift(), { type: 'messageAcked', message: handle })
  assert.equal(events.shift()?.type, 'messageAcked')
  assert.equal(events.shift(), undefined)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MALFORMED } from '../errors.ts'
import { ACK_RANGES_MAX, type AckFrame, decodeFrames } from '../wire/frames.ts'
import { Acks } from './acks.ts'
import { OutgoingDatagram } from './outgoing-datagram.ts'

function report(acks: Acks, now: number, room = 1175): { ack: AckFrame; lands: () => void } {
  const datagram = new OutgoingDatagram()
  datagram.begin(room)
  assert.equal(acks.fill(datagram, now), true)
  assert.equal(datagram.writer.length <= room, true)
  acks.onReported(true)
  const frames = decodeFrames(datagram.writer.done())
  assert.ok(frames !== MALFORMED, 'there is something to check')
  const [ack] = frames
  assert.ok(ack?.type === 'ack', 'there is something to check')
  return { ack, lands: () => datagram.carried[0]?.acked() }
}

test('the first datagram is acknowledged after 25 ms, the second at once', () => {
  const acks = new Acks()
  acks.onReceived(0, true, 100)
  assert.equal(acks.dueAt, 125)
  acks.onReceived(1, true, 110)
  assert.equal(acks.dueAt, 110)
  const { ack } = report(acks, 112)
  assert.deepEqual(ack, { type: 'ack', delayUs: 2000, ranges: [{ first: 0, last: 1 }] })
  assert.equal(acks.dueAt, Number.POSITIVE_INFINITY)
})

test('a gap and a late arrival are told at once', () => {
  const acks = new Acks()
  acks.onReceived(0, true, 0)
  report(acks, 0)
  acks.onReceived(2, true, 10)
  assert.equal(acks.dueAt, 10)
  report(acks, 10)
  acks.onReceived(1, true, 20)
  assert.equal(acks.dueAt, 20)
})

test('datagrams that ask for nothing are never acknowledged on their own', () => {
  const acks = new Acks()
  for (let i = 0; i < 100; i += 2) acks.onReceived(i, false, i)
  assert.equal(acks.dueAt, Number.POSITIVE_INFINITY)
  assert.equal(!acks.isPending, true)
})

test('only the newest ranges are kept, and no more than fit are written', () => {
  const acks = new Acks()
  for (let i = 0; i < 1000; i++) acks.onReceived(2 * i, true, i)
  const { ack } = report(acks, 1000)
  assert.equal(ack.ranges.length, ACK_RANGES_MAX)
  assert.equal(ack.ranges[0]?.last, 1998)
  acks.onReceived(2000, true, 1001)
  assert.equal(report(acks, 1001, 100).ack.ranges.length < 10, true)
})

test('ranges go once the remote knows of them', () => {
  const acks = new Acks()
  for (const number of [0, 2, 4]) acks.onReceived(number, true, number)
  const { lands } = report(acks, 5)
  for (const number of [6, 8]) acks.onReceived(number, true, number)
  lands()
  assert.deepEqual(
    report(acks, 9).ack.ranges.map((range) => range.last),
    [8, 6],
  )
})

test('a receiver that only acknowledges asks for an acknowledgement now and then', () => {
  const acks = new Acks()
  let pings = 0
  for (let i = 0; i < 200; i++) {
    acks.onReceived(2 * i, true, i)
    if (acks.wantsPing) {
      pings++
      acks.onReported(false)
    } else report(acks, i)
  }
  assert.ok(pings >= 3 && pings <= 10, `${pings}`)
})

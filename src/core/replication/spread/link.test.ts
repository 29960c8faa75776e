import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MALFORMED } from '../../errors.ts'
import { ANNOUNCED_MAX, Link, QUEUED_PACKETS_MAX, UNDER_WAY_MAX } from './link.ts'
import { heldPacket, Neighbour, shortName } from './neighbours.fixture.ts'
import {
  decodeSpreadMessage,
  encodePacketMessage,
  KIND_HAVE,
  SHORTS_MAX,
} from './spread-messages.ts'

function linkTo(neighbour: Neighbour): Link {
  return new Link(neighbour.port, 1, (payload, onAcked) => neighbour.send(payload, onAcked))
}

function queued(number: number) {
  const held = heldPacket(number)
  const { name, tag } = held
  return { name, short: shortName(held), tag, copies: 1, wantsReceipt: false }
}

// Turns red when either bound goes.
test('what waits for a neighbour is bounded: packets under way, queued ones and announcements', () => {
  const neighbour = new Neighbour(1)
  const link = linkTo(neighbour)
  const encode = ({ name }: { name: string }) =>
    encodePacketMessage(Buffer.from(name, 'hex'), 1, false)
  const total = UNDER_WAY_MAX + QUEUED_PACKETS_MAX + ANNOUNCED_MAX + 500
  for (let i = 1; i <= total; i++) {
    link.push(queued(i))
    link.pump(encode, () => undefined)
  }
  assert.equal(neighbour.packets.length, UNDER_WAY_MAX)
  assert.equal(link.queued, QUEUED_PACKETS_MAX)
  assert.equal(link.flushAnnouncements(), ANNOUNCED_MAX)
  assert.equal(neighbour.of(KIND_HAVE).length, ANNOUNCED_MAX / SHORTS_MAX)
  neighbour.ackAll()
  assert.equal(link.queued, 0)
  assert.equal(neighbour.packets.length, UNDER_WAY_MAX + QUEUED_PACKETS_MAX)
})

test('what is not held any more when its turn comes is left out', () => {
  const neighbour = new Neighbour(1)
  const link = linkTo(neighbour)
  for (const number of [1, 2, 3]) link.push(queued(number))
  const gone = queued(2).name
  link.give([queued(2).name, queued(4).name])
  link.pump(
    ({ name }) =>
      name === gone ? undefined : encodePacketMessage(Buffer.from(name, 'hex'), 1, false),
    (name) => (name === gone ? undefined : { ...queued(4), name }),
  )
  assert.deepEqual(
    neighbour.packets.map(({ short }) => short),
    [1, 3, 4].map((number) => queued(number).short),
  )
  assert.equal(!link.isGiving, true)
})

test('every message that a link sends can be read', () => {
  const neighbour = new Neighbour(1)
  const link = linkTo(neighbour)
  for (let i = 1; i <= 2 * SHORTS_MAX + 1; i++) link.announce(queued(i).short)
  link.flushAnnouncements()
  assert.deepEqual(
    neighbour.of(KIND_HAVE).map(({ length }) => length),
    [SHORTS_MAX, SHORTS_MAX, 1],
  )
  assert.equal(decodeSpreadMessage(Uint8Array.of(KIND_HAVE)), MALFORMED)
})

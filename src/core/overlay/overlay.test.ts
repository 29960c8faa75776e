import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { SeededRandom } from '../../sim/random.ts'
import { MALFORMED } from '../errors.ts'
import type { Endpoint, Instant, LocalAddress, PeerId, UnixMs } from '../io.ts'
import { decodeHandshake } from '../wire/datagram.ts'
import { Beacon } from './beacon.ts'
import { ADDRESSES_MAX, HEARSAY_PER_TELLER_MAX, KNOWN_MAX, KnownPeers } from './known-peers.ts'
import { decodeOverlayMessage, encodeOverlayMessage } from './messages.ts'
import { decodeRemembered, encodeRemembered } from './remembered.ts'

test('overlay messages round trip, and no bytes make the decoder throw', () => {
  const peers = [id(1), id(2)]
  for (const type of ['peers', 'newcomers'] as const) {
    assert.deepEqual(decodeOverlayMessage(encodeOverlayMessage({ type, peers })), { type, peers })
  }
  const near = { type: 'near', place: '0123456789abcdef' } as const
  assert.deepEqual(decodeOverlayMessage(encodeOverlayMessage(near)), near)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      decodeOverlayMessage(bytes)
      decodeRemembered(bytes)
    }),
  )
})

test('more ids than one message may hold are refused, and so is half an id', () => {
  const peers = Array.from({ length: 257 }, (_, i) => id(i))
  assert.equal(decodeOverlayMessage(encodeOverlayMessage({ type: 'peers', peers })), MALFORMED)
  const bytes = encodeOverlayMessage({ type: 'peers', peers: peers.slice(0, 2) })
  assert.equal(decodeOverlayMessage(bytes.subarray(0, -1)), MALFORMED)
})

test('what is remembered of a peer reads back; a damaged record is malformed', () => {
  const remembered = { seenAt: 1_790_000_000_000 as UnixMs, addresses: [address(1)] }
  const bytes = encodeRemembered(remembered)
  assert.deepEqual(decodeRemembered(bytes), remembered)
  assert.equal(decodeRemembered(bytes.subarray(0, -1)), MALFORMED)
  assert.equal(decodeRemembered(Uint8Array.of(9, ...bytes.subarray(1))), MALFORMED)
})

test('hearsay pushes out neither peers that the app named nor those we met, and cannot grow the table', () => {
  const dropped = new Set<PeerId>()
  const known = new KnownPeers(id(999_999), {
    dropped: (peer) => dropped.add(peer),
    isMet: () => false,
  })
  const named = known.ensure(id(0))
  const met = known.ensure(id(1))
  assert.ok(named !== undefined && met !== undefined)
  named.isKept = true
  for (let i = 2; i < 5 * KNOWN_MAX; i++) {
    const peer = known.hear(id(i), id(100_000 + (i % 7)))
    if (peer === undefined) continue
    known.addAddresses(
      peer,
      Array.from({ length: 20 }, (_, k) => address(k)),
    )
    assert.ok(peer.addresses.length <= ADDRESSES_MAX)
  }
  assert.equal(known.size, KNOWN_MAX)
  assert.equal(known.get(id(0)), named)
  assert.equal(known.get(id(1)), met)
  assert.equal(dropped.size, 5 * KNOWN_MAX - 2 - (KNOWN_MAX - 2))
})

test('what one neighbour tells fills half of the table at most', () => {
  const known = new KnownPeers(id(999_999), UNMET)
  for (let i = 0; i < 4 * KNOWN_MAX; i++) known.hear(id(i), id(100_001))
  assert.equal(known.size, HEARSAY_PER_TELLER_MAX)
  const first = known.get(id(0))
  assert.equal(first?.teller, id(100_001))
  known.ensure(id(0))
  assert.equal(first?.teller, undefined, 'once met it is not hearsay')
  assert.notEqual(known.hear(id(50_000), id(100_001)), undefined, 'and its place is free again')
})

test('liars that fill the table push out what they told, not what an honest neighbour told', () => {
  const known = new KnownPeers(id(999_999), UNMET)
  for (let i = 0; i < 40; i++) known.hear(id(i), id(100_000))
  for (let i = 0; i < 8 * KNOWN_MAX; i++) known.hear(id(1_000 + i), id(100_001 + (i % 8)))
  assert.equal(known.size, KNOWN_MAX)
  for (let i = 0; i < 40; i++) assert.notEqual(known.get(id(i)), undefined, `honest ${i}`)
})

test('beacons come densely, then rarely; our own and repeated ones draw nothing', () => {
  const beacon = new Beacon(new SeededRandom(1), 0 as Instant)
  const times: number[] = []
  let data = new Uint8Array()
  while (times.length < 10) {
    const { at } = beacon.deadline()
    const due = beacon.takeDue(at)
    assert.ok(due !== undefined)
    times.push(at)
    data = due.data as Uint8Array<ArrayBuffer>
  }
  assert.deepEqual(times, [0, 250, 1000, 3000, 7000, 15000, 31000, 63000, 123000, 183000])
  const own = decodeHandshake(data)
  assert.ok(own !== MALFORMED && own.type === 'beacon')
  const from: Endpoint = { kind: 'udp', socket: 2, host: '10.0.0.1', port: 5 }
  assert.equal(beacon.hear(own.nonce, from), undefined)
  const other = new Uint8Array(8).fill(1)
  assert.equal(beacon.hear(other, from)?.socket, 0)
  assert.equal(beacon.hear(other, from), undefined)
})

const UNMET = { dropped: () => undefined, isMet: () => false }

function id(n: number): PeerId {
  return n.toString(16).padStart(64, '0') as PeerId
}

function address(n: number): LocalAddress {
  return { host: `198.18.${n >> 8}.${n & 255}`, port: 1000 }
}

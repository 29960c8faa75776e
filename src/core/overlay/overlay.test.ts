import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { SeededRandom } from '../../sim/random.ts'
import { MALFORMED } from '../errors.ts'
import type { Endpoint, Instant, LocalAddress, PeerId, UnixMs } from '../io.ts'
import { ReflexiveAddresses } from '../nat/reflexive.ts'
import { decodeHandshake } from '../wire/datagram.ts'
import { Beacon } from './beacon.ts'
import { ADDRESSES_MAX, KNOWN_MAX, KnownPeers } from './known-peers.ts'
import { decodeOverlayMessage, encodeCandidates, encodePeers } from './messages.ts'
import { decodeRemembered, encodeRemembered } from './remembered.ts'

test('overlay messages round trip, and no bytes make the decoder throw', () => {
  const peers = [id(1), id(2)]
  assert.deepEqual(decodeOverlayMessage(encodePeers(peers)), { type: 'peers', peers })
  const addresses = [address(1), { host: '2001:db8::1', port: 2 }]
  assert.deepEqual(decodeOverlayMessage(encodeCandidates(addresses)), {
    type: 'candidates',
    addresses,
  })
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      decodeOverlayMessage(bytes)
      decodeRemembered(bytes)
    }),
  )
})

test('more ids or addresses than one message may hold are refused', () => {
  const many = Array.from({ length: 257 }, (_, i) => id(i))
  assert.equal(decodeOverlayMessage(encodePeers(many)), MALFORMED)
  const places = Array.from({ length: 9 }, (_, i) => address(i))
  assert.equal(decodeOverlayMessage(encodeCandidates(places)), MALFORMED)
})

test('what is remembered of a peer reads back; a damaged record is malformed', () => {
  const remembered = { seenAt: 1_790_000_000_000 as UnixMs, addresses: [address(1)] }
  const bytes = encodeRemembered(remembered)
  assert.deepEqual(decodeRemembered(bytes), remembered)
  assert.equal(decodeRemembered(bytes.subarray(0, -1)), MALFORMED)
  assert.equal(decodeRemembered(Uint8Array.of(9, ...bytes.subarray(1))), MALFORMED)
})

test('hearsay cannot push out peers that the app named, nor grow the table', () => {
  const known = new KnownPeers()
  const kept = known.ensure(id(0))
  assert.ok(kept !== undefined)
  kept.isKept = true
  for (let i = 1; i < 3 * KNOWN_MAX; i++) {
    const peer = known.ensure(id(i))
    if (peer !== undefined) {
      known.addAddresses(
        peer,
        Array.from({ length: 20 }, (_, k) => address(k)),
      )
      for (let k = 0; k < 20; k++) known.addVia(peer, id(k))
      assert.ok(peer.addresses.length <= ADDRESSES_MAX && peer.via.size <= 4)
    }
  }
  assert.equal(known.size, KNOWN_MAX)
  assert.equal(known.get(id(0)), kept)
})

test('one liar among three reporters does not move our address', () => {
  const reflexive = new ReflexiveAddresses()
  reflexive.report(id(1), address(1))
  assert.deepEqual(reflexive.candidates(), [address(1)], 'with nobody else to ask, one is believed')
  reflexive.report(id(2), address(1))
  reflexive.report(id(3), address(66))
  assert.deepEqual(reflexive.candidates(), [address(1)])
  for (let i = 0; i < 1000; i++) reflexive.report(id(i), address(i))
  assert.ok(reflexive.candidates().length <= 4)
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

function id(n: number): PeerId {
  return n.toString(16).padStart(64, '0') as PeerId
}

function address(n: number): LocalAddress {
  return { host: `198.18.${n >> 8}.${n & 255}`, port: 1000 }
}

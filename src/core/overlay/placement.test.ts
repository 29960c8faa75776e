import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRandom } from '../../sim/random.ts'
import type { PeerId } from '../io.ts'
import { toHex } from '../wire/bytes.ts'
import { distanceOf, pointOf } from './id-space.ts'
import { LivePeers } from './live-peers.ts'
import { CUSTODIANS, NetworkPlacement, SMALL_AGAIN, SMALL_MAX, sharedBits } from './placement.ts'

const LEAVES = 24

test('up to 192 peers everyone keeps everything', () => {
  const ids = network(SMALL_MAX, 'small')
  const placement = placementOf(ids, ids.length - 1)
  assert.equal(placement.networkSize, SMALL_MAX)
  assert.equal(placement.isSmall, true)
  assert.equal(placement.ownBits, 0)
  for (const location of network(50, 'tags')) {
    assert.ok(placement.isOurs(location))
    assert.ok(placement.custodiansOf(location)(pointOf(ids[5] ?? self(ids))))
  }
})

test('that stays so in a network about as large, and does not flap', () => {
  let known = SMALL_MAX - 1
  const live = new LivePeers(self(network(1, 'flap')))
  const placement = new NetworkPlacement(live, () => known)
  assert.equal(placement.isSmall, true)
  known = SMALL_MAX
  assert.equal(placement.isSmall, false)
  known = SMALL_AGAIN
  assert.equal(placement.isSmall, false, 'not small again at once')
  known = SMALL_AGAIN - 2
  assert.equal(placement.isSmall, true)
})

test('hearsay alone makes no network large: the nearest sessions have to be as near', () => {
  const ids = network(100, 'liar')
  assert.equal(placementOf(ids, 1_000).isSmall, true)
  const large = placementOf(network(1_000, 'large'), 999)
  assert.equal(large.isSmall, false)
})

test('the size of a large network is told from the nearest sessions within a factor of two', () => {
  for (const size of [500, 2_000, 8_000]) {
    const ratios = Array.from({ length: 20 }, (_, i) => {
      const ids = network(size, `size ${i}`)
      return placementOf(ids, 1_000).networkSize / size
    })
    const mean = ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length
    assert.ok(mean > 0.8 && mean < 1.4, `${mean}`)
    for (const ratio of ratios) assert.ok(ratio > 0.4 && ratio < 2.5, `${ratio}`)
  }
})

test('our own bits are the most that 20 peers share with us, found with the nearest sessions alone', () => {
  for (let i = 0; i < 20; i++) {
    const ids = network(1_000, `bits ${i}`)
    const { ownBits } = placementOf(ids, 999)
    const sharing = (bits: number) => ids.filter((id) => sharedBits(id, self(ids)) >= bits).length
    assert.ok(sharing(ownBits) >= CUSTODIANS)
    assert.ok(sharing(ownBits + 1) < CUSTODIANS)
  }
})

test('every location has custodians who know that they are, and who are about 20 to 40', (t) => {
  const ids = network(600, 'everyone')
  const placements = ids.map((id) => placementOf([id, ...ids.filter((other) => other !== id)], 599))
  const counts = network(100, 'locations').map(
    (location) => placements.filter((placement) => placement.isOurs(location)).length,
  )
  counts.sort((a, b) => a - b)
  t.diagnostic(`custodians: ${counts[0]} to ${counts.at(-1)}, median ${counts[50]}`)
  assert.ok((counts[0] ?? 0) >= 5)
  assert.ok((counts[50] ?? 0) >= CUSTODIANS && (counts.at(-1) ?? 0) < 3 * CUSTODIANS)
})

test('who shares our neighbourhood is known as custodian of what is ours', () => {
  const ids = network(1_000, 'near')
  const placement = placementOf(ids, 999)
  const location = `${self(ids).slice(0, 8)}${'0'.repeat(56)}`
  assert.ok(placement.isOurs(location))
  for (const id of ids) {
    const shares = sharedBits(id, self(ids)) >= placement.ownBits
    assert.equal(placement.custodiansOf(location)(pointOf(id)), shares)
  }
})

test('elsewhere the custodians are told by the size of the network, within one bit', () => {
  const ids = network(1_000, 'far')
  const placement = placementOf(ids, 999)
  for (const location of network(50, 'far locations')) {
    if (placement.isOurs(location)) continue
    const count = ids.map(pointOf).filter(placement.custodiansOf(location)).length
    assert.ok(count >= 5 && count <= 100, `${count}`)
  }
})

test('regions say the same as asking for each peer and location', () => {
  for (const size of [100, 250, 1_000]) {
    const ids = network(size, 'regions')
    const placement = placementOf(ids, size - 1)
    const near = (i: number) => `${self(ids).slice(0, i)}${'5'.repeat(64 - i)}`
    const places = [
      ...network(50, 'places of regions'),
      ...Array.from({ length: 20 }, (_, i) => near(i)),
    ]
    for (const peer of [...ids, near(4), near(10), near(15)].map(pointOf))
      for (const place of places) {
        const isWithin = placement.regionsOf(peer).includes(placement.regionOf(place))
        assert.equal(isWithin, placement.custodiansOf(place)(peer))
      }
  }
})

test('the sessions nearer to a place than we are, the nearest first', () => {
  const ids = network(200, 'nearer')
  const placement = placementOf(ids, 300, 199)
  for (const location of network(20, 'places')) {
    const from = (id: string) => distanceOf(pointOf(id), pointOf(location))
    const nearer = ids.filter((id) => from(id) < from(self(ids))).sort((a, b) => from(a) - from(b))
    assert.deepEqual(placement.nearer(location, 3), nearer.slice(0, 3))
  }
})

test('the bits that two ids share', () => {
  assert.equal(sharedBits('00'.repeat(32), `80${'00'.repeat(31)}`), 0)
  assert.equal(sharedBits('00'.repeat(32), `0${'1'.repeat(63)}`), 7)
  assert.equal(sharedBits('00'.repeat(32), `${'00'.repeat(5)}01${'00'.repeat(26)}`), 47)
  assert.equal(sharedBits('ff'.repeat(32), 'ff'.repeat(32)), 64)
})

/** The first one's view, who has sessions with the nearest. */
function placementOf(ids: readonly PeerId[], known: number, sessions = LEAVES): NetworkPlacement {
  const own = pointOf(self(ids))
  const live = new LivePeers(self(ids))
  const others = ids.slice(1).map((id) => ({ id, distance: distanceOf(pointOf(id), own) }))
  others.sort((a, b) => a.distance - b.distance)
  for (const { id } of others.slice(0, sessions)) live.add(id)
  return new NetworkPlacement(live, () => known)
}

function network(size: number, seed: string): PeerId[] {
  const random = new SeededRandom(seed)
  return Array.from({ length: size }, () => toHex(random.bytes(32)) as PeerId)
}

function self(ids: readonly PeerId[]): PeerId {
  const [first] = ids
  assert.ok(first !== undefined)
  return first
}

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PeerId } from '../io.ts'
import { SeededRandom } from '../seeded.fixture.ts'
import { toHex } from '../wire/bytes.ts'
import { distanceOf, pointOf } from './id-space.ts'
import { LivePeers } from './live-peers.ts'

const random = new SeededRandom(7)
const anywhere = () => toHex(random.bytes(32)) as PeerId
/** One that begins with the same digits. */
const beside = (id: string, digits: number) =>
  `${id.slice(0, digits)}${anywhere().slice(digits)}` as PeerId

test('the nearest to a place are those that comparing every one finds', () => {
  const live = new LivePeers(anywhere())
  const peers: PeerId[] = []
  for (let round = 0; round < 300; round++) {
    const crowded = beside(peers[0] ?? anywhere(), round % 12)
    const coming = round % 3 === 0 ? crowded : anywhere()
    live.add(coming)
    peers.push(coming)
    if (round % 4 === 3) {
      const [going] = peers.splice(random.bytes(1)[0] ?? 0, 1)
      if (going !== undefined) live.delete(going)
    }
    for (const place of [anywhere(), coming, crowded, '0'.repeat(64), 'f'.repeat(64)]) {
      const from = (id: string) => distanceOf(pointOf(id), pointOf(place))
      const ordered = peers.toSorted((a, b) => from(a) - from(b))
      for (const count of [0, 1, 3, 16, 1_000]) {
        const near = live.near(pointOf(place), count).map(({ peer }) => peer)
        assert.deepEqual(near, ordered.slice(0, count))
      }
    }
  }
})

test('a peer that comes twice is there once, and one that was not there cannot go', () => {
  const live = new LivePeers(anywhere())
  const peer = anywhere()
  live.add(peer)
  live.add(peer)
  live.delete(anywhere())
  assert.deepEqual(
    live.near(pointOf(peer), 3).map((each) => each.peer),
    [peer],
  )
  live.delete(peer)
  assert.deepEqual(live.near(pointOf(peer), 3), [])
  assert.equal(live.size, 0)
})

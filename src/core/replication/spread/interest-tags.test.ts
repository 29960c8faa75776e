import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PeerId } from '../../io.ts'
import { pointOf } from '../../overlay/id-space.ts'
import { LivePeers } from '../../overlay/live-peers.ts'
import { NetworkPlacement, type Placement, smallPlacement } from '../../overlay/placement.ts'
import { SeededRandom } from '../../seeded.fixture.ts'
import { toHex } from '../../wire/bytes.ts'
import { InterestTags, REGIONS_MAX } from './interest-tags.ts'
import { INTEREST_TAGS_MAX, tagPrefix } from './spread-messages.ts'

const NONE: readonly string[] = []
const random = new SeededRandom(11)
const id = () => toHex(random.bytes(32)) as PeerId
const ids = (count: number) => Array.from({ length: count }, id)

/** A peer with so many sessions, in a network that it takes for as large as they say. */
class InterestBench {
  readonly peers: PeerId[] = []
  readonly live = new LivePeers(id())
  readonly placement = new NetworkPlacement(this.live, () => this.peers.length)
  openly: readonly string[] = []
  privately: readonly string[] = []
  readonly interest = new InterestTags({
    placement: () => this.placement,
    location: (tag) => tag.split('').toReversed().join(''),
    followedOpenly: () => this.openly,
    followedPrivately: () => this.privately,
  })

  meet(count: number): void {
    for (const peer of ids(count)) {
      this.peers.push(peer)
      this.live.add(peer)
    }
  }

  told(peer: string): readonly string[] {
    return this.interest.of(pointOf(peer)).tags
  }

  /** By asking for each tag and peer. */
  expected(peer: string): readonly string[] {
    const { openly, privately, placement } = this
    const kept = privately.filter((tag) =>
      placement.custodiansOf(tag.split('').toReversed().join(''))(pointOf(peer)),
    )
    return [...openly, ...kept].map(tagPrefix).slice(0, INTEREST_TAGS_MAX)
  }
}

test('each neighbour is told what is open, and of the private tags those that it keeps', () => {
  const bench = new InterestBench()
  bench.meet(100)
  bench.openly = ids(10)
  bench.privately = ids(200)
  assert.deepEqual(bench.told(id()), [], 'who keeps everything is told of nothing')
  bench.meet(100)
  for (let round = 0; round < 20; round++) {
    bench.meet(60)
    bench.privately = [...ids(100), ...bench.privately.slice(0, round % 3 === 0 ? 50 : 2_000)]
    if (round % 5 === 0) bench.openly = ids(round)
    for (const peer of bench.peers.slice(-25))
      assert.deepEqual(bench.told(peer), bench.expected(peer))
  }
})

test('what is open comes first, and no more is told than fits', () => {
  const bench = new InterestBench()
  bench.meet(300)
  bench.openly = ids(INTEREST_TAGS_MAX - 1)
  bench.privately = ids(10_000)
  const [peer = ''] = bench.peers
  assert.deepEqual(bench.told(peer).slice(0, -1), bench.openly.map(tagPrefix))
  assert.equal(bench.told(peer).length, INTEREST_TAGS_MAX)
  bench.openly = ids(INTEREST_TAGS_MAX + 1)
  assert.deepEqual(bench.told(peer), bench.openly.map(tagPrefix).slice(0, INTEREST_TAGS_MAX))
})

test('peers are told the same, in the same words, while nothing that concerns them changes', () => {
  const bench = new InterestBench()
  bench.meet(300)
  bench.openly = ids(3)
  bench.privately = ids(100)
  const [peer = ''] = bench.peers
  const before = bench.interest.of(pointOf(peer))
  assert.equal(bench.interest.of(pointOf(peer)), before, 'nothing is worked out again')
  bench.privately = [...bench.privately]
  assert.equal(bench.interest.of(pointOf(peer)).text, before.text)
  bench.openly = ids(3)
  assert.notEqual(bench.interest.of(pointOf(peer)).text, before.text)
})

// Turns red when neighbours can make us remember what each of them was told.
test('what is remembered for neighbours is bounded, wherever they say they are', () => {
  const placement: Placement = {
    ...smallPlacement(() => 1_000_000),
    isSmall: false,
    regionsOf: ({ high, low }) => [`${high} ${low}`],
  }
  const open = ids(1)
  const interest = new InterestTags({
    placement: () => placement,
    location: (tag) => tag,
    followedOpenly: () => open,
    followedPrivately: () => NONE,
  })
  const peers = ids(REGIONS_MAX + 1).map(pointOf)
  const [first = pointOf('')] = peers
  const before = interest.of(first)
  for (const peer of peers) interest.of(peer)
  assert.notEqual(interest.of(first), before, 'the first was forgotten')
  assert.deepEqual(interest.of(first), before)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRandom } from '../../sim/random.ts'
import type { Instant, PeerId } from '../io.ts'
import { toHex } from '../wire/bytes.ts'
import { distanceOf, pointOf } from './id-space.ts'
import { GOAL_PEERS, LEAF_PEERS, TRIES_MAX } from './neighbour-choice.ts'
import { Host } from './neighbour-host.fixture.ts'
import type { Neighbour } from './neighbour-host.ts'

/** Beyond 64 peers: whom a peer of a large network dials, keeps and lets go. */
const [SELF = '' as PeerId, ...OTHERS] = ids(1_001, 'network')
const MINUTE_MS = 60_000

test('of a thousand peers it dials the nearest and a few others, through whoever told of them', () => {
  const host = new Host(SELF)
  meet(host, OTHERS)
  const met = new Set(host.dials.map(({ peer }) => peer))
  for (const peer of nearest(OTHERS, SELF, LEAF_PEERS)) assert.ok(met.has(peer))
  assert.ok(met.size <= 64 + 50, `${met.size} dials`)
  const rest = [...host.sessions()].filter(({ peer }) => !isNear(peer))
  assert.ok(rest.length >= 8, `${rest.length} others`)
})

test('two neighbours tell of made-up peers that are nearer than any: the real ones are dialled too', () => {
  const host = new Host(SELF)
  meet(host, OTHERS.slice(0, 200))
  const [liar, honest] = [OTHERS[300], OTHERS[301]]
  assert.ok(liar !== undefined && honest !== undefined)
  const near = (n: number) => (SELF.slice(0, 8) + n.toString(16).padStart(56, '0')) as PeerId
  host.hear(
    host.up(liar),
    'peers',
    Array.from({ length: 256 }, (_, i) => near(i + 1)),
  )
  host.runTo(host.now + 100)
  const real = Array.from({ length: 8 }, (_, i) => near(0xffff0000 + i))
  host.hear(host.up(honest), 'peers', real)
  host.runTo(host.now + 100)
  for (let round = 0; round < 3; round++) {
    for (const peer of real) if (host.isDialing(peer)) host.up(peer)
    host.runTo(host.now + 100)
  }
  for (const peer of real) assert.ok(host.sessionOf(peer) !== undefined)
  assert.ok(host.dials.filter(({ peer }) => peer?.startsWith(SELF.slice(0, 8))).length < 30)
})

test("whoever cannot be reached is forgotten after its tries, and takes nobody's place", () => {
  const host = new Host(SELF)
  meet(host, OTHERS.slice(0, 200))
  const [teller] = OTHERS
  const [ghost] = nearest(OTHERS.slice(200), SELF, 1)
  assert.ok(teller !== undefined && ghost !== undefined)
  host.hear(host.sessionOf(teller) ?? host.up(teller), 'peers', [ghost])
  for (let tries = 0; tries < 2 * TRIES_MAX; tries++) {
    host.runTo(host.now + MINUTE_MS)
    if (host.isDialing(ghost)) host.giveUp(ghost)
  }
  assert.equal(host.dials.filter(({ peer }) => peer === ghost).length, TRIES_MAX)
})

test('those that nobody needs are let go, but not members and whom the app named', () => {
  const host = new Host(SELF)
  const far = [...OTHERS].sort((a, b) => from(b, SELF) - from(a, SELF))
  const [named, member, ...others] = far
  assert.ok(named !== undefined && member !== undefined)
  for (const peer of [...others.slice(0, 300), named, member]) host.up(peer)
  for (const peer of nearest(OTHERS, SELF, LEAF_PEERS)) host.up(peer)
  host.neighbours.addBootstrap({ peer: named, addresses: [] }, host.now)
  host.members.add(member)
  host.runTo(9_000)
  assert.equal(host.letGone.length, 0)
  host.runTo(30_000)
  assert.equal([...host.sessions()].length, 64)
  for (const peer of [named, member, ...nearest(OTHERS, SELF, LEAF_PEERS)]) {
    assert.ok(host.sessionOf(peer) !== undefined)
  }
})

test('who let us go is left alone for ten minutes, unless hardly anybody is left', () => {
  const host = new Host(SELF)
  meet(host, OTHERS.slice(0, 200))
  const [gone] = nearest(OTHERS.slice(0, 200), SELF, 1)
  const session = gone && host.sessionOf(gone)
  assert.ok(gone !== undefined && session !== undefined)
  const dials = () => host.dials.filter(({ peer }) => peer === gone).length
  const before = dials()
  host.letGo(gone)
  for (let minute = 0; minute < 9; minute++) host.runTo(host.now + MINUTE_MS)
  assert.equal(dials(), before)
  host.runTo(host.now + 3 * MINUTE_MS)
  assert.equal(dials(), before + 1)
})

test('three custodians of each goal are met, by asking those who are nearer and nearer', () => {
  const host = new Host(SELF)
  const [goal = ''] = ids(1, 'goal')
  meet(host, OTHERS.slice(0, 200))
  host.neighbours.setGoals([goal], host.now)
  const asked = [...host.sessions()].filter((session) => isAsked(host, session, goal))
  assert.equal(asked.length, 1)
  const [first] = asked
  assert.ok(first !== undefined)
  const wanted = nearest(OTHERS, goal, GOAL_PEERS)
  host.hear(first, 'peers', nearest(OTHERS, goal, 16))
  host.runTo(host.now + 100)
  const custodians = () =>
    [...host.sessions()]
      .map(({ peer }) => pointOf(peer))
      .filter(host.neighbours.placement.custodiansOf(goal))
  assert.ok(custodians().length < GOAL_PEERS)
  for (const peer of wanted) {
    if (!host.isDialing(peer)) continue
    const session = host.up(peer)
    const isReached = custodians().length >= GOAL_PEERS
    assert.equal(isAsked(host, session, goal), !isReached, 'it is asked in turn')
    assert.ok(host.neighbours.kept().has(peer))
  }
  assert.ok(custodians().length >= GOAL_PEERS)
  const told = () => [...host.sessions()].filter((session) => isAsked(host, session, goal)).length
  const before = told()
  host.runTo(host.now + 10 * MINUTE_MS)
  assert.equal(told(), before, 'nobody is asked for what is reached')
})

test('a flood of questions who is near is answered within a budget', () => {
  const host = new Host(SELF)
  meet(host, OTHERS.slice(0, 100))
  const asker = host.up(OTHERS[500] as PeerId)
  const before = host.told(asker).length
  for (let i = 0; i < 10_000; i++) {
    host.neighbours.message(asker, { type: 'near', place: 'ab'.repeat(8) }, host.now)
  }
  assert.ok(host.told(asker).length - before <= 128)
})

test('what was heard long ago and never met does not count', () => {
  const host = new Host(SELF)
  meet(host, OTHERS)
  const { networkSize } = host.neighbours.placement
  assert.ok(networkSize > 300, `${networkSize}`)
  host.runTo(host.now + 40 * MINUTE_MS)
  assert.ok(host.neighbours.placement.networkSize < 192, 'only those it has sessions with')
})

/** Whoever is dialled answers, and one of the network tells of all. */
function meet(host: Host, peers: readonly PeerId[]): void {
  const tellers = peers.slice(0, 8)
  for (const peer of tellers) host.up(peer)
  for (let i = 0; i < peers.length; i += 128) {
    const teller = host.sessionOf(tellers[(i / 128) % tellers.length] as PeerId)
    assert.ok(teller !== undefined)
    host.hear(teller, 'peers', peers.slice(i, i + 128))
  }
  for (let round = 0; round < 20; round++) {
    host.runTo((host.now + 100) as Instant)
    for (const { peer } of [...host.dials]) {
      if (peer !== undefined && host.isDialing(peer)) host.up(peer)
    }
  }
}

function isAsked(host: Host, session: Neighbour, place: string): boolean {
  return host.told(session).some((told) => told.type === 'near' && place.startsWith(told.place))
}

function isNear(peer: PeerId): boolean {
  return nearest(OTHERS, SELF, LEAF_PEERS).includes(peer)
}

function nearest(peers: readonly PeerId[], place: string, count: number): PeerId[] {
  return [...peers].sort((a, b) => from(a, place) - from(b, place)).slice(0, count)
}

function from(peer: string, place: string): number {
  return distanceOf(pointOf(peer), pointOf(place))
}

function ids(count: number, seed: string): PeerId[] {
  const random = new SeededRandom(seed)
  return Array.from({ length: count }, () => toHex(random.bytes(32)) as PeerId)
}

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sodiumNative } from '../../../crypto/sodium-native.ts'
import { SeededRandom } from '../../seeded.fixture.ts'
import { type MadePacket, madePacket, StoreBench, WALL } from '../cache/packets.fixture.ts'
import { growTree } from '../leaf-tree.ts'
import {
  LEAF_WAIT_MS,
  PROGRESS_MS,
  ROOTS_ACTIVE_MAX,
  ROOTS_WAITING_MAX,
  STALL_MS,
  TURN_MS,
  WINDOW_MAX,
} from './leaf-fetch.ts'
import {
  decodeLeafMessage,
  encodeLackLeaves,
  encodeLeaf,
  indexesOf,
  KIND_LACK_LEAVES,
  KIND_LEAF,
  KIND_WANT_LEAVES,
  placesOf,
} from './leaf-messages.ts'
import { type HolderNode, LeafWorld, peerId } from './leaf-world.fixture.ts'
import { HOLDERS_MAX } from './root-fetch.ts'

const crypto = sodiumNative()

function leavesSent(node: HolderNode): number {
  return node.sent.get(KIND_LEAF) ?? 0
}

/** How many leaves were asked of a peer. */
function asked(world: LeafWorld, node: HolderNode): number {
  let count = 0
  for (const request of world.requests.get(node.peer) ?? []) {
    const message = decodeLeafMessage(request)
    assert.ok(typeof message === 'object' && message.kind === KIND_WANT_LEAVES)
    count += [...indexesOf(message)].length
  }
  return count
}

function assertWhole(world: LeafWorld, made: MadePacket): void {
  const { leaves } = world.bench.store.get(made.name) ?? {}
  assert.equal(leaves?.isComplete, true)
  const payload = made.leaves.filter(({ level }) => level === 0)
  assert.deepEqual(
    payload.map(({ index }) => leaves?.get(0, index)),
    payload.map((l) => l.bytes),
  )
  assert.equal(world.whole.includes(made.name), true)
}

test('a large message is fetched level by level, each leaf once', () => {
  const made = madePacket(1, { payloadBytes: 1_000_000 })
  const world = new LeafWorld()
  const node = world.addHolder(20, [made])
  const held = world.want(made)
  assert.equal(world.fetch.deadline(), undefined, 'nobody has it')
  world.fetch.holder(made.name, node.peer, world.now)
  world.fetch.want(held, world.now)
  world.fetch.holder(made.name, node.peer, world.now)
  world.run(3000)
  assertWhole(world, made)
  assert.deepEqual(world.whole, [made.name])
  assert.equal(leavesSent(node), made.leaves.length)
  assert.equal(asked(world, node), made.leaves.length)
  assert.equal((world.requests.get(node.peer)?.length ?? 0) < made.leaves.length / 8, true)
  assert.deepEqual(world.rejected, [])
  assert.equal(world.fetch.deadline(), undefined)
  assert.equal(world.fetch.holderCount, 0)
})

test('what is known to be missing is asked of all holders, and of none more than a window', () => {
  const made = madePacket(1, { payloadBytes: 3_000_000 })
  const world = new LeafWorld()
  const nodes = [10, 20, 40].map((rttMs) => world.addHolder(rttMs, [made]))
  world.want(made)
  for (const { peer } of nodes) world.fetch.holder(made.name, peer, world.now)
  let most = 0
  for (let i = 0; i < 3000; i++) {
    world.run(1)
    for (const node of nodes) most = Math.max(most, asked(world, node) - leavesSent(node))
  }
  assertWhole(world, made)
  assert.equal(most > WINDOW_MAX / 4 && most <= WINDOW_MAX, true, `${most}`)
  const shares = nodes.map(leavesSent)
  assert.equal(
    shares.reduce((a, b) => a + b),
    made.leaves.length,
  )
  for (const share of shares) assert.equal(share > made.leaves.length / 10, true, `${shares}`)
})

test('even a small one comes from two holders when there are two', () => {
  const made = madePacket(1, { payloadBytes: 30_000 })
  const world = new LeafWorld()
  const nodes = [world.addHolder(20, [made]), world.addHolder(20, [made])]
  world.want(made)
  for (const { peer } of nodes) world.fetch.holder(made.name, peer, world.now)
  world.run(1000)
  assertWhole(world, made)
  for (const node of nodes) assert.equal(leavesSent(node) >= 8, true)
})

test('a holder that falls silent is replaced by the other, after a stall', () => {
  const made = madePacket(1, { payloadBytes: 1_000_000 })
  const world = new LeafWorld()
  const [silent, good] = [world.addHolder(20, [made]), world.addHolder(20, [made])]
  world.want(made)
  for (const { peer } of [silent, good]) world.fetch.holder(made.name, peer, world.now)
  world.run(35)
  silent.isSilent = true
  world.run(STALL_MS + 2000)
  assertWhole(world, made)
  assert.equal(leavesSent(silent) + leavesSent(good) <= made.leaves.length + WINDOW_MAX, true)
})

test('a holder that was silent for a while is asked again', () => {
  const made = madePacket(1, { payloadBytes: 100_000 })
  const world = new LeafWorld()
  const node = world.addHolder(20, [made])
  node.isSilent = true
  world.want(made)
  world.fetch.holder(made.name, node.peer, world.now)
  world.run(5000)
  const before = asked(world, node)
  assert.equal(before > 1, true, 'asked more than once')
  node.isSilent = false
  world.run(20_000)
  assertWhole(world, made)
})

test('a holder that gives the same leaf over and over counts as silent', () => {
  const made = madePacket(1, { payloadBytes: 60_000 })
  const world = new LeafWorld()
  const [idle, good] = [world.addHolder(20, []), world.addHolder(20, [made])]
  idle.isSilent = true
  world.want(made)
  for (const { peer } of [idle, good]) world.fetch.holder(made.name, peer, world.now)
  const [first] = made.leaves
  assert.ok(first)
  for (let i = 0; i < 4; i++) {
    world.run(900)
    world.fetch.message(idle.peer, encodeLeaf(made.id, 1, 0, first.bytes), world.now)
  }
  assertWhole(world, made)
})

test('a holder that drips what it was asked for does not hold back the rest', () => {
  const made = madePacket(1, { payloadBytes: 60_000 })
  const world = new LeafWorld()
  const good = world.addHolder(20, [made])
  world.want(made)
  world.fetch.holder(made.name, good.peer, world.now)
  world.run(11)
  const slow = world.addHolder(20, [])
  slow.isSilent = true
  world.fetch.holder(made.name, slow.peer, world.now)
  world.run(500)
  const indexes = (world.requests.get(slow.peer) ?? []).flatMap((request) => {
    const message = decodeLeafMessage(request)
    return typeof message === 'object' && 'bitmap' in message ? [...indexesOf(message)] : []
  })
  assert.equal(indexes.length > 12, true, `${indexes.length}`)
  for (const index of indexes) {
    const leaf = made.leaves.find((one) => one.level === 0 && one.index === index)
    assert.ok(leaf)
    world.fetch.message(slow.peer, encodeLeaf(made.id, 0, index, leaf.bytes), world.now)
    world.run(800)
    if (world.now > LEAF_WAIT_MS + 1500) break
  }
  assertWhole(world, made)
})

test('a peer that has another root of the same short name is no holder', () => {
  const [made, other] = [1, 2].map((number) => madePacket(number, { payloadBytes: 60_000 }))
  assert.ok(made && other)
  const world = new LeafWorld()
  world.want(made)
  const twin = other.id.slice()
  twin.set(made.id.subarray(0, 8))
  const held = world.bench.store.add(other.packet, twin, 'own', 'author', WALL)
  assert.ok(held)
  world.fetch.want(held, world.now)
  world.fetch.holder(held.name, world.addHolder(20, [made]).peer, world.now)
  assert.equal(world.fetch.holderCount, 0)
  world.fetch.forget(held.name, world.now)
  assert.equal(world.fetch.waitingCount, 1)
})

test('two that have half each are put together, and are not asked again for what they lack', () => {
  const made = madePacket(1, { payloadBytes: 600_000 })
  const upper = made.leaves.filter(({ level }) => level > 0).length
  const world = new LeafWorld()
  const nodes = [0, 1].map((half) =>
    world.addHolder(20, [made], (at) => at < upper || at % 2 === half),
  )
  world.want(made)
  for (const { peer } of nodes) world.fetch.holder(made.name, peer, world.now)
  world.run(4000)
  assertWhole(world, made)
  for (const node of nodes) assert.equal(asked(world, node) < 1.5 * made.leaves.length, true)
})

test('a holder that gets more later is asked again, ever more rarely, or when it says so', () => {
  const made = madePacket(1, { payloadBytes: 60_000 })
  const world = new LeafWorld()
  const node = world.addHolder(20, [made], () => false)
  world.want(made)
  world.fetch.holder(made.name, node.peer, world.now)
  world.run(60_000)
  const requests = world.requests.get(node.peer)?.length ?? 0
  assert.equal(requests >= 4 && requests <= 10, true, `${requests}`)
  for (const { level, index, bytes } of made.leaves)
    node.bench.store.addLeaf(made.name, level, index, bytes)
  world.fetch.holder(made.name, node.peer, world.now)
  world.run(1000)
  assertWhole(world, made)
})

// Without the ban the liar is asked again and again; without the check of hashes all of it is taken.
test('a holder that sends a wrong leaf is not asked for that message any more', () => {
  const made = madePacket(1, { payloadBytes: 600_000 })
  const world = new LeafWorld()
  const [liar, good] = [world.addHolder(10, [made]), world.addHolder(40, [made])]
  liar.forge = (message) => {
    if (message[0] === KIND_LEAF) message[40] = (message[40] ?? 0) ^ 1
    return message
  }
  world.want(made)
  for (const { peer } of [liar, good]) world.fetch.holder(made.name, peer, world.now)
  world.run(100)
  assert.equal(world.rejected[0], 'unauthentic')
  const before = asked(world, liar)
  world.fetch.holder(made.name, liar.peer, world.now)
  world.run(3000)
  assertWhole(world, made)
  assert.equal(asked(world, liar), before)
  assert.equal(
    world.rejected.slice(1).every((code) => code === 'unknown'),
    true,
  )
})

test('after a restart only what is missing is asked for', () => {
  const made = madePacket(1, { payloadBytes: 1_000_000 })
  const first = new LeafWorld()
  first.want(made)
  first.fetch.holder(made.name, first.addHolder(20, [made]).peer, first.now)
  first.run(200)
  const world = new LeafWorld()
  world.bench.store.load(
    [...first.bench.disk].map(([key, value]) => ({ key, value })),
    WALL,
  )
  const there = [...(world.bench.store.get(made.name)?.leaves?.leaves() ?? [])].length
  assert.equal(there > 100 && there < made.leaves.length - 100, true, `${there}`)
  const node = world.addHolder(20, [made])
  const held = world.bench.store.get(made.name)
  assert.ok(held)
  world.fetch.want(held, world.now)
  world.fetch.holder(made.name, node.peer, world.now)
  world.run(3000)
  assertWhole(world, made)
  assert.equal(leavesSent(node), made.leaves.length - there)
})

test('progress is told at most every 100 ms, and ends with the whole', () => {
  const made = madePacket(1, { payloadBytes: 2_000_000 })
  const world = new LeafWorld()
  world.want(made)
  world.fetch.holder(made.name, world.addHolder(50, [made]).peer, world.now)
  world.run(10_000)
  assertWhole(world, made)
  assert.equal(world.progress.length > 3, true)
  for (const [at, told] of world.progress.entries()) {
    const before = world.progress[at - 1]
    if (before === undefined) continue
    assert.equal(told.at - before.at >= PROGRESS_MS && told.bytes >= before.bytes, true)
  }
})

test('when a session ends, its leaves are asked of the others', () => {
  const made = madePacket(1, { payloadBytes: 600_000 })
  const world = new LeafWorld()
  const [gone, good] = [world.addHolder(20, [made]), world.addHolder(20, [made])]
  world.want(made)
  for (const { peer } of [gone, good]) world.fetch.holder(made.name, peer, world.now)
  world.run(35)
  gone.isSilent = true
  world.fetch.sessionGone(gone.peer, world.now)
  world.holders.delete(gone.peer)
  world.run(900)
  assertWhole(world, made)
  world.fetch.holder(made.name, gone.peer, world.now)
  assert.equal(world.fetch.holderCount, 0)
})

test('a message that went from the store is fetched no more', () => {
  const made = madePacket(1, { payloadBytes: 600_000 })
  const world = new LeafWorld()
  const node = world.addHolder(20, [made])
  world.want(made)
  world.fetch.holder(made.name, node.peer, world.now)
  world.run(45)
  world.bench.store.remove(made.name)
  world.run(100)
  assert.equal(world.fetch.deadline(), undefined)
  assert.deepEqual([world.fetch.activeCount, world.fetch.holderCount], [0, 0])
  assert.deepEqual(world.whole, [])
})

test('what nobody asked for, or nothing vouches for, is refused', () => {
  const made = madePacket(1, { payloadBytes: 50_000 })
  const low = made.leaves.at(-1)
  assert.ok(low)
  const world = new LeafWorld()
  const node = world.addHolder(20, [])
  const leaf = encodeLeaf(made.id, low.level, low.index, low.bytes)
  assert.equal(world.fetch.message(node.peer, leaf, world.now), 'unknown')
  world.want(made)
  assert.equal(world.fetch.message(node.peer, leaf, world.now), 'unknown', 'it is no holder')
  world.fetch.holder(made.name, node.peer, world.now)
  assert.equal(world.fetch.message(node.peer, leaf, world.now), 'unknown', 'too early')
  assert.equal(world.fetch.message(node.peer, Uint8Array.of(0x31), world.now), 'malformed')
  const want = world.requests.get(node.peer)?.[0] ?? new Uint8Array(0)
  assert.equal(world.fetch.message(node.peer, want, world.now), 'malformed')
  const huge = encodeLeaf(made.id, 0, 2 ** 52, low.bytes)
  assert.equal(world.fetch.message(node.peer, huge, world.now), 'unauthentic')
})

test('a lack of what was never asked for changes nothing', () => {
  const made = madePacket(1, { payloadBytes: 60_000 })
  const world = new LeafWorld()
  const node = world.addHolder(20, [made])
  world.want(made)
  world.fetch.holder(made.name, node.peer, world.now)
  const all = Array.from({ length: 1024 }, (_, i) => i)
  for (const first of [0, 2 ** 53 - 1])
    for (const level of [0, 3, 255])
      for (const { bitmap } of placesOf(made.id, level, all)) {
        const lack = encodeLackLeaves({ root: made.id, level, first, bitmap })
        assert.equal(world.fetch.message(node.peer, lack, world.now), undefined)
      }
  world.run(500)
  assertWhole(world, made)
  assert.equal(asked(world, node), made.leaves.length)
})

test('64 are fetched at a time; one that makes no progress gives its turn to one that waits', () => {
  const made = Array.from({ length: ROOTS_ACTIVE_MAX + 20 }, (_, i) =>
    madePacket(i, { payloadBytes: 30_000 }),
  )
  const world = new LeafWorld()
  const dead = world.addHolder(20, made)
  dead.isSilent = true
  const good = world.addHolder(20, made)
  for (const [at, one] of made.entries()) {
    world.want(one)
    const peer = at < ROOTS_ACTIVE_MAX ? dead.peer : good.peer
    world.fetch.holder(one.name, peer, world.now)
    assert.equal(world.fetch.activeCount <= ROOTS_ACTIVE_MAX, true)
  }
  assert.deepEqual([world.fetch.activeCount, world.fetch.waitingCount], [64, 20])
  world.run(TURN_MS + 2000)
  for (const one of made.slice(ROOTS_ACTIVE_MAX)) assertWhole(world, one)
  assert.equal(world.fetch.activeCount, ROOTS_ACTIVE_MAX)
  dead.isSilent = false
  world.run(60_000)
  assert.equal(world.whole.length, made.length)
  assert.equal(world.fetch.deadline(), undefined)
})

test('wanted roots, their holders and what is under way are bounded', () => {
  const world = new LeafWorld()
  const nodes = Array.from({ length: HOLDERS_MAX + 4 }, () => world.addHolder(20, []))
  for (const node of nodes) node.isSilent = true
  for (let i = 0; i < ROOTS_WAITING_MAX + 200; i++) {
    const made = madePacket(i, { payloadBytes: 3000 })
    world.want(made)
    for (const { peer } of nodes) world.fetch.holder(made.name, peer, world.now)
    assert.equal(world.fetch.activeCount <= ROOTS_ACTIVE_MAX, true)
    assert.equal(world.fetch.waitingCount <= ROOTS_WAITING_MAX, true)
    assert.equal(world.fetch.holderCount <= HOLDERS_MAX, true)
  }
  for (const node of nodes) assert.equal(asked(world, node) <= WINDOW_MAX, true)
  world.run(30_000)
  for (const node of nodes) world.fetch.sessionGone(node.peer, world.now)
  assert.equal(world.fetch.holderCount, 0)
})

test('a holder that gives nothing makes way for another when there are eight', () => {
  const made = madePacket(1, { payloadBytes: 60_000 })
  const world = new LeafWorld()
  for (let i = 0; i < HOLDERS_MAX; i++) world.addHolder(20, []).isSilent = true
  world.want(made)
  for (const peer of world.holders.keys()) world.fetch.holder(made.name, peer, world.now)
  const good = world.addHolder(20, [made])
  world.fetch.holder(made.name, good.peer, world.now)
  assert.equal(world.requests.get(good.peer), undefined)
  world.run(STALL_MS + 1000)
  world.fetch.holder(made.name, good.peer, world.now)
  world.run(10_000)
  assertWhole(world, made)
})

test('64 MiB come from two holders, and only once', (t) => {
  const payloadBytes = 64 * 1024 * 1024
  // Random bytes would take longer to make than to fetch.
  const blob = new Uint8Array(payloadBytes + 16)
  const seed = new SeededRandom(7).bytes(4096)
  for (let at = 0; at < blob.length; at += 4093) blob.set(seed.subarray(0, blob.length - at), at)
  const grown = growTree(crypto, blob)
  const made = madePacket(1, { root: grown.root })
  const whole = { ...made, leaves: grown.levels.toReversed().flat() }
  const world = new LeafWorld()
  const nodes = [world.addHolder(4, [whole]), world.addHolder(4, [whole])]
  world.want(whole)
  for (const { peer } of nodes) world.fetch.holder(whole.name, peer, world.now)
  const startedMs = performance.now()
  world.run(60_000)
  const ms = performance.now() - startedMs
  t.diagnostic(`${Math.round((whole.leaves.length / ms) * 1000)} leaves/s, both sides, one core`)
  assert.equal(world.bench.store.get(whole.name)?.leaves?.isComplete, true)
  assert.equal(
    nodes.map(leavesSent).reduce((a, b) => a + b),
    whole.leaves.length,
  )
  assert.deepEqual(world.bench.store.get(whole.name)?.leaves?.blob(), blob)
})

test('nothing that a remote sends throws', () => {
  const made = madePacket(1, { payloadBytes: 60_000 })
  const world = new LeafWorld()
  const node = world.addHolder(20, [made])
  world.want(made)
  world.fetch.holder(made.name, node.peer, world.now)
  const random = new SeededRandom(2)
  for (let i = 0; i < 3000; i++) {
    const bytes = random.bytes(random.below(40))
    const kinds = [KIND_LEAF, KIND_LACK_LEAVES, KIND_WANT_LEAVES]
    bytes.set([kinds[i % 3] ?? 0, ...made.id.subarray(0, 8)].slice(0, bytes.length))
    world.fetch.message(node.peer, bytes, world.now)
    node.service.message(peerId(99), bytes)
  }
  assert.equal(new StoreBench().store.count, 0)
})

// Leaves under way that are forgotten, or counted twice, leave a holder unasked for ever.
test('whatever fails and comes back, in any order, all becomes whole and no place is lost', () => {
  for (let seed = 1; seed <= 12; seed++) {
    const random = new SeededRandom(seed)
    const made = Array.from({ length: 5 }, (_, i) => madePacket(i, { payloadBytes: 120_000 }))
    const world = new LeafWorld()
    const has = (_: number) => random.below(10) > 0
    const nodes = [1, 2, 3, 4].map(() => world.addHolder(5 + random.below(60), made, has))
    nodes.push(world.addHolder(30, made))
    for (const one of made) world.want(one)
    for (let step = 0; step < 60; step++) {
      const node = nodes[random.below(nodes.length)]
      const one = made[random.below(made.length)]
      assert.ok(node && one)
      if (random.below(3) === 0) node.isSilent = !node.isSilent
      else if (random.below(4) === 0) world.fetch.sessionGone(node.peer, world.now)
      else world.fetch.holder(one.name, node.peer, world.now)
      world.run(random.below(300))
      for (const { peer } of nodes) assert.equal(world.fetch.underWay(peer) <= WINDOW_MAX, true)
    }
    for (const node of nodes) node.isSilent = false
    for (const one of made)
      for (const { peer } of nodes) world.fetch.holder(one.name, peer, world.now)
    world.run(60_000)
    for (const one of made) assertWhole(world, one)
    assert.deepEqual([world.fetch.holderCount, world.fetch.activeCount], [0, 0])
    assert.deepEqual(
      world.rejected.filter((code) => code !== 'unknown'),
      [],
    )
  }
})

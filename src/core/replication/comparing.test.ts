import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PeerId } from '../io.ts'
import { commonBits, type IdPoint, leadingBits, pointOf } from '../overlay/id-space.ts'
import { type Placement, sharedBits } from '../overlay/placement.ts'
import { ascii, toHex } from '../wire/bytes.ts'
import {
  crypto,
  type FakeLink,
  type MadePacket,
  made,
  ReplicationBench,
  subclusterKeys,
  WALL_S,
} from './bench.fixture.ts'

/** Joins two peers that have never met by a session that `a` began. */
function join(a: ReplicationBench, b: ReplicationBench): [FakeLink, FakeLink] {
  return [a.link(true, b.self), b.link(false, a.self)]
}

/** Carries everything between two peers for a while. Returns how many bytes that were no packets. */
function talk(a: ReplicationBench, b: ReplicationBench, links: [FakeLink, FakeLink], ms: number) {
  let bytes = 0
  for (let passed = 0; passed < ms; passed += 10) {
    for (const bench of [a, b]) bench.pass(10)
    for (let isBusy = true; isBusy; ) {
      isBusy = false
      for (const [i, to] of [b, a].entries()) {
        const from = links[i]
        const at = links[1 - i]
        if (from === undefined || at === undefined) continue
        for (const payload of from.sent.splice(0)) {
          isBusy = true
          if ((payload[0] ?? 0) < 0x80) bytes += payload.length
          to.says(at, payload)
        }
        for (const ack of from.acks.splice(0)) ack()
      }
    }
  }
  return bytes
}

function fill(bench: ReplicationBench, packets: readonly MadePacket[]): void {
  const link = bench.link()
  for (const { bytes } of packets) bench.give(link, bytes)
  bench.replication.sessionGone(link.port, bench.now)
}

const range = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => made(from + i))

/** A network of a thousand in which a peer is custodian of what shares so many bits with it. */
function large(ownBits: number, self: () => PeerId): Placement {
  const isNear = (peer: string, location: string) => sharedBits(peer, location) >= ownBits
  const regionOf = (point: IdPoint) => JSON.stringify(leadingBits(point, ownBits))
  return {
    networkSize: 1000,
    isSmall: false,
    isOurs: (location) => isNear(self(), location),
    custodiansOf: (location) => (peer) => commonBits(peer, pointOf(location)) >= ownBits,
    division: `${ownBits}`,
    regionOf: (location) => regionOf(pointOf(location)),
    regionsOf: (peer) => [regionOf(peer)],
    ownBits,
    nearer: () => [],
  }
}

function largeBench(seed: number, ownBits: number): ReplicationBench {
  const bench: ReplicationBench = new ReplicationBench({
    seed,
    placement: large(ownBits, () => bench.self),
  })
  return bench
}

test('two strangers that meet have what either had, and meeting again costs next to nothing', () => {
  const [a, b] = [new ReplicationBench({ seed: 1 }), new ReplicationBench({ seed: 2 })]
  fill(a, range(0, 60))
  fill(b, range(40, 100))
  const links = join(a, b)
  const firstBytes = talk(a, b, links, 1000)
  const all = range(0, 100).map(({ name }) => name)
  assert.deepEqual(a.kept.toSorted(), all.toSorted())
  assert.deepEqual(b.kept.toSorted(), all.toSorted())
  assert.ok(firstBytes < 3000, `${firstBytes} bytes besides the packets`)
  const [atA, atB] = links
  for (const [bench, { port }] of [
    [a, atA],
    [b, atB],
  ] as const) {
    bench.replication.sessionLost(port)
    bench.replication.sessionBack(port, bench.now)
  }
  const againBytes = talk(a, b, links, 1000)
  assert.ok(againBytes > 0 && againBytes <= 100, `${againBytes} bytes`)
})

// Turns red when what was dropped does not count as held.
test('what a peer has dropped for want of room is not given to it again', () => {
  const a = new ReplicationBench({ seed: 1, cacheBytes: 40_000 })
  const b = new ReplicationBench({ seed: 2 })
  fill(a, range(0, 60))
  fill(b, range(0, 60))
  const kept = a.kept.length
  assert.equal(kept < 50, true)
  const links = join(a, b)
  talk(a, b, links, 10_000)
  assert.equal(a.kept.length, kept)
  assert.equal(b.replication.counters['packetsPushed'], 0)
})

test('in a large network two who follow a tag compare it, and nothing else', () => {
  const [a, b] = [largeBench(1, 200), largeBench(2, 200)]
  const others = subclusterKeys(8).at(WALL_S) ?? assert.fail('no keys')
  const ours = range(0, 20)
  const strangers = Array.from({ length: 20 }, (_, i) => made(100 + i, { keys: others }))
  for (const bench of [a, b]) bench.subscribe()
  fill(b, [...ours, ...strangers])
  assert.equal(b.kept.length, 40, 'what passes is kept while there is room')
  const links = join(a, b)
  talk(a, b, links, 1000)
  assert.deepEqual(a.kept.toSorted(), ours.map(({ name }) => name).toSorted())
  assert.equal(a.delivered.length, 20)
})

test('in a large network two who share their bits compare what lies there', () => {
  const bits = 3
  const a = largeBench(1, bits)
  const b = [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]
    .map((seed) => largeBench(seed, bits))
    .find(({ self }) => sharedBits(self, a.self) >= bits)
  assert.ok(b)
  const packets = Array.from({ length: 60 }, (_, i) =>
    made(i, { keys: subclusterKeys(i).at(WALL_S) ?? assert.fail('no keys') }),
  )
  const isTheirs = ({ bytes }: MadePacket) => {
    const location = crypto.hash(32, [ascii('latica place'), bytes.subarray(7, 39)])
    return sharedBits(toHex(location), a.self) >= bits
  }
  fill(b, packets)
  talk(a, b, join(a, b), 10_000)
  const near = packets.filter(isTheirs).map(({ name }) => name)
  assert.equal(near.length > 0 && near.length < 30, true)
  assert.deepEqual(a.kept.toSorted(), near.toSorted())
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SubclusterKeys } from '../groups/subcluster-keys.ts'
import type { HistoryCursor, PacketInfo, UnixMs } from '../io.ts'
import { SeededRandom } from '../seeded.fixture.ts'
import {
  crypto,
  DAY_S,
  type FakeLink,
  KEY,
  type MadePacket,
  made,
  ReplicationBench,
  subclusterKeys,
  WALL_S,
} from './bench.fixture.ts'
import { CAUSAL_WAIT_MS } from './causal.ts'
import {
  decodeLeafMessage,
  encodeLeaf,
  indexesOf,
  KIND_WANT_LEAVES,
} from './leaves/leaf-messages.ts'
import { CLOCK_SLACK_S, decodePacket } from './packet.ts'
import { openPacket } from './packet-seal.ts'
import { encodeShorts, KIND_WANT } from './spread/spread-messages.ts'

const ALL = 0 as UnixMs

/** A member with one neighbour, which gives it packets. */
function member(order: 'causal' | 'strict' = 'causal') {
  const bench = new ReplicationBench()
  bench.subscribe(subclusterKeys(), order)
  return { bench, from: bench.link() }
}

/** A chain of packets, each following the one before. */
function chain(count: number, createdS = WALL_S): MadePacket[] {
  const packets: MadePacket[] = []
  for (let i = 1; i <= count; i++) {
    const before = packets.at(-1)
    packets.push(made(i, { createdS, parents: before === undefined ? [] : [before.name] }))
  }
  return packets
}

function history(bench: ReplicationBench, since = ALL, after?: HistoryCursor, limit = 100) {
  const page = bench.replication.history(KEY, since, after, limit)
  assert.ok(page)
  const texts = page.arrivals.map(({ value }) => String.fromCharCode(...value))
  return { ...page, texts, last: page.arrivals.at(-1)?.info }
}

/** Answers what a neighbour was asked for of a large packet, once. */
function answerLeaves(bench: ReplicationBench, link: FakeLink, large: MadePacket): void {
  for (const payload of link.of(KIND_WANT_LEAVES)) {
    const message = decodeLeafMessage(payload)
    assert.ok(typeof message === 'object' && message.kind === KIND_WANT_LEAVES)
    link.sent.splice(link.sent.indexOf(payload), 1)
    for (const index of indexesOf(message)) {
      const leaf = large.levels[message.level]?.[index]
      if (leaf === undefined) continue
      bench.says(link, encodeLeaf(large.id, message.level, index, leaf.bytes))
    }
  }
}

test('packets are delivered after what they follow, in whatever order they come', () => {
  const packets = chain(8)
  for (let seed = 1; seed <= 20; seed++) {
    const { bench, from } = member()
    const random = new SeededRandom(seed)
    const left = [...packets]
    while (left.length > 0) {
      const [packet] = left.splice(random.below(left.length), 1)
      bench.give(from, packet?.bytes ?? new Uint8Array())
    }
    assert.deepEqual(bench.texts, ['1', '2', '3', '4', '5', '6', '7', '8'])
  }
})

test('what follows something that does not come is delivered with a gap after two seconds', () => {
  const { bench, from } = member()
  const [first, second, third] = chain(3)
  assert.ok(first && second && third)
  bench.give(from, second.bytes)
  bench.give(from, third.bytes)
  bench.pass(CAUSAL_WAIT_MS - 1)
  assert.deepEqual(bench.texts, [])
  bench.pass(1)
  assert.deepEqual(bench.texts, ['2 gap', '3'])
  bench.give(from, first.bytes)
  assert.deepEqual(bench.texts, ['2 gap', '3', '1'], 'what comes late is delivered late')
})

// Turns red when strict order waits two seconds as the other does.
test('in strict order nothing is delivered before what it follows, until it is over', () => {
  const { bench, from } = member('strict')
  const [first, second, third] = chain(3)
  assert.ok(first && second && third)
  bench.give(from, third.bytes)
  const lifeMs = 1000 * (3600 + CLOCK_SLACK_S)
  bench.sleep(lifeMs - 1)
  assert.deepEqual(bench.texts, [])
  bench.pass(1)
  assert.deepEqual(bench.texts, ['3 gap'])
  const again = member('strict')
  again.bench.give(again.from, second.bytes)
  again.bench.sleep(3_600_000)
  again.bench.give(again.from, first.bytes)
  assert.deepEqual(again.bench.texts, ['1', '2'])
})

// Turns red when `#seek` asks nobody, or at once.
test('a parent that is missing is asked for after 50 to 150 ms, first of who brought its child', () => {
  const waits = new Set<number>()
  for (let seed = 1; seed <= 12; seed++) {
    const bench = new ReplicationBench({ seed })
    bench.subscribe()
    bench.link()
    const from = bench.link()
    const [first, second] = chain(2)
    assert.ok(first && second)
    bench.give(from, second.bytes)
    const start = bench.now
    while (from.of(KIND_WANT).length === 0 && bench.now < start + 200) bench.pass(1)
    const wait = bench.now - start
    assert.ok(wait >= 50 && wait <= 151, `${wait} ms`)
    waits.add(wait)
    assert.deepEqual(from.of(KIND_WANT), [encodeShorts(KIND_WANT, [first.short])])
    bench.give(from, first.bytes)
    assert.deepEqual(bench.texts, ['1', '2'])
  }
  assert.ok(waits.size > 4, 'not all at the same time')
})

test('a parent that comes by another way meanwhile is not asked for', () => {
  const { bench, from } = member()
  const [first, second] = chain(2)
  assert.ok(first && second)
  bench.give(from, second.bytes)
  bench.pass(40)
  bench.give(bench.link(), first.bytes)
  bench.pass(1000)
  assert.deepEqual(from.of(KIND_WANT), [])
})

test('what is published follows what was delivered, and is not delivered to who wrote it', () => {
  const { bench, from } = member()
  const [first, second] = chain(2)
  assert.ok(first && second)
  bench.give(from, first.bytes)
  bench.give(from, second.bytes)
  const infos: (PacketInfo | undefined)[] = []
  bench.publish(new Uint8Array([1]), (info) => infos.push(info))
  bench.publish(new Uint8Array([2]), (info) => infos.push(info))
  bench.pass(10_000)
  const [one, two] = infos
  assert.deepEqual(one?.previous, [second.name])
  assert.equal(one?.lamport, 3)
  assert.deepEqual(two?.previous, [one?.id.slice(0, 32)])
  assert.equal(two?.author, bench.self)
  const [packet] = from.packets
  assert.ok(packet)
  bench.give(from, packet)
  assert.deepEqual(bench.texts, ['1', '2'])
  assert.equal(history(bench).arrivals.length, 4, 'but it is read again')
})

test('what was published before the earlier packets are loaded waits for them, and follows them', () => {
  const earlier = member()
  const [first] = chain(1)
  assert.ok(first)
  earlier.bench.give(earlier.from, first.bytes)
  const bench = new ReplicationBench({ disk: earlier.bench.disk, isUnloaded: true })
  bench.subscribe()
  const infos: (PacketInfo | undefined)[] = []
  bench.publish(new Uint8Array([1]), (info) => infos.push(info))
  bench.pass(10_000)
  assert.equal(infos.length, 0)
  bench.load()
  bench.pass(10_000)
  assert.deepEqual(infos[0]?.previous, [first.name])
})

test('pages of history follow each other in causal order, without what is gone by then', () => {
  const { bench, from } = member()
  const packets = chain(10)
  for (const { bytes } of packets.toReversed()) bench.give(from, bytes)
  const one = history(bench, ALL, undefined, 4)
  assert.deepEqual([one.texts, one.isLast], [['1', '2', '3', '4'], false])
  const two = history(bench, ALL, one.last, 4)
  assert.deepEqual([two.texts, two.isLast], [['5', '6', '7', '8'], false])
  const three = history(bench, ALL, two.last, 4)
  assert.deepEqual([three.texts, three.isLast], [['9', '10'], true])
  const exact = history(bench, ALL, two.last, 2)
  assert.deepEqual([exact.texts, exact.isLast], [['9', '10'], true])
  assert.deepEqual(history(bench, ALL, three.last).texts, [])
  for (const { packet } of bench.delivered) assert.equal(packet.gap, false)
  assert.equal(bench.replication.history('subcluster 9', ALL, undefined, 1), undefined)
})

test('a page does not tell of what expired since it was delivered, and goes on from a cursor that did', () => {
  const { bench, from } = member()
  const short = made(1, { lifeMinutes: 1 })
  const long = made(2, { lifeMinutes: 10_000, parents: [short.name] })
  bench.give(from, short.bytes)
  bench.give(from, long.bytes)
  const cursor = history(bench, ALL, undefined, 1).last
  bench.sleep(1000 * CLOCK_SLACK_S + 180_000)
  assert.deepEqual(history(bench).texts, ['2'])
  assert.deepEqual(history(bench, ALL, cursor).texts, ['2'])
})

test('history begins with what was written at a time, by the clocks of its authors', () => {
  const { bench, from } = member()
  const times = [-7200, -3600, -1, 0, 3600]
  for (const [i, after] of times.entries())
    bench.give(from, made(i + 1, { createdS: WALL_S + after, lifeMinutes: 300 }).bytes)
  const since = (s: number) => history(bench, (1000 * (WALL_S + s)) as UnixMs).texts
  assert.deepEqual(since(-7200), ['1', '2', '3', '4', '5'])
  assert.deepEqual(since(-3600), ['2', '3', '4', '5'])
  assert.deepEqual(since(0), ['4', '5'])
  assert.deepEqual(since(3601), [])
})

// Turns red when loaded packets are not adopted, or are delivered again.
test('after a restart nothing is delivered twice, all is read again, and what follows goes on', () => {
  const earlier = member()
  const packets = chain(5)
  for (const { bytes } of packets.slice(0, 4)) earlier.bench.give(earlier.from, bytes)
  earlier.bench.publish(new Uint8Array([65]))
  const bench = new ReplicationBench({ disk: earlier.bench.disk })
  bench.subscribe()
  bench.pass(5000)
  assert.deepEqual(bench.texts, [])
  assert.deepEqual(history(bench).texts, ['1', '2', '3', '4', 'A'])
  const from = bench.link()
  for (const { bytes } of packets) bench.give(from, bytes)
  assert.deepEqual(bench.texts, ['5'])
  assert.equal(bench.replication.hasOwn(KEY), true)
})

test('what was kept as a stranger is delivered on becoming a member', () => {
  const bench = new ReplicationBench()
  const from = bench.link()
  const packets = chain(4)
  for (const { bytes } of packets.toReversed()) bench.give(from, bytes)
  assert.ok(
    [...bench.disk.values()].every((record) => record[1] === 1),
    'custody',
  )
  bench.subscribe()
  assert.deepEqual(bench.texts, ['1', '2', '3', '4'])
  assert.equal(
    bench.delivered.every(({ packet }) => packet.via === 'cache' && !packet.gap),
    true,
  )
  assert.ok(
    [...bench.disk.values()].every((record) => record[1] === 0),
    'own',
  )
})

test('what was followed is kept as strangers keep it when it is followed no more', () => {
  const { bench, from } = member()
  const packets = chain(3)
  for (const { bytes } of packets) bench.give(from, bytes)
  assert.ok(
    [...bench.disk.values()].every((record) => record[1] === 0),
    'own',
  )
  bench.replication.unsubscribe(KEY)
  assert.ok(
    [...bench.disk.values()].every((record) => record[1] === 1),
    'custody',
  )
  assert.equal(bench.replication.history(KEY, ALL, undefined, 1), undefined)
  bench.give(from, made(9).bytes)
  assert.equal(bench.delivered.length, 3)
  assert.equal(bench.kept.length, 4)
})

// Turns red when incomplete packets are not taken up again after loading.
test('a large packet of an earlier run goes on where it stopped, and is told of on the way', () => {
  const large = made(1, { payload: new SeededRandom(3).bytes(150_000) })
  const { bench: first, from } = member()
  first.give(from, large.bytes)
  for (let i = 0; i < 3; i++) answerLeaves(first, from, large)
  assert.deepEqual(first.delivered, [])
  const had = [...first.disk.keys()].filter((key) => key.startsWith('leaf/')).length
  assert.equal(had > 20, true)
  const bench = new ReplicationBench({ disk: first.disk })
  bench.subscribe()
  const link = bench.link()
  let asked = 0
  for (let i = 0; i < 100 && bench.delivered.length === 0; i++) {
    for (const payload of link.of(KIND_WANT_LEAVES)) {
      const message = decodeLeafMessage(payload)
      if (typeof message === 'object' && message.kind === KIND_WANT_LEAVES)
        asked += [...indexesOf(message)].length
    }
    answerLeaves(bench, link, large)
    bench.pass(10)
  }
  assert.deepEqual(bench.delivered[0]?.value, new SeededRandom(3).bytes(150_000))
  assert.equal(asked, large.levels.flat().length - had, 'only what was missing')
  const received = bench.progress.map(({ receivedBytes }) => receivedBytes)
  assert.deepEqual(
    received.toSorted((a, b) => a - b),
    received,
  )
  assert.equal(received.at(-1), 150_000)
  assert.ok(
    bench.progress.every(({ totalBytes, event }) => totalBytes === 150_000 && event === 'news'),
  )
})

/** Two days: what is there of the first, delivered and not, and one packet of the second. */
function twoDays(order: 'causal' | 'strict' = 'causal') {
  const keys = subclusterKeys()
  const bench = new ReplicationBench()
  bench.subscribe(keys, order)
  const from = bench.link()
  const yesterdayS = WALL_S - DAY_S
  const long = { createdS: yesterdayS, lifeMinutes: 3 * 24 * 60 }
  const delivered = made(1, long)
  const waiting = made(2, { ...long, parents: ['ab'.repeat(16)] })
  const incomplete = made(3, { ...long, payload: new Uint8Array(5000) })
  const today = made(4)
  for (const { bytes } of [delivered, waiting, incomplete, today]) bench.give(from, bytes)
  const forget = () => {
    keys.forget(WALL_S)
    bench.replication.forget(KEY, bench.wall)
  }
  return { keys, bench, from, delivered, waiting, incomplete, today, forget }
}

// Turns red when only what was delivered is forgotten.
test('of a forgotten day nothing is kept, delivered, read or taken again; today goes on', () => {
  for (const order of ['causal', 'strict'] as const) {
    const { keys, bench, from, delivered, waiting, incomplete, today, forget } = twoDays(order)
    const leaf = incomplete.levels[0]?.[0]
    assert.ok(leaf)
    bench.says(from, encodeLeaf(incomplete.id, 0, 0, leaf.bytes))
    assert.deepEqual(bench.texts, ['1', '4'])
    assert.equal(bench.kept.length, 4)
    forget()
    assert.deepEqual(bench.kept, [today.name])
    assert.equal(![...bench.disk.keys()].some((key) => key.startsWith('leaf/')), true)
    assert.deepEqual(history(bench).texts, ['4'])
    bench.sleep(5 * 24 * 3_600_000)
    assert.deepEqual(bench.texts, ['1', '4'], 'nothing that waited comes out')
    const packet = decodePacket(delivered.bytes)
    assert.ok(typeof packet === 'object')
    assert.equal(keys.at(packet.header.createdS), undefined)
    const { bench: again, from: link, forget: forgetAgain } = twoDays(order)
    forgetAgain()
    for (const { bytes } of [delivered, waiting, incomplete]) again.give(link, bytes)
    assert.deepEqual(again.kept, [today.name])
    again.give(link, made(8, { createdS: WALL_S - DAY_S, lifeMinutes: 9999 }).bytes)
    again.give(link, made(9).bytes)
    assert.deepEqual(again.texts, ['1', '4', '9'], 'what is of that day is a stranger’s now')
  }
})

test('a key handed on later opens the day it begins with and what follows, and nothing before', () => {
  const exported = subclusterKeys().export(WALL_S)
  assert.ok(exported)
  const bench = new ReplicationBench()
  const from = bench.link()
  const day = (after: number) => ({ createdS: WALL_S + after * DAY_S, lifeMinutes: 3 * 24 * 60 })
  const yesterday = made(1, day(-1))
  bench.give(from, yesterday.bytes)
  bench.give(from, made(2, day(0)).bytes)
  bench.subscribe(new SubclusterKeys(crypto, exported, new Uint8Array(32)))
  assert.deepEqual(bench.texts, ['2'])
  bench.sleep(DAY_S * 1000)
  bench.give(from, made(3, day(1)).bytes)
  assert.deepEqual(bench.texts, ['2', '3'])
  const packet = decodePacket(yesterday.bytes)
  assert.ok(typeof packet === 'object')
  const today = subclusterKeys().at(WALL_S) ?? assert.fail('no keys')
  assert.equal(openPacket(crypto, today, packet), 'unauthentic')
  assert.equal(bench.kept.length, 3, 'kept for others')
})

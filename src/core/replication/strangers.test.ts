import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ascii, concat, toHex } from '../wire/bytes.ts'
import { crypto, DAY_S, made, ReplicationBench, subclusterKeys, WALL_S } from './bench.fixture.ts'
import { authored, forge } from './forge.fixture.ts'
import { encodeLeaf, KIND_WANT_LEAVES } from './leaves/leaf-messages.ts'
import { CLOCK_SLACK_S } from './packet.ts'
import { encodeShorts, KIND_HAVE, KIND_WANT } from './spread/spread-messages.ts'

/**
 * What a peer refuses that is a member of nothing and can read nothing: each of these is kept, served to
 * others and passed on when its check goes.
 */
function stranger() {
  const bench = new ReplicationBench()
  const [from, other] = [bench.link(), bench.link()]
  return { bench, from, other }
}

/** Refused: neither kept, nor served, nor told of. */
function assertRefused(bytes: Uint8Array, code: string): void {
  const { bench, from, other } = stranger()
  assert.equal(bench.give(from, bytes, 1), code)
  bench.pass(1000)
  assert.deepEqual(bench.kept, [])
  assert.equal(bench.replication.counters['packetsKept'], 0)
  assert.deepEqual(other.packets, [])
  assert.deepEqual(other.of(KIND_HAVE), [])
  assert.deepEqual(bench.delivered, [])
}

function withByte(bytes: Uint8Array, at: number, change: (byte: number) => number): Uint8Array {
  const changed = bytes.slice()
  changed[at] = change(changed[at] ?? 0)
  return changed
}

test('a genuine packet is kept, served and passed on by who cannot read it', () => {
  const { bench, from, other } = stranger()
  const packet = made(1)
  assert.equal(bench.give(from, packet.bytes, 0), undefined)
  bench.pass(10)
  assert.deepEqual(bench.kept, [packet.name])
  assert.equal(other.of(KIND_HAVE).length + other.packets.length, 1)
  bench.says(other, encodeShorts(KIND_WANT, [packet.short]))
  assert.deepEqual(other.packets.map(toHex), [toHex(packet.bytes)])
  assert.deepEqual([bench.delivered, bench.progress], [[], []])
  assert.deepEqual(from.packets, [], 'nothing goes back to who sent it')
})

// Turns red when `#onPacket` does not verify the signature.
test('forged: a packet that its tag did not sign is refused', () => {
  const outsider = crypto.signingKeyPair(new Uint8Array(32).fill(66))
  const keys = subclusterKeys().at(WALL_S) ?? assert.fail('no keys')
  const header = { createdS: WALL_S, lifeMinutes: 60, salt: new Uint8Array(12), root: undefined }
  const plain = authored(
    outsider,
    { ...header, tag: keys.tag.publicKey },
    Uint8Array.of(1, 0, 0, 0),
  )
  const tag = keys.tag.publicKey
  assertRefused(forge({ ...header, tag }, plain, { ...keys, tag: outsider }), 'unauthentic')
})

test('altered: no bit of a packet can be changed, neither in its header, text nor signature', () => {
  const { bytes } = made(1)
  for (const at of [
    1,
    4,
    6,
    8,
    38,
    40,
    50,
    51,
    100,
    bytes.length - 65,
    bytes.length - 64,
    bytes.length - 1,
  ]) {
    const { bench, from } = stranger()
    const code = bench.give(
      from,
      withByte(bytes, at, (byte) => byte ^ 1),
    )
    assert.ok(code === 'unauthentic' || code === 'malformed' || code === 'expired', `byte ${at}`)
    assert.deepEqual(bench.kept, [])
  }
  assertRefused(
    withByte(bytes, 100, (byte) => byte ^ 0x80),
    'unauthentic',
  )
})

// Turns red when `#isKnown` is not asked.
test('replayed: a packet that comes again is neither kept, passed on nor reckoned twice', () => {
  const { bench, from, other } = stranger()
  const packet = made(1)
  const last = bench.link()
  for (let i = 0; i < 50; i++) bench.give(from, packet.bytes, 0)
  bench.give(other, packet.bytes, 1)
  bench.pass(1000)
  assert.equal(bench.replication.counters['packetsKept'], 1)
  assert.equal(bench.replication.counters['packetsDuplicate'], 50)
  assert.equal(last.of(KIND_HAVE).length + last.packets.length, 1)
})

// Turns red when what was dropped is not remembered.
test('replayed: what expired or was pushed out is not taken again', () => {
  const bench = new ReplicationBench({ cacheBytes: 40_000 })
  const from = bench.link()
  const packets = Array.from({ length: 60 }, (_, i) => made(i + 1))
  for (const { bytes } of packets) assert.equal(bench.give(from, bytes), undefined)
  const gone = packets.filter(({ name }) => !bench.kept.includes(name))
  assert.equal(gone.length > 10, true)
  const kept = bench.kept.join()
  for (const { bytes } of gone) assert.equal(bench.give(from, bytes), undefined, 'unexamined')
  assert.equal(bench.kept.join(), kept)
})

// Turns red when `isTimely` leaves out the end.
test('expired: a packet that has been over for more than twelve hours is refused', () => {
  const overS = 3600 + CLOCK_SLACK_S
  assertRefused(made(1, { createdS: WALL_S - overS - 1 }).bytes, 'expired')
  const { bench, from } = stranger()
  assert.equal(bench.give(from, made(1, { createdS: WALL_S - overS }).bytes), undefined)
  bench.pass(120_000)
  assert.deepEqual(bench.kept, [], 'and one that is kept goes when it is over')
})

// Turns red when `isTimely` leaves out the beginning.
test('future-dated: a packet of more than twelve hours ahead is refused', () => {
  assertRefused(made(1, { createdS: WALL_S + CLOCK_SLACK_S + 1 }).bytes, 'expired')
  const { bench, from } = stranger()
  assert.equal(bench.give(from, made(1, { createdS: WALL_S + CLOCK_SLACK_S }).bytes), undefined)
})

test('mis-tagged: a packet under another tag than the one that signed it is refused', () => {
  const keys = subclusterKeys()
  const [today, tomorrow] = [keys.at(WALL_S), keys.at(WALL_S + DAY_S)]
  assert.ok(today && tomorrow)
  const { bytes } = made(1)
  for (const tag of [tomorrow.tag.publicKey, new Uint8Array(32), new Uint8Array(32).fill(255)])
    assertRefused(concat(bytes.subarray(0, 7), tag, bytes.subarray(39)), 'unauthentic')
})

// Turns red when `Tags.find` does not look at the day.
test('mis-tagged: a member does not read what was sealed under another day’s tag', () => {
  const bench = new ReplicationBench()
  bench.subscribe()
  const from = bench.link()
  const yesterday = subclusterKeys().at(WALL_S - DAY_S)
  const today = subclusterKeys().at(WALL_S)
  assert.ok(yesterday && today)
  bench.give(from, made(1, { keys: yesterday }).bytes)
  bench.give(from, made(3, { keys: { ...today, tag: yesterday.tag } }).bytes)
  bench.pass(5000)
  assert.deepEqual(bench.delivered, [])
  bench.give(from, made(2).bytes)
  assert.deepEqual(bench.texts, ['2'])
})

// Turns red when `addLeaf` compares no hash.
test('wrong-leaf: a leaf that the root does not list is refused, and its sender asked for no more', () => {
  const { bench, from, other } = stranger()
  const large = made(1, { payload: new Uint8Array(5000).fill(3) })
  bench.give(from, large.bytes)
  bench.give(other, large.bytes)
  const leaves = large.levels.flat()
  const wrong = withByte(leaves[0]?.bytes ?? new Uint8Array(), 0, (byte) => byte ^ 1)
  bench.says(from, encodeLeaf(large.id, 0, 0, wrong))
  assert.deepEqual(bench.rejected, ['unauthentic'])
  assert.equal(![...bench.disk.keys()].some((key) => key.startsWith('leaf/')), true)
  const asked = from.of(KIND_WANT_LEAVES).length
  bench.pass(120_000)
  assert.equal(from.of(KIND_WANT_LEAVES).length, asked)
  for (const leaf of leaves)
    bench.says(other, encodeLeaf(large.id, leaf.level, leaf.index, leaf.bytes))
  assert.deepEqual([...bench.disk.keys()].filter((key) => key.startsWith('leaf/')).length, 5)
})

// Turns red when `decodeRoot` does not derive the counts.
test('gigantic counts: a root that claims more than its size allows is refused before it costs anything', () => {
  const keys = subclusterKeys().at(WALL_S) ?? assert.fail('no keys')
  const author = crypto.signingKeyPair(new Uint8Array(32).fill(1))
  const claim = (payloadBytes: number, depth: number, hashes: number) => {
    const root = { payloadBytes, depth, hashes: new Uint8Array(32 * hashes) }
    const head = { createdS: WALL_S, lifeMinutes: 60, salt: new Uint8Array(12), root }
    const header = { ...head, tag: keys.tag.publicKey }
    return forge(header, authored(author, header, Uint8Array.of(1, 0, 0, 0)), keys)
  }
  for (const [payloadBytes, depth, hashes] of [
    [2 ** 52, 1, 1],
    [2 ** 52, 200, 18],
    [64 * 1024 * 1024 + 1, 4, 2],
    [5000, 1, 18],
    [5000, 4, 5],
    [0, 0, 0],
  ] as const)
    assertRefused(claim(payloadBytes, depth, hashes), 'malformed')
  const { bench, from } = stranger()
  assert.equal(bench.give(from, claim(5000, 1, 5)), undefined, 'a root as it should be')
})

test('gigantic counts: many roots that claim much cost a stranger their packets alone', () => {
  const { bench, from } = stranger()
  const keys = subclusterKeys().at(WALL_S) ?? assert.fail('no keys')
  const author = crypto.signingKeyPair(new Uint8Array(32).fill(1))
  const root = { payloadBytes: 64 * 1024 * 1024, depth: 4, hashes: new Uint8Array(64) }
  let sentBytes = 0
  for (let i = 0; i < 200; i++) {
    const head = { createdS: WALL_S, lifeMinutes: 60, salt: new Uint8Array(12).fill(i), root }
    const header = { ...head, tag: keys.tag.publicKey }
    const packet = forge(header, authored(author, header, Uint8Array.of(1, 0, 0, 0)), keys)
    assert.equal(bench.give(from, packet), undefined)
    sentBytes += packet.length
  }
  assert.equal((bench.replication.counters['cacheBytes'] ?? 0) <= sentBytes + 200 * 1024, true)
})

/**
 * Parents are hashes, so nobody can write a packet that follows itself, or two that follow each other;
 * a member can name what does not exist, and strangers do not even see that.
 */
test('parent-cycle: a packet cannot name itself, and forged names cost a stranger nothing', () => {
  const first = made(1)
  const second = made(1, { parents: [first.name] })
  assert.notEqual(first.name, second.name, 'naming a packet changes it')
  const { bench, from } = stranger()
  for (let i = 0; i < 50; i++) {
    const parents = [0, 1, 2, 3].map((k) => made(1000 + 4 * i + k).name)
    bench.give(from, made(i + 1, { parents }).bytes)
  }
  bench.pass(20_000)
  assert.equal(bench.replication.counters['packetsKept'], 50)
  assert.deepEqual(from.of(KIND_WANT), [], 'it asks for no parent: it sees none')
  assert.equal(bench.replication.counters['packetsWanted'], 0)
})

test('parent-cycle: two that name each other as far as they can are delivered after a bounded wait', () => {
  const bench = new ReplicationBench()
  bench.subscribe()
  const from = bench.link()
  const guess = made(1)
  const a = made(2, { parents: [guess.name] })
  const b = made(1, { parents: [a.name], lamport: 3 })
  assert.notEqual(b.name, guess.name)
  bench.give(from, b.bytes)
  bench.give(from, a.bytes)
  assert.deepEqual(bench.texts, [])
  bench.pass(1999)
  assert.deepEqual(bench.texts, [])
  bench.pass(1)
  assert.deepEqual(bench.texts, ['2 gap', '1'])
  assert.ok(from.of(KIND_WANT).length <= 4, 'asked for a few times')
})

test('cut short, too long or of another version: refused, and three of these have the sender shunned', () => {
  const { bytes } = made(1)
  assertRefused(bytes.subarray(0, bytes.length - 1), 'malformed')
  assertRefused(concat(bytes, new Uint8Array(1168)), 'malformed')
  assertRefused(
    withByte(bytes, 0, () => 0x20),
    'malformed',
  )
  assertRefused(ascii('no packet at all'), 'malformed')
  const { bench, from, other } = stranger()
  for (let i = 0; i < 3; i++)
    bench.give(
      from,
      withByte(bytes, 100, (byte) => byte ^ (i + 1)),
    )
  assert.equal(bench.give(from, bytes), 'rate-limited', 'not even what is right is looked at')
  assert.equal(bench.give(other, bytes), undefined)
  assert.deepEqual(bench.kept, [made(1).name])
})

// Turns red when an id counts as seen before its signature was verified.
test('a forgery does not keep the genuine packet out', () => {
  const { bench, from, other } = stranger()
  const { bytes, name } = made(1)
  bench.give(
    from,
    withByte(bytes, bytes.length - 1, (byte) => byte ^ 1),
  )
  assert.equal(bench.give(other, bytes), undefined)
  assert.deepEqual(bench.kept, [name])
})

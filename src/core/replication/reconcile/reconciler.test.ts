import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MALFORMED } from '../../errors.ts'
import type { PeerId } from '../../io.ts'
import { SeededRandom } from '../../seeded.fixture.ts'
import { toHex } from '../../wire/bytes.ts'
import { ALICE, at, BOB, exchange, randomNames, SALT_KEY, type Sent, Side } from './pair.fixture.ts'
import {
  decodeReconcileMessage,
  type EndMessage,
  KIND_END,
  KIND_SYMBOLS,
  KIND_SYNC,
} from './reconcile-wire.ts'
import { NAMES_MAX } from './salted-set.ts'

const EVERYTHING = { kind: 'everything' } as const

function hexOf(names: readonly Uint8Array[]): string[] {
  return names.map(toHex).sort((a, b) => (a < b ? -1 : 1))
}

function ordered(names: readonly string[]): string[] {
  return [...names].sort((a, b) => (a < b ? -1 : 1))
}

function shuffler(seed: number): (sent: Sent[]) => Sent[] {
  const random = new SeededRandom(seed)
  return (sent) => {
    for (let i = sent.length - 1; i > 0; i--) {
      const k = random.below(i + 1)
      const [a, b] = [sent[i], sent[k]]
      if (a !== undefined && b !== undefined) [sent[i], sent[k]] = [b, a]
    }
    return sent
  }
}

/** The END that a side sent last. */
function endOf(side: Side): EndMessage {
  const payload = side.sent.at(-1)?.payload ?? new Uint8Array(0)
  const message = decodeReconcileMessage(payload)
  assert.ok(message !== MALFORMED && message.kind === KIND_END)
  return message
}

/** The SYNC of one who begins with Bob, and who it is. */
function syncOf(peer: string, names: readonly Uint8Array[], seed = 9): Side {
  const side = new Side(peer as PeerId, names, new SeededRandom(seed))
  side.reconciler.begin(BOB, SALT_KEY, EVERYTHING, at(0))
  return side
}

function deliver(from: Side, to: Side, peer: PeerId, ms: number): (string | undefined)[] {
  return from.sent
    .splice(0)
    .map(({ payload }) => to.reconciler.message(peer, SALT_KEY, payload, at(ms)))
}

test('each side gives what the other lacks, in any order of messages and sizes of sets', () => {
  const size = fc.oneof(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 0, max: 600 }))
  fc.assert(
    fc.property(size, size, size, fc.integer(), (both, mine, yours, seed) => {
      const names = randomNames(new SeededRandom(seed), both + mine + yours)
      const shared = names.slice(0, both)
      const alices = names.slice(both, both + mine)
      const bobs = names.slice(both + mine)
      const { alice, bob } = exchange([...shared, ...alices], [...bobs, ...shared], {
        seed,
        shuffle: shuffler(seed),
      })
      assert.deepEqual(ordered(alice.given), hexOf(alices))
      assert.deepEqual(ordered(bob.given), hexOf(bobs))
      assert.deepEqual([alice.expected, bob.expected], [yours, mine])
      const result = mine + yours === 0 ? 'equal' : 'differed'
      assert.deepEqual(alice.outcomes, [{ result, ours: yours, theirs: mine }])
      assert.deepEqual(bob.outcomes, [{ result, ours: mine, theirs: yours }])
    }),
    { seed: 77, numRuns: 200 },
  )
})

test('a table that does not decode gives way to a list, which is right', () => {
  const names = randomNames(new SeededRandom(13), 3_100)
  const { alice, bob, messages } = exchange(names.slice(0, 3_000), names.slice(50), {
    shuffle: (sent) => {
      for (const { payload } of sent)
        if (payload[0] === KIND_SYMBOLS) payload[payload.length - 1] = 99
      return sent
    },
  })
  assert.deepEqual(ordered(alice.given), hexOf(names.slice(0, 50)))
  assert.deepEqual(ordered(bob.given), hexOf(names.slice(3_000)))
  const symbols = messages.filter(([kind]) => kind === KIND_SYMBOLS).length
  assert.ok(symbols > 1 && symbols < 20, `${symbols} messages of symbols`)
})

test('equal seeds make equal bytes', () => {
  const names = randomNames(new SeededRandom(3), 900)
  const once = () => exchange(names.slice(0, 800), names.slice(100)).messages.map(toHex)
  assert.deepEqual(once(), once())
})

test('both may begin at a time, and neither answers the other about its own', () => {
  const names = randomNames(new SeededRandom(4), 12)
  const alice = new Side(ALICE, names.slice(0, 8), new SeededRandom(1))
  const bob = new Side(BOB, names.slice(4), new SeededRandom(2))
  alice.reconciler.begin(BOB, SALT_KEY, EVERYTHING, at(0))
  bob.reconciler.begin(ALICE, SALT_KEY, EVERYTHING, at(0))
  for (let i = 0; i < 10; i++) {
    assert.ok(deliver(alice, bob, ALICE, i).every((rejected) => rejected === undefined))
    assert.ok(deliver(bob, alice, BOB, i).every((rejected) => rejected === undefined))
  }
  for (const side of [alice, bob]) assert.deepEqual(ordered(side.parts), ['answered', 'begun'])
  for (const side of [alice, bob])
    assert.deepEqual(
      side.outcomes.map(({ result, ours, theirs }) => [result, ours, theirs]),
      [
        ['differed', 4, 4],
        ['differed', 4, 4],
      ],
    )
})

test('the scope arrives as it was asked for, and the names of a scope alone are compared', () => {
  const tags = [Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), new Uint8Array(8).fill(9)]
  for (const scope of [EVERYTHING, { kind: 'range', bits: 12 }, { kind: 'tags', tags }] as const) {
    const alice = new Side(ALICE, [], new SeededRandom(1))
    const bob = new Side(BOB, [], new SeededRandom(2))
    alice.reconciler.begin(BOB, SALT_KEY, scope, at(0))
    deliver(alice, bob, ALICE, 0)
    assert.deepEqual(bob.scopes, [scope])
    assert.deepEqual(endOf(bob).result, 'equal')
  }
})

test('a remote that falls silent is given up after two idle seconds, on both sides', () => {
  const names = randomNames(new SeededRandom(5), 200)
  const alice = syncOf('alice', names)
  const bob = new Side(BOB, names.slice(0, 100), new SeededRandom(2))
  deliver(alice, bob, ALICE, 0)
  bob.sent.length = 0
  for (const side of [alice, bob]) {
    assert.equal(side.reconciler.deadline()?.at, 2_000)
    side.reconciler.onDeadline(at(1_999))
    assert.deepEqual(side.outcomes, [])
    side.reconciler.onDeadline(at(2_000))
    assert.deepEqual(side.outcomes, [{ result: 'timeout', ours: 0, theirs: 0 }])
    assert.equal(side.reconciler.deadline(), undefined)
  }
})

test('a message that was lost and comes after the end changes nothing', () => {
  const names = randomNames(new SeededRandom(6), 300)
  const alice = syncOf('alice', names)
  const bob = new Side(BOB, names.slice(0, 200), new SeededRandom(2))
  deliver(alice, bob, ALICE, 0)
  bob.reconciler.onDeadline(at(2_000))
  alice.reconciler.onDeadline(at(2_000))
  const late = [...bob.sent]
  const tooLate = deliver(bob, alice, BOB, 2_001)
  // Nor does it disturb the next one with the same peer.
  alice.reconciler.begin(BOB, SALT_KEY, EVERYTHING, at(6_000))
  bob.sent.push(...late)
  tooLate.push(...deliver(bob, alice, BOB, 6_000))
  assert.ok(late.length > 0 && tooLate.every((rejected) => rejected === 'unknown'))
  assert.deepEqual(alice.given, [])
  deliver(alice, bob, ALICE, 6_000)
  deliver(bob, alice, BOB, 6_000)
  assert.equal(alice.given.length, 100)
})

test('a repeated message is refused and what it belongs to ends', () => {
  const names = randomNames(new SeededRandom(7), 900)
  const alice = syncOf('alice', names)
  const bob = new Side(BOB, names.slice(0, 760), new SeededRandom(2))
  deliver(alice, bob, ALICE, 0)
  const [first] = bob.sent
  assert.ok(first && bob.sent.length > 1)
  assert.equal(alice.reconciler.message(BOB, SALT_KEY, first.payload, at(1)), undefined)
  assert.equal(alice.reconciler.message(BOB, SALT_KEY, first.payload, at(1)), 'malformed')
  assert.deepEqual(
    alice.outcomes.map(({ result }) => result),
    ['refused'],
  )
})

test('a peer may begin four times, then once in five seconds; it is told when', () => {
  const bob = new Side(BOB, [], new SeededRandom(2))
  const begin = (ms: number): string | undefined => {
    const [rejected] = deliver(syncOf('alice', []), bob, ALICE, ms)
    return rejected
  }
  for (let i = 0; i < 4; i++) assert.equal(begin(0), undefined)
  for (let i = 0; i < 100; i++) assert.equal(begin(4_999), 'rate-limited')
  assert.deepEqual(endOf(bob), { kind: KIND_END, run: 0, result: 'refused', retryS: 5 })
  assert.equal(bob.scopes.length, 4, 'a refusal looks at no name')
  assert.equal(begin(5_000), undefined)
  assert.equal(begin(5_000), 'rate-limited')
})

test('a refusal ends what was begun, and says when to try again', () => {
  const alice = syncOf('alice', [])
  const bob = new Side(BOB, [], new SeededRandom(2))
  for (let i = 0; i < 4; i++) deliver(syncOf('alice', []), bob, ALICE, 0)
  bob.sent.length = 0
  deliver(alice, bob, ALICE, 0)
  deliver(bob, alice, BOB, 0)
  assert.deepEqual(alice.outcomes, [{ result: 'refused', ours: 0, theirs: 0, retryS: 5 }])
})

test('four are answered at a time; a fifth is refused until one had its time, then that one ends', () => {
  const names = randomNames(new SeededRandom(8), 400)
  const bob = new Side(BOB, names.slice(0, 200), new SeededRandom(2))
  for (let i = 0; i < 4; i++)
    assert.deepEqual(deliver(syncOf(`peer ${i}`, names), bob, `peer ${i}` as PeerId, i), [
      undefined,
    ])
  assert.deepEqual(deliver(syncOf('eve', names), bob, 'eve' as PeerId, 4), ['rate-limited'])
  assert.deepEqual(deliver(syncOf('eve', names), bob, 'eve' as PeerId, 4_999), ['rate-limited'])
  assert.deepEqual(deliver(syncOf('eve', names), bob, 'eve' as PeerId, 5_000), [undefined])
  assert.deepEqual(
    bob.outcomes.map(({ result }) => result),
    ['refused'],
  )
  bob.reconciler.sessionGone('peer 1' as PeerId)
  assert.deepEqual(deliver(syncOf('fay', names), bob, 'fay' as PeerId, 5_000), [undefined])
})

test('a thousand peers that all begin cost sixteen answers and four a second', () => {
  const bob = new Side(BOB, [], new SeededRandom(2))
  for (let second = 0; second < 10; second++)
    for (let i = 0; i < 1_000; i++)
      deliver(syncOf(`peer ${i}`, []), bob, `peer ${i}` as PeerId, second * 1_000)
  assert.equal(bob.scopes.length, 16 + 9 * 4)
})

test('another SYNC of a peer takes the place of its last one', () => {
  const names = randomNames(new SeededRandom(9), 400)
  const bob = new Side(BOB, names.slice(0, 200), new SeededRandom(2))
  for (let i = 0; i < 4; i++) deliver(syncOf('alice', names, i), bob, ALICE, 0)
  assert.equal(bob.outcomes.length, 3)
  bob.reconciler.onDeadline(at(2_000))
  assert.equal(bob.outcomes.length, 4)
})

test('each beginning ends once: at once when it cannot be', () => {
  const alice = new Side(ALICE, [new Uint8Array(16)], new SeededRandom(1))
  for (let i = 0; i < 6; i++)
    alice.reconciler.begin(`peer ${i}` as PeerId, SALT_KEY, EVERYTHING, at(0))
  alice.reconciler.begin('peer 0' as PeerId, SALT_KEY, EVERYTHING, at(0))
  assert.equal(alice.sent.length, 4)
  assert.deepEqual(
    alice.outcomes.map(({ result }) => result),
    ['refused', 'refused', 'refused'],
  )
  alice.reconciler.onDeadline(at(2_000))
  assert.equal(alice.outcomes.length, 7)
  alice.names = new Array<Uint8Array>(NAMES_MAX + 1).fill(new Uint8Array(16))
  alice.reconciler.begin(BOB, SALT_KEY, EVERYTHING, at(3_000))
  assert.equal(alice.outcomes.at(-1)?.retryS, 255)
})

test('more names than one reconciliation takes are refused to a remote', () => {
  const bob = new Side(BOB, [], new SeededRandom(2))
  bob.names = new Array<Uint8Array>(NAMES_MAX + 1).fill(new Uint8Array(16))
  assert.deepEqual(deliver(syncOf('alice', []), bob, ALICE, 0), ['rate-limited'])
  assert.equal(bob.reconciler.deadline(), undefined)
})

test('a session that is gone takes its reconciliations along, silently', () => {
  const names = randomNames(new SeededRandom(10), 200)
  const bob = new Side(BOB, names.slice(0, 100), new SeededRandom(2))
  deliver(syncOf('alice', names), bob, ALICE, 0)
  bob.reconciler.begin(ALICE, SALT_KEY, EVERYTHING, at(0))
  bob.reconciler.sessionGone(ALICE)
  assert.equal(bob.reconciler.deadline(), undefined)
  assert.deepEqual(bob.outcomes, [])
})

test('a SYNC differs each time, and under another session key nothing matches', () => {
  const names = randomNames(new SeededRandom(12), 50)
  const alice = new Side(ALICE, names, new SeededRandom(1))
  const bob = new Side(BOB, names, new SeededRandom(2))
  for (let i = 0; i < 2; i++) {
    alice.reconciler.begin(BOB, SALT_KEY, EVERYTHING, at(i * 3_000))
    alice.reconciler.onDeadline(at(i * 3_000 + 2_000))
  }
  const [first, second] = alice.sent.map(({ payload }) => payload)
  assert.ok(first && second && first[0] === KIND_SYNC)
  assert.notDeepEqual(first.subarray(-40), second.subarray(-40))
  bob.reconciler.message(ALICE, new Uint8Array(32).fill(8), first, at(0))
  const answer = decodeReconcileMessage(bob.sent[0]?.payload ?? first)
  assert.ok(answer !== MALFORMED && answer.kind !== KIND_END)
})

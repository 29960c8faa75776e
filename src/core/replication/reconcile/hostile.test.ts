import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { sodiumNative } from '../../../crypto/sodium-native.ts'
import { MALFORMED } from '../../errors.ts'
import type { RejectCode } from '../../io.ts'
import { SeededRandom } from '../../seeded.fixture.ts'
import { leastAsk, SYMBOLS_MAX, SYMBOLS_PER_ASK_MAX } from './ask-size.ts'
import { CodedSymbols, checkOf, nextIndex, SymbolEncoder } from './coded-symbols.ts'
import { ALICE, at, BOB, randomNames, SALT_KEY, Side } from './pair.fixture.ts'
import {
  decodeReconcileMessage,
  encodeDiffered,
  encodeIds,
  encodeMore,
  encodeSymbols,
  encodeSync,
  FIRST_SYMBOLS,
  KIND_END,
  KIND_MORE,
  KIND_SYMBOLS,
  type ReconcileMessage,
  RUN_BEGAN,
} from './reconcile-wire.ts'
import { LACKING_MAX } from './reconciliation.ts'
import { NAMES_MAX, reconcileKey, SaltedSet } from './salted-set.ts'

/** Alice lies; Bob is to pay little for it. */
const EVERYTHING = { kind: 'everything' } as const
const RUN = 3
const crypto = sodiumNative()
const LYING = RUN | RUN_BEGAN
const NAMES = randomNames(new SeededRandom(1), 4_000)

function garbage(random: SeededRandom, first: number, count: number): CodedSymbols {
  return CodedSymbols.fromBytes(first, random.bytes(count * 10))
}

function lyingSync(size: number, symbols = garbage(new SeededRandom(2), 0, 4)): Uint8Array {
  return encodeSync(LYING, EVERYTHING, new Uint8Array(8), size, symbols)
}

function hear(bob: Side, payload: Uint8Array | undefined, ms = 0): RejectCode | undefined {
  assert.ok(payload)
  return bob.reconciler.message(ALICE, SALT_KEY, payload, at(ms))
}

function said(bob: Side): ReconcileMessage[] {
  return bob.sent.splice(0).map(({ payload }) => {
    const message = decodeReconcileMessage(payload)
    assert.ok(message !== MALFORMED)
    return message
  })
}

function bobWith(count: number): Side {
  return new Side(BOB, NAMES.slice(0, count), new SeededRandom(3))
}

function assertOver(bob: Side): void {
  assert.equal(bob.outcomes.length, 1)
  assert.equal(bob.reconciler.deadline(), undefined, 'nothing is kept')
}

test('a size beyond any is refused before a name is looked at', () => {
  const bob = bobWith(10)
  for (const size of [NAMES_MAX + 1, Number.MAX_SAFE_INTEGER])
    assert.equal(hear(bob, lyingSync(size)), 'over-limit')
  assert.equal(bob.scopes.length, 0)
})

test('sizes that the symbols do not bear out cost a table and a list at most', () => {
  for (const [ours, claimed] of [
    [4_000, 3_999],
    [4_000, 4_000],
    [4_000, 1],
    [10, 20],
    [4_000, 4_100],
    [0, NAMES_MAX],
    [4_000, NAMES_MAX],
  ] as const) {
    const bob = bobWith(ours)
    hear(bob, lyingSync(claimed))
    const { symbols, ids, asked } = feed(bob, claimed)
    assert.ok(symbols <= SYMBOLS_MAX, `${symbols} symbols were asked for`)
    assert.ok(asked <= 80, `asked ${asked} times`)
    assert.ok(ids <= ours, `${ids} ids were sent`)
  }
})

/** Answers whatever Bob asks for with garbage, until he asks no more. */
function feed(bob: Side, size: number): { symbols: number; ids: number; asked: number } {
  const random = new SeededRandom(5)
  const cost = { symbols: FIRST_SYMBOLS, ids: 0, asked: 0 }
  for (;;) {
    const messages = said(bob)
    for (const message of messages) if ('keys' in message) cost.ids += message.keys.length
    const more = messages.find((message) => message.kind === KIND_MORE)
    if (more === undefined) return cost
    cost.asked++
    if (more.until === 0) return cost
    const symbols = garbage(random, cost.symbols, more.until - cost.symbols)
    cost.symbols = more.until
    for (const payload of encodeSymbols(LYING, size, symbols))
      assert.equal(hear(bob, payload), undefined)
  }
}

test('symbols that decode to ids that are in no set are answered with the wish for a list', () => {
  const bob = bobWith(100)
  const nonce = new Uint8Array(8)
  const key = reconcileKey(crypto, SALT_KEY, nonce)
  const symbols = new SymbolEncoder(new SaltedSet(crypto, key, bob.names)).take(FIRST_SYMBOLS)
  for (let index = 0, k = 1; index < FIRST_SYMBOLS; index = nextIndex(index, 7, 7, k++))
    symbols.toggle(index, 7, 7, checkOf(7, 7), -1)
  hear(bob, encodeSync(LYING, EVERYTHING, nonce, 99, symbols))
  assert.deepEqual(said(bob), [{ kind: KIND_MORE, run: RUN, until: 0 }])
})

test('a list of ids that nobody has asks for a bounded number of them', () => {
  const bob = bobWith(100)
  hear(bob, lyingSync(100))
  feed(bob, 100)
  const keys = Array.from({ length: 40_000 }, (_, i) => i * 65_537)
  for (const payload of encodeIds(LYING, 'all', keys)) assert.equal(hear(bob, payload), undefined)
  const asked = said(bob).flatMap((message) => ('keys' in message ? message.keys : []))
  assert.equal(asked.length, LACKING_MAX)
  assert.equal(bob.expected, LACKING_MAX)
  assert.equal(bob.given.length, 100, 'who claims to have none of ours is given ours')
  assertOver(bob)
})

test('a list that is longer than it said, or than any may be, is refused', () => {
  const lists: [Uint8Array | undefined, RejectCode][] = [
    [encodeIds(LYING, 'all', new Array<number>(NAMES_MAX + 1).fill(1))[0], 'over-limit'],
    [encodeIds(LYING, 'lacking', [1])[0], 'unknown'],
  ]
  for (const [payload, rejected] of lists) {
    const bob = bobWith(100)
    hear(bob, lyingSync(100))
    feed(bob, 100)
    assert.equal(hear(bob, payload), rejected)
    assertOver(bob)
  }
  const bob = bobWith(100)
  hear(bob, lyingSync(100))
  feed(bob, 100)
  const [piece] = encodeIds(LYING, 'all', new Array<number>(200).fill(1))
  assert.equal(hear(bob, piece), undefined)
  assert.equal(hear(bob, piece), 'malformed')
  assertOver(bob)
})

test('symbols that were not asked for, or not so, are refused and end it', () => {
  const random = new SeededRandom(6)
  const pieces = (first: number, end: number, size = 3_900): Uint8Array | undefined =>
    encodeSymbols(RUN_BEGAN, size, garbage(random, first, end - first))[0]
  const cases: [string, (until: number) => Uint8Array | undefined][] = [
    ['those it has', (until) => pieces(0, until)],
    ['of another size', (until) => pieces(FIRST_SYMBOLS, until, 3_901)],
    ['beyond the end', (until) => pieces(until, until + 50)],
    ['none at all', () => Uint8Array.of(KIND_SYMBOLS, RUN_BEGAN, 5, 5, 4)],
  ]
  for (const [what, make] of cases) {
    const bob = bobWith(4_000)
    const alice = new Side(ALICE, NAMES.slice(0, 3_900), random)
    alice.reconciler.begin(BOB, SALT_KEY, EVERYTHING, at(0))
    hear(bob, alice.sent[0]?.payload)
    const [more] = said(bob)
    assert.ok(more?.kind === KIND_MORE && more.until > 0)
    assert.equal(hear(bob, make(more.until)), 'malformed', what)
    assertOver(bob)
  }
  for (const payload of encodeSymbols(LYING, 9, garbage(random, 0, 30)))
    assert.equal(hear(bobWith(4), payload), 'unknown')
})

test('to one who began, a flood of symbols is refused at its first message', () => {
  for (const until of [0, FIRST_SYMBOLS + SYMBOLS_PER_ASK_MAX + 1, Number.MAX_SAFE_INTEGER]) {
    const bob = bobWith(10)
    bob.reconciler.begin(ALICE, SALT_KEY, EVERYTHING, at(0))
    const symbols = garbage(new SeededRandom(7), 0, 10)
    Object.defineProperty(symbols, 'end', { value: until })
    assert.notEqual(hear(bob, encodeSymbols(0, 20, symbols)[0]), undefined)
    assertOver(bob)
  }
})

test('MORE without end is cut off: by what it must ask for each time, and by the longest table', () => {
  for (const step of [
    (have: number) => leastAsk(have),
    (have: number) => Math.min(SYMBOLS_MAX, have + SYMBOLS_PER_ASK_MAX),
  ]) {
    const bob = bobWith(4_000)
    bob.reconciler.begin(ALICE, SALT_KEY, EVERYTHING, at(0))
    let [have, asked, rejected]: [number, number, RejectCode | undefined] = [4, 0, undefined]
    while (rejected === undefined && asked < 1_000) {
      have = step(have)
      rejected = hear(bob, encodeMore(0, have))
      asked++
    }
    const bytes = bob.sent.reduce((sum, { payload }) => sum + payload.length, 0)
    assert.equal(rejected, 'over-limit')
    assert.ok(asked <= 80, `${asked} times`)
    assert.ok(bytes <= 1.02 * 10 * SYMBOLS_MAX, `${bytes} bytes`)
    assertOver(bob)
  }
})

test('MORE that asks for less than the least, for too many, or for a second list is refused', () => {
  for (const [first, then] of [
    [undefined, 5],
    [undefined, 4 + SYMBOLS_PER_ASK_MAX + 1],
    [0, 0],
    [0, 200],
  ] as const) {
    const bob = bobWith(100)
    bob.reconciler.begin(ALICE, SALT_KEY, EVERYTHING, at(0))
    if (first !== undefined) assert.equal(hear(bob, encodeMore(0, first)), undefined)
    assert.equal(hear(bob, encodeMore(0, then)), 'over-limit')
    assertOver(bob)
  }
})

test('ids that stand for nothing are given nothing', () => {
  const bob = bobWith(100)
  bob.reconciler.begin(ALICE, SALT_KEY, EVERYTHING, at(0))
  hear(bob, encodeDiffered(0, 0, 100))
  hear(bob, encodeIds(0, 'lacking', new Array<number>(100).fill(12_345))[0])
  assert.deepEqual(bob.given, [])
  assert.deepEqual(bob.outcomes, [{ result: 'differed', ours: 0, theirs: 0 }])
  assertOver(bob)
})

test('an END that promises or asks for more than there can be is refused', () => {
  for (const [giving, lacking] of [
    [NAMES_MAX + 1, 0],
    [0, 101],
    [Number.MAX_SAFE_INTEGER, 0],
  ] as const) {
    const bob = bobWith(100)
    bob.reconciler.begin(ALICE, SALT_KEY, EVERYTHING, at(0))
    assert.equal(hear(bob, encodeDiffered(0, giving, lacking)), 'over-limit')
    assert.equal(bob.expected, 0)
    assertOver(bob)
  }
})

test('an END that says another number than its ids, or comes twice, is refused', () => {
  const begun = () => {
    const bob = bobWith(100)
    bob.reconciler.begin(ALICE, SALT_KEY, EVERYTHING, at(0))
    return bob
  }
  const other = begun()
  assert.equal(hear(other, encodeIds(0, 'lacking', [1, 2])[0]), undefined)
  assert.equal(hear(other, encodeDiffered(0, 0, 3)), 'malformed')
  assertOver(other)
  const twice = begun()
  assert.equal(hear(twice, encodeDiffered(0, 5, 3)), undefined)
  assert.equal(hear(twice, encodeDiffered(0, 5, 3)), 'unknown')
  assert.equal(twice.expected, 5)
  assertOver(twice)
})

test('one that goes on and on ends after thirty seconds, however lively', () => {
  const bob = bobWith(4_000)
  bob.reconciler.begin(ALICE, SALT_KEY, EVERYTHING, at(0))
  let have = FIRST_SYMBOLS
  let ms = 0
  for (; bob.outcomes.length === 0; ms += 1_900) {
    have = leastAsk(have)
    hear(bob, encodeMore(0, have), ms)
    bob.reconciler.onDeadline(at(ms + 1_900))
  }
  assert.ok(ms >= 28_000 && ms <= 32_000, `${ms} ms`)
})

test('whatever is said in whatever order, nothing throws and what is asked of the host is bounded', () => {
  const step = fc.record({
    what: fc.nat({ max: 7 }),
    run: fc.constantFrom(0, RUN_BEGAN, LYING),
    a: fc.oneof(fc.nat({ max: 300 }), fc.constantFrom(NAMES_MAX, 2 ** 40)),
    b: fc.nat({ max: 300 }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.integer(), (steps, seed) => {
      const random = new SeededRandom(seed)
      const bob = bobWith(150)
      bob.reconciler.begin(ALICE, SALT_KEY, EVERYTHING, at(0))
      for (const [ms, { what, run, a, b }] of steps.entries()) {
        const key = random.below(2 ** 32)
        const messages = [
          () => [encodeSync(run, EVERYTHING, random.bytes(8), a, garbage(random, 0, 4))],
          () => encodeSymbols(run, a, garbage(random, 0, b)),
          () => encodeSymbols(run, a, garbage(random, 4, b)),
          () => [encodeMore(run, a)],
          () => encodeIds(run, 'all', new Array<number>(b).fill(key)),
          () => encodeIds(run, 'lacking', new Array<number>(b).fill(key)),
          () => [encodeDiffered(run, a, b)],
          () => [Uint8Array.of(KIND_END, run, b % 4, 1)],
        ][what]
        for (const payload of messages?.() ?? [])
          bob.reconciler.message(ALICE, SALT_KEY, payload, at(ms * 500))
        bob.reconciler.onDeadline(at(ms * 500))
      }
      const syncs = steps.filter(({ what }) => what === 0).length
      assert.ok(bob.outcomes.length <= syncs + 1)
      assert.ok(bob.given.length <= 150 * (syncs + 1))
      bob.reconciler.onDeadline(at(1e6))
      assert.equal(bob.reconciler.deadline(), undefined)
    }),
    { seed: 99, numRuns: 500 },
  )
})

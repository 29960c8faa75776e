import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { sodiumNative } from '../../../crypto/sodium-native.ts'
import { SeededRandom } from '../../seeded.fixture.ts'
import { SymbolEncoder } from './coded-symbols.ts'
import { exchange, randomNames } from './pair.fixture.ts'
import { FIRST_SYMBOLS } from './reconcile-wire.ts'
import { SaltedSet } from './salted-set.ts'

/** What reconciling costs beyond the packets: bytes of all messages both ways, with their heads. */
const HELD = 13_000
const RUNS = 20
const NAMES = randomNames(new SeededRandom(5), HELD + 4_096)

interface Cost {
  readonly meanBytes: number
  readonly worstBytes: number
  readonly roundTrips: number
}

/** Alice has `mine` packets that Bob lacks, and he has `yours`. */
function cost(t: TestContext, what: string, mine: number, yours: number): Cost {
  const alices = NAMES.slice(0, HELD + mine)
  const bobs = [...NAMES.slice(0, HELD), ...NAMES.slice(HELD + 2_048, HELD + 2_048 + yours)]
  const bytes: number[] = []
  let roundTrips = 0
  for (let seed = 0; seed < RUNS; seed++) {
    const run = exchange(alices, bobs, { seed: 1_000 + 2 * seed })
    assert.deepEqual([run.alice.given.length, run.bob.given.length], [mine, yours])
    bytes.push(run.bytes)
    roundTrips = Math.max(roundTrips, run.roundTrips)
  }
  const meanBytes = bytes.reduce((sum, each) => sum + each, 0) / RUNS
  const worstBytes = Math.max(...bytes)
  const each = (total: number) => (mine + yours > 0 ? (total / (mine + yours)).toFixed(1) : '-')
  t.diagnostic(
    `${what.padEnd(24)} ${meanBytes.toFixed(0).padStart(6)} B, worst ${worstBytes} B;` +
      ` each ${each(meanBytes)} B, worst ${each(worstBytes)} B; round trips at most ${roundTrips}`,
  )
  return { meanBytes, worstBytes, roundTrips }
}

test('two peers in sync find out with at most 100 bytes', (t) => {
  assert.ok(cost(t, 'in sync', 0, 0).worstBytes <= 100)
})

test('one missing packet is found with at most 250 bytes and in one round trip', (t) => {
  for (const found of [cost(t, 'responder lacks 1', 1, 0), cost(t, 'initiator lacks 1', 0, 1)]) {
    assert.ok(found.worstBytes <= 250)
    assert.equal(found.roundTrips, 1)
  }
})

test('many missing packets cost at most 20 bytes each', (t) => {
  for (const count of [64, 1_024])
    for (const found of [
      cost(t, `responder lacks ${count}`, count, 0),
      cost(t, `initiator lacks ${count}`, 0, count),
    ]) {
      assert.ok(found.meanBytes <= 20 * count, `${found.meanBytes} bytes`)
      // One in ten tables needs a second helping.
      assert.ok(found.worstBytes <= 24 * count, `${found.worstBytes} bytes`)
      assert.ok(found.roundTrips <= 3)
    }
})

test('packets missing on both sides cost a little more, since the size is not known before', (t) => {
  for (const count of [1, 8, 64, 512]) {
    const found = cost(t, `each lacks ${count}`, count, count)
    if (count >= 64) assert.ok(found.meanBytes <= 24 * 2 * count, `${found.meanBytes} bytes`)
    assert.ok(found.roundTrips <= 9)
  }
})

test('sets with little in common cost a list of one and what it lacks, and some symbols before', (t) => {
  const run = exchange(NAMES.slice(0, 8_000), NAMES.slice(7_000, 15_000))
  const list = 6 * (8_000 + 7_000)
  t.diagnostic(`8,000 each, 1,000 in common: ${run.bytes} B; a list of one and wants: ${list} B`)
  assert.ok(run.bytes <= 1.5 * list)
})

test('a probe of 13,000 packets takes some milliseconds', (t) => {
  const crypto = sodiumNative()
  const names = NAMES.slice(0, HELD)
  const best = { hashMs: Infinity, symbolsMs: Infinity, bothMs: Infinity }
  for (let i = 0; i < 15; i++) {
    const started = performance.now()
    const set = new SaltedSet(crypto, new Uint8Array(16).fill(i), names)
    const hashed = performance.now()
    new SymbolEncoder(set).take(FIRST_SYMBOLS)
    const coded = performance.now()
    exchange(names, names, { seed: i })
    const probed = performance.now()
    best.hashMs = Math.min(best.hashMs, hashed - started)
    best.symbolsMs = Math.min(best.symbolsMs, coded - hashed)
    best.bothMs = Math.min(best.bothMs, probed - coded)
  }
  t.diagnostic(
    `ids ${best.hashMs.toFixed(1)} ms, symbols ${best.symbolsMs.toFixed(1)} ms;` +
      ` a probe, each side ${(best.bothMs / 2).toFixed(1)} ms`,
  )
  // Six times what it takes, for a machine that does other things.
  assert.ok(best.bothMs / 2 <= 30, `${best.bothMs / 2} ms`)
})

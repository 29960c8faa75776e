import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Crypto } from '../crypto.ts'
import {
  crypto,
  type FakeLink,
  made,
  ReplicationBench,
  subclusterKeys,
  WALL_S,
} from './bench.fixture.ts'

/**
 * What a flood of packets costs a stranger: checks of signatures, time, and room once its cache is full. The
 * floods are of one tag; by whose share packets are kept is tested in `cache/flood.test.ts`.
 */
const FLOOD = 9_000
const OTHERS = 10
/** Two packets of each of a thousand links. */
const CACHE_BYTES = 2_600_000
/** What one remote may send at once, unasked. */
const BURST_BYTES = 2_000_000

const keysOf = (fill: number) => subclusterKeys(fill).at(WALL_S) ?? assert.fail('no keys')
const flood = Array.from({ length: FLOOD }, (_, i) => made(i, { keys: keysOf(200) }).bytes)
const [first = assert.fail('no packet')] = flood
const forged = flood.map((bytes) =>
  bytes.map((byte, i) => (i === bytes.length - 1 ? byte ^ 1 : byte)),
)

class FloodBench {
  checks = 0
  readonly #others = Array.from({ length: OTHERS }, (_, i) => made(i, { keys: keysOf(100 + i) }))
  readonly #bench: ReplicationBench

  constructor() {
    const verify: Crypto['verify'] = (...args) => {
      this.checks++
      return crypto.verify(...args)
    }
    const counting = Object.create(crypto, { verify: { value: verify } }) as Crypto
    this.#bench = new ReplicationBench({ cacheBytes: CACHE_BYTES, crypto: counting })
    for (const { bytes } of this.#others) this.#bench.give(this.#bench.link(), bytes)
    this.checks = 0
  }

  /** From so many links in turn. Returns what was refused and why, and how long one took. */
  floodedBy(
    links: number,
    packets: readonly Uint8Array[],
  ): { codes: Map<string, number>; usEach: number } {
    const bench = this.#bench
    const from: FakeLink[] = Array.from({ length: links }, () => bench.link())
    const codes = new Map<string, number>()
    const startedMs = performance.now()
    for (const [i, bytes] of packets.entries()) {
      const code = bench.give(from[i % links] ?? assert.fail('no link'), bytes) ?? 'taken'
      codes.set(code, (codes.get(code) ?? 0) + 1)
    }
    const usEach = (1000 * (performance.now() - startedMs)) / packets.length
    for (const { name } of this.#others) assert.ok(bench.kept.includes(name), 'the others are kept')
    const { cacheBytes = 0 } = bench.replication.counters
    assert.ok(cacheBytes <= CACHE_BYTES, `${cacheBytes} bytes`)
    return { codes, usEach }
  }
}

function report(t: TestContext, what: string, checks: number, usEach: number): void {
  t.diagnostic(`${what}: ${checks} of ${FLOOD} checked, ${usEach.toFixed(1)} µs each of all`)
}

test('what a check takes', (t) => {
  const bench = new FloodBench()
  const { codes, usEach } = bench.floodedBy(1, flood.slice(0, 1_000))
  assert.deepEqual([...codes], [['taken', 1_000]])
  t.diagnostic(`a genuine one is checked and kept in ${usEach.toFixed(1)} µs`)
})

// Turns red when the budget is asked after the signature.
test('of one link no more is checked than its budget allows', (t) => {
  const bench = new FloodBench()
  const { codes, usEach } = bench.floodedBy(1, flood)
  assert.equal(bench.checks, Math.floor(BURST_BYTES / first.length))
  assert.equal(codes.get('taken'), bench.checks)
  assert.equal(codes.get('rate-limited'), FLOOD - bench.checks)
  report(t, 'genuine, of one link', bench.checks, usEach)
})

test('of 1,000 links each is heard', (t) => {
  const bench = new FloodBench()
  const { codes, usEach } = bench.floodedBy(1_000, flood)
  assert.deepEqual([...codes], [['taken', FLOOD]])
  report(t, 'genuine, of 1,000 links', bench.checks, usEach)
})

test('of forgeries three are checked, and their sender is not heard any more', (t) => {
  const bench = new FloodBench()
  const { codes, usEach } = bench.floodedBy(1, forged)
  assert.deepEqual(
    [...codes],
    [
      ['unauthentic', 3],
      ['rate-limited', FLOOD - 3],
    ],
  )
  assert.equal(bench.checks, 3)
  report(t, 'forged', bench.checks, usEach)
})

test('one that comes again and again is checked once', (t) => {
  const bench = new FloodBench()
  const { usEach } = bench.floodedBy(
    1,
    flood.map(() => first),
  )
  assert.equal(bench.checks, 1)
  report(t, 'repeated', bench.checks, usEach)
})

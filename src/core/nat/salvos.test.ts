import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Instant } from '../io.ts'
import { SeededRandom } from '../seeded.fixture.ts'
import { PortPermutation } from './port-permutation.ts'
import { PortSearch, SEARCH_KNOCKS_MAX } from './port-search.ts'
import { PortSweep } from './port-sweep.ts'
import type { Salvo } from './salvo.ts'
import { SocketFan } from './socket-fan.ts'

/** Fires until it is over or `untilMs`; `lateMs` after each deadline. */
function run(salvo: Salvo, untilMs = 60_000, lateMs = 0): number {
  let now = 0
  while (salvo.nextAt !== undefined && salvo.nextAt <= untilMs) {
    now = salvo.nextAt + lateMs
    salvo.fire(now as Instant)
  }
  return now
}

test('a sweep writes to each port three times, 100 ms apart', () => {
  const knocks: [number, number][] = []
  const sweep = new PortSweep([7, 8], (port, now) => knocks.push([now, port]), 0 as Instant)
  assert.equal(run(sweep), 200, 'it ends after 200 ms')
  assert.deepEqual(
    knocks,
    [0, 100, 200].flatMap((ms) => [
      [ms, 7],
      [ms, 8],
    ]),
    'all knocks',
  )
})

function search(onKnock: (port: number, now: number) => void, first = 1_024, last = 65_535) {
  const ports = new PortPermutation(new SeededRandom(3), first, last)
  return new PortSearch(ports, onKnock, 0 as Instant)
}

test('a search writes to distinct ports, 32 at once and then 250 a second, 1,536 at most', () => {
  const seen = new Map<number, number>()
  const endMs = run(search((port, now) => seen.set(port, now)))
  assert.equal(seen.size, SEARCH_KNOCKS_MAX, 'distinct ports')
  const before = (ms: number) => [...seen.values()].filter((at) => at < ms).length
  assert.equal(before(1), 32, 'at once')
  assert.ok(Math.abs(before(1_000) - 282) <= 5, `${before(1_000)} in the first second`)
  assert.ok(endMs > 5_900 && endMs < 6_200, `over after ${endMs} ms`)
})

test('a search ends when it has written to the whole of a small range', () => {
  const seen: number[] = []
  run(search((port) => seen.push(port), 5_000, 5_099))
  assert.equal(seen.length, 100, 'each port once')
})

test('a search whose deadlines come late sends no burst', () => {
  const perTick = new Map<number, number>()
  run(
    search((_, now) => perTick.set(now, (perTick.get(now) ?? 0) + 1)),
    600_000,
    5_000,
  )
  assert.ok(Math.max(...perTick.values()) <= 32, `${Math.max(...perTick.values())} at once`)
})

function fan(limit: number) {
  const log: string[] = []
  let opened = 0
  const options = {
    sockets: 5,
    batch: 2,
    batchGapMs: 5,
    repeatsMs: [8, 100],
    open: () => (opened < limit ? 100 + opened++ : undefined),
    knock: (socket: number, now: Instant) => log.push(`${now} ${socket}`),
  }
  return { log, salvo: new SocketFan(options, 0 as Instant) }
}

test('a fan opens its sockets in batches, each of which knocks at once and again with all', () => {
  const { log, salvo } = fan(100)
  run(salvo)
  const all = [100, 101, 102, 103, 104]
  assert.deepEqual(
    log,
    [
      ['0 100', '0 101', '5 102', '5 103', '8 100', '8 101', '8 102', '8 103', '10 104'],
      all.map((socket) => `100 ${socket}`),
    ].flat(),
    'knocks in order',
  )
})

test('a fan makes do with the sockets there are', () => {
  const { log, salvo } = fan(3)
  run(salvo)
  assert.equal(log.filter((line) => line.startsWith('100 ')).length, 3, 'three knock at the end')
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { UnixMs } from '../../io.ts'
import { LEAF_OVERHEAD_BYTES, PACKET_OVERHEAD_BYTES } from './fair-shelf.ts'
import type { Duty } from './packet-store.ts'
import { type MadePacket, madePacket, StoreBench, WALL } from './packets.fixture.ts'

/** Any order of operations, against a model that adds up afresh what is on disk after each. */
const BUDGET_BYTES = 12_000
const DUTIES: readonly Duty[] = ['own', 'custody', 'passing']
const MADE: readonly MadePacket[] = Array.from({ length: 24 }, (_, number) =>
  madePacket(number, {
    tag: number % 3,
    sizeBytes: 300 + 35 * number,
    lifeMinutes: 10 + 60 * (number % 5),
    ...(number % 4 === 0 ? { payloadBytes: 400 * (1 + number / 4) } : {}),
  }),
)

const which = fc.integer({ min: 0, max: MADE.length - 1 })
const duty = fc.constantFrom(...DUTIES)
const source = fc.constantFrom('a', 'b', 'c')
const operation = fc.oneof(
  fc.record({ do: fc.constant('add' as const), which, duty, source }),
  fc.record({ do: fc.constant('leaf' as const), which, at: fc.integer({ min: 0, max: 3 }) }),
  fc.record({ do: fc.constant('duty' as const), which, duty, source }),
  fc.record({ do: fc.constant('remove' as const), which }),
  fc.record({ do: fc.constant('wait' as const), minutes: fc.integer({ min: 0, max: 300 }) }),
  fc.record({ do: fc.constant('restart' as const) }),
)

/** What the records on disk come to, by the rules of docs/spec/cache.md. */
function charged(disk: ReadonlyMap<string, Uint8Array>): { own: number; cache: number } {
  const bytes = { own: 0, cache: 0 }
  const budgetOf = (name: string) => (disk.get(`packet/${name}`)?.[1] === 0 ? 'own' : 'cache')
  for (const [key, value] of disk) {
    const [kind, name = ''] = key.split('/')
    if (kind === 'packet') bytes[budgetOf(name)] += value.length - 2 + PACKET_OVERHEAD_BYTES
    else bytes[budgetOf(name)] += value.length + LEAF_OVERHEAD_BYTES
  }
  return bytes
}

test('after any operations the disk, the charges and the budgets agree', () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 120 }), (operations) => {
      const budgets = { cacheBytes: BUDGET_BYTES, ownBytes: BUDGET_BYTES }
      let bench = new StoreBench(budgets)
      let minutes = 0
      for (const step of operations) {
        const { store } = bench
        const wall = (WALL + minutes * 60_000) as UnixMs
        const made = 'which' in step ? MADE[step.which] : undefined
        if (step.do === 'wait') {
          minutes += step.minutes
          store.expire((WALL + minutes * 60_000) as UnixMs)
        } else if (step.do === 'restart') {
          const disk = [...bench.disk].map(([key, value]) => ({ key, value }))
          const again = new StoreBench(budgets)
          for (const { key, value } of disk) again.disk.set(key, value)
          again.store.load(disk, wall)
          bench = again
        } else if (made !== undefined && step.do === 'add') {
          const wasSpent = store.isSpent(made.name)
          const held = store.add(made.packet, made.id, step.duty, step.source, wall)
          assert.equal(held === undefined, wasSpent)
          assert.equal(store.has(made.name), !wasSpent, 'the newest stays')
        } else if (made !== undefined && step.do === 'leaf') {
          const leaf = made.leaves[step.at]
          if (leaf) store.addLeaf(made.name, leaf.level, leaf.index, leaf.bytes)
        } else if (made !== undefined && step.do === 'duty') {
          store.setDuty(made.name, step.duty, step.source)
          if (store.has(made.name)) assert.equal(store.get(made.name)?.duty, step.duty)
        } else if (made !== undefined) store.remove(made.name)
        assertConsistent(bench)
      }
    }),
    { numRuns: 200 },
  )
})

function assertConsistent({ store, disk, gone }: StoreBench): void {
  assert.deepEqual(store.bytes, charged(disk))
  assert.equal(store.bytes.own <= BUDGET_BYTES && store.bytes.cache <= BUDGET_BYTES, true)
  const packets = [...disk.keys()].filter((key) => key.startsWith('packet/'))
  assert.equal(store.count, packets.length)
  const ofTags = [0, 1, 2].flatMap((tag) => store.withTag(MADE[tag]?.tag ?? ''))
  assert.equal(ofTags.length, packets.length)
  for (const key of packets) assert.equal(store.has(key.slice(7)), true)
  for (const name of gone) assert.equal(store.has(name), false)
  for (const { name, isHeld } of store.entries())
    assert.deepEqual([store.has(name), store.isSpent(name)], [isHeld, !isHeld])
  for (const { name } of MADE)
    assert.equal(store.byShort(name.slice(0, 16))?.name, store.get(name)?.name)
}

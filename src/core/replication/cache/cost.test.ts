import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { madePacket, StoreBench, WALL } from './packets.fixture.ts'

/** Says what a packet costs, since the charge per packet is a measured number. */
const PACKETS = 13_000

function memoryBytes(collect: () => void): number {
  collect()
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

test('what is charged for a packet is about what it costs in memory', (t) => {
  setFlagsFromString('--expose-gc')
  const collect: () => void = runInNewContext('gc')
  for (const tags of [10, PACKETS]) {
    const made = Array.from({ length: PACKETS }, (_, number) =>
      madePacket(number, { tag: number % tags, sizeBytes: 496 }),
    )
    const { store } = new StoreBench({ cacheBytes: 2 ** 25, write: () => {} })
    const before = memoryBytes(collect)
    const startedMs = performance.now()
    for (const [number, { packet, id }] of made.entries())
      store.add(packet, id, 'custody', `link ${number % 50}`, WALL)
    const us = ((performance.now() - startedMs) * 1000) / PACKETS
    const bytes = (memoryBytes(collect) - before) / PACKETS
    const charge = store.bytes.cache / PACKETS
    t.diagnostic(
      `${tags} tags: ${Math.round(bytes)} bytes each, charged ${charge}; ${us.toFixed(1)} µs to add`,
    )
    assert.equal(made.length, store.count)
  }
})

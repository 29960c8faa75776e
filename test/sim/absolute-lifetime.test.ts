import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NatOptions, SimPeer } from '../../src/sim/index.ts'
import { Flow, pairAt, untilPath } from './flow.fixture.ts'
import { world } from './subcluster.fixture.ts'

/**
 * NATs that end mappings at a certain age however busy they are: once that is learned, a path in use is
 * succeeded before it dies.
 */
const HOME: NatOptions = { filtering: 'address-and-port-dependent', allocation: 'random' }
const MORTAL: NatOptions = { ...HOME, absoluteLifetimeMs: 60_000 }
const TALK_MS = 600_000
const EVERY_MS = 40
/** Falling back to a relay, while nothing is known. */
const UNLEARNED_MS = 2_000
const LEARNED_MS = 300
/** Use has to show, and to be moved. */
const MOVED_AFTER_MS = 8_000

for (const [name, places] of [
  ['both NATs', [MORTAL, MORTAL]],
  ['one NAT', [MORTAL, HOME]],
  ['the other NAT', [HOME, MORTAL]],
] as const)
  for (const lossRate of [0, 0.01])
    test(`${name} with mappings of 60 s: one learned, no silence (${100 * lossRate} % loss)`, (t) => {
      const net = world({ seed: `${name} ${lossRate}`, defaultLink: { latencyMs: 15, lossRate } })
      const [natA, natB] = places
      const pair = pairAt(net, { nat: natA }, { nat: natB })
      const { a, b } = pair
      untilPath(net, pair, 'direct', 10_000)
      const startMs = net.nowMs
      const mortals = [a, b].filter((_, i) => places[i] === MORTAL)
      const flows = [new Flow(net, a, b).start(EVERY_MS), new Flow(net, b, a).start(EVERY_MS)]
      net.runUntil(() => mortals.every(hasLearned), 300_000)
      const learnedMs = net.nowMs - startMs
      const unlearned = Math.max(...flows.map((flow) => flow.longestSilenceMs(startMs)))
      net.run(MOVED_AFTER_MS)
      const movedMs = net.nowMs
      net.run(TALK_MS)
      const silences = flows.map((flow) => flow.longestSilenceMs(movedMs))
      t.diagnostic(
        `learned after ${Math.round(learnedMs / 1_000)} s; silent for ${Math.round(unlearned)} ms at ` +
          `most before, ${Math.round(Math.max(...silences))} ms after`,
      )
      for (const flow of flows) flow.finish()
      assert.ok(unlearned <= UNLEARNED_MS, `silent for ${unlearned} ms`)
      for (const silenceMs of silences)
        assert.ok(silenceMs <= LEARNED_MS, `silent for ${silenceMs} ms`)
      for (const peer of [a, b].filter((_, i) => places[i] === HOME))
        assert.ok(!hasLearned(peer), 'what the remote NAT does is not put down to ours')
    })

function hasLearned(peer: SimPeer): boolean {
  return peer.snapshot().nat.absoluteLifetimeMs !== undefined
}

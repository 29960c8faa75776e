import assert from 'node:assert/strict'
import { test } from 'node:test'
import { table } from '../../src/sim/report.ts'
import { Crowd, churn, partition, reach, SCENE_HEADING } from './crowd.fixture.ts'
import { world } from './subcluster.fixture.ts'

/** 128 peers, 30 % behind hard NATs, half of them subscribed: minutes of it, so not in the suite. */
const SIZE = Number(process.env['LATICA_PEERS'] ?? 128)
const SEEDS = (process.env['LATICA_SEED'] ?? '1,2').split(',').map(Number)
const PACKETS = 20
const OPTIONS = {
  size: SIZE,
  hardNats: 0.3,
  subscribed: 0.5,
  lineMs: [5, 25],
  lossRate: 0.01005,
} as const

for (const seed of SEEDS)
  test(`a crowd of ${SIZE} hears, keeps and finds again, seed ${seed}`, (t) => {
    const settled = () => {
      const crowd = new Crowd(world({ seed }), OPTIONS)
      crowd.arrive(10_000)
      crowd.net.run(10_000)
      return crowd
    }
    const chance = world({ seed }).random.fork('leavers')
    const crowd = settled()
    const scenes = [
      reach(crowd, PACKETS),
      partition(crowd, PACKETS),
      churn(settled(), PACKETS, () => chance.word()),
    ]
    t.diagnostic(
      `\n${table(
        SCENE_HEADING,
        scenes.flatMap(({ rows }) => rows),
      )}`,
    )
    assert.deepEqual(
      scenes.flatMap(({ faults }) => faults),
      [],
    )
  })

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { table } from '../../src/sim/report.ts'
import { Crowd, churn, partition, reach, SCENE_HEADING } from './crowd.fixture.ts'
import { world } from './subcluster.fixture.ts'

/** The scenes of `crowd.long.ts` with fewer peers, and less of the churn. */
const PACKETS = 10
const SIZE = 20
const CHURN_S = 6

test(`a crowd of ${SIZE} hears, keeps and finds again`, (t) => {
  const net = world({ seed: 1 })
  const lines = { lineMs: [5, 25], lossRate: 0.01005 } as const
  const crowd = new Crowd(net, { size: SIZE, hardNats: 0.3, subscribed: 0.5, ...lines })
  crowd.arrive(4_000)
  net.run(5_000)
  const chance = net.random.fork('leavers')
  const scenes = [
    reach(crowd, PACKETS),
    partition(crowd, PACKETS),
    churn(crowd, PACKETS, () => chance.word(), CHURN_S),
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

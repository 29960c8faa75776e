import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NatOptions, World } from '../../src/sim/index.ts'
import { percentile } from '../../src/sim/report.ts'
import { Flow, type Pair, pairAt, sessionOf, untilPath } from './flow.fixture.ts'
import { world } from './subcluster.fixture.ts'

const SEEDS = 20
const BACK_MS = 2_000
const HOME: NatOptions = { filtering: 'address-and-port-dependent' }
const HARD: NatOptions = { ...HOME, mapping: 'address-and-port-dependent', allocation: 'random' }

interface Fault {
  readonly name: string
  readonly places: readonly [NatOptions, NatOptions]
  readonly before: 'direct' | 'relayed'
  strike(net: World, pair: Pair): void
}

const FAULTS: readonly Fault[] = [
  {
    name: 'the relay in use dies',
    places: [HARD, HARD],
    before: 'relayed',
    strike: (_net, { a, b, crowd }) => {
      const relay = sessionOf(a, b).relay
      const peer = crowd.find(({ peerId }) => peerId === relay)
      assert.ok(peer, 'they are relayed by one of the crowd')
      peer.host.crash()
    },
  },
  {
    name: 'a NAT forgets its mappings',
    places: [HOME, HOME],
    before: 'direct',
    strike: (net, { a }) => net.rebootNat(boxOf(a)),
  },
  {
    name: 'a NAT that draws ports at random forgets its mappings',
    places: [{ ...HOME, allocation: 'random' }, HOME],
    before: 'direct',
    strike: (net, { a }) => net.rebootNat(boxOf(a)),
  },
  {
    name: 'a NAT restarts with another address',
    places: [HOME, HOME],
    before: 'direct',
    strike: (net, { a }) => net.rebootNat(boxOf(a), { changesAddress: true }),
  },
  {
    name: 'the NAT of a relayed peer restarts with another address',
    places: [HARD, HARD],
    before: 'relayed',
    strike: (net, { a }) => net.rebootNat(boxOf(a), { changesAddress: true }),
  },
  {
    name: 'a host moves to another network',
    places: [HOME, HOME],
    before: 'direct',
    strike: (net, { a }) => net.move(a.host, { nat: HOME }),
  },
  {
    name: 'the direct path dies',
    places: [HOME, HOME],
    before: 'direct',
    strike: (net, { a, b }) => void net.partition([a.host], [b.host]),
  },
]

for (const fault of FAULTS)
  for (const senders of ['both', 'a', 'b'] as const)
    test(`${fault.name} while ${senders} send: talking again within 2 s, nothing lost or doubled`, (t) => {
      const silences: number[] = []
      for (let seed = 0; seed < SEEDS; seed++) silences.push(longestSilence(fault, senders, seed))
      const p95 = Math.round(percentile(silences, 95))
      t.diagnostic(`silent for p50 ${Math.round(percentile(silences, 50))} ms, p95 ${p95} ms`)
      assert.ok(p95 <= BACK_MS, `silent for ${p95} ms`)
    })

function longestSilence(fault: Fault, senders: 'both' | 'a' | 'b', seed: number): number {
  const lossRate = seed % 2 === 0 ? 0 : 0.01
  const net = world({ seed: `${fault.name} ${seed}`, defaultLink: { latencyMs: 15, lossRate } })
  const [natA, natB] = fault.places
  const pair = pairAt(net, { nat: natA }, { nat: natB })
  const { a, b } = pair
  if (fault.before === 'direct') untilPath(net, pair, 'direct', 10_000)
  const flows = [new Flow(net, a, b), new Flow(net, b, a)].filter(
    (_, i) => senders === 'both' || senders === (i === 0 ? 'a' : 'b'),
  )
  // Learning what the NAT is and a standby take a few seconds.
  net.run(3_000)
  for (const flow of flows) flow.start(40)
  net.run(3_000)
  assert.equal(sessionOf(a, b).path, fault.before, 'the path before')
  const struckMs = net.nowMs
  fault.strike(net, pair)
  net.run(6_000)
  const silences = flows.map((flow) => flow.longestSilenceMs(struckMs))
  for (const flow of flows) flow.finish()
  return Math.max(...silences)
}

function boxOf(peer: Pair['a']) {
  const box = peer.host.place.nat
  assert.ok(box, 'it is behind a box')
  return box
}

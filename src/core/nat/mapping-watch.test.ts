import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NatProfile } from '../../sim/nat.ts'
import { type Lie, NatWorld } from './nat-world.fixture.ts'

const REFLECTORS = 4
const HOME: Partial<NatProfile> = { allocation: 'random' }
const MORTAL: Partial<NatProfile> = { ...HOME, absoluteLifetimeMs: 60_000 }

/** Sessions keep the main socket's mapping busy, and a path through it dies at each of these times. */
function worldWith(
  profile: Partial<NatProfile>,
  deathsMs: readonly number[],
  untilMs: number,
  liars: Readonly<Record<number, Lie>> = {},
) {
  const world = new NatWorld({ seed: 'watch', reflectors: REFLECTORS, profile, liars })
  world.run(2_000)
  const beforeMs = new Set(deathsMs)
  for (let atMs = 3_000; atMs <= untilMs; atMs += 1_000) {
    world.run(atMs)
    if (beforeMs.has(atMs)) world.survey.pathDied(world.now)
    keepBusy(world)
  }
  return world
}

function keepBusy(world: NatWorld): void {
  const remote = { host: '203.0.113.1', port: 1 }
  world.table.outbound({ host: world.insideHost, port: 41_641 }, remote, world.nowMs)
}

test('two mappings that ended at one age tell the absolute lifetime', () => {
  const { survey } = worldWith(MORTAL, [61_000], 130_000)
  const lifetimeMs = survey.nat.absoluteLifetimeMs ?? 0
  assert.ok(lifetimeMs > 45_000 && lifetimeMs <= 61_000, `${lifetimeMs} ms`)
  assert.equal(survey.nat.mapping, 'endpoint-independent')
})

test('a path that dies while our mapping lives is not put down to our NAT, and nothing goes on', () => {
  const world = worldWith(HOME, [61_000, 121_000, 181_000], 200_000)
  assert.equal(world.survey.nat.absoluteLifetimeMs, undefined)
  const before = world.datagrams
  const quiet = worldWith(HOME, [], 200_000)
  assert.ok(before - quiet.datagrams <= 3 * REFLECTORS, 'each was looked into once')
})

test('where the main socket is after its mapping ended is known at once', () => {
  const world = worldWith(MORTAL, [61_000], 62_000)
  const external = world.table.outbound(
    { host: world.insideHost, port: 41_641 },
    { host: '198.18.1.1', port: 41_641 },
    world.nowMs,
  )
  assert.deepEqual(world.survey.addresses[0], external)
})

test('one liar of four neither hides a lifetime nor makes one up', () => {
  for (const lie of ['wrong-address', 'our-other-address'] as const) {
    for (let role = 0; role < REFLECTORS; role++) {
      const mortal = worldWith(MORTAL, [61_000], 130_000, { [role]: lie })
      assert.ok(mortal.survey.nat.absoluteLifetimeMs !== undefined, `${lie} by ${role}`)
      const home = worldWith(HOME, [61_000, 121_000], 130_000, { [role]: lie })
      assert.equal(home.survey.nat.absoluteLifetimeMs, undefined, `${lie} by ${role}`)
    }
  }
})

test('another network has another NAT', () => {
  const world = worldWith(MORTAL, [61_000], 130_000)
  world.survey.networkChanged(world.now)
  assert.equal(world.survey.nat.absoluteLifetimeMs, undefined)
})

test('paths that die by the hundred make us look once a second', () => {
  const world = worldWith(HOME, [], 60_000)
  const before = world.datagrams
  for (let i = 0; i < 1_000; i++) world.survey.pathDied(world.now)
  assert.equal(world.datagrams - before, REFLECTORS)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NatWorld, type NatWorldOptions } from './nat-world.fixture.ts'

function learned(lifetimeMs: number, untilMs: number, options: Partial<NatWorldOptions> = {}) {
  const profile = { ...options.profile, lifetimeMs }
  const world = new NatWorld({ seed: `${lifetimeMs}`, reflectors: 4, ...options, profile })
  world.run(untilMs)
  return world
}

test('the longest silence that mappings survive is learned, and none that they do not', () => {
  for (const refreshesInbound of [false, true]) {
    for (const [lifetimeMs, survivedMs] of [
      [20_000, undefined],
      [31_000, 30_000],
      [65_000, 60_000],
      [150_000, 120_000],
      [600_000, 180_000],
    ] as const) {
      const world = learned(lifetimeMs, 800_000, { profile: { refreshesInbound } })
      assert.equal(world.survey.nat.lifetimeMs, survivedMs, `lifetime ${lifetimeMs} ms`)
      assert.equal(world.openSockets, 0, 'its socket is closed in the end')
    }
  }
})

test('what was survived is known as soon as it was', () => {
  const world = learned(600_000, 30_000)
  assert.equal(world.survey.nat.lifetimeMs, undefined)
  world.run(40_000)
  assert.equal(world.survey.nat.lifetimeMs, 30_000)
  world.run(110_000)
  assert.equal(world.survey.nat.lifetimeMs, 60_000)
})

test('one reflector that refuses or lies makes no lifetime look short', () => {
  for (const lie of ['refuses-knocks', 'our-other-address', 'wrong-address'] as const) {
    for (let role = 0; role < 4; role++) {
      const world = learned(600_000, 1_200_000, { liars: { [role]: lie } })
      assert.equal(world.survey.nat.lifetimeMs, 180_000, `${lie}, number ${role}`)
    }
  }
})

test('a network change forgets it and learns it again', () => {
  const world = learned(65_000, 200_000)
  assert.equal(world.survey.nat.lifetimeMs, 60_000)
  world.survey.networkChanged(world.now)
  assert.equal(world.survey.nat.lifetimeMs, undefined)
  world.run(320_000)
  assert.equal(world.survey.nat.lifetimeMs, 60_000)
})

test('without anyone to ask nothing is opened, sent or learned', () => {
  const world = learned(65_000, 3_600_000, { reflectors: 0 })
  assert.equal(world.survey.nat.lifetimeMs, undefined)
  assert.equal(world.datagrams, 0)
  assert.equal(world.openSockets, 0)
})

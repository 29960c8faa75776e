import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Instant } from '../io.ts'
import type { Forecast } from './foresight.ts'
import { NatWorld, type NatWorldOptions } from './nat-world.fixture.ts'

const SEQUENTIAL = {
  mapping: 'address-and-port-dependent',
  filtering: 'address-and-port-dependent',
  allocation: 'sequential',
} as const

interface Outcome {
  readonly forecast: Forecast | undefined
  readonly afterMs: number
}

/** What is foreseen 10 s after the start, and when it is. */
function foreseen(options: Partial<NatWorldOptions>): { world: NatWorld; outcome: Outcome } {
  const world = new NatWorld({ seed: 'forecast', reflectors: 4, profile: SEQUENTIAL, ...options })
  world.run(10_000)
  const told: Outcome[] = []
  world.survey.forecast(world.now, (forecast, now) => {
    told.push({ forecast, afterMs: now - 10_000 })
  })
  // In steps, to be there when it is told.
  for (let ms = 10_000; ms <= 11_000 && told.length === 0; ms++) world.run(ms)
  const [outcome] = told
  assert.ok(outcome !== undefined && told.length === 1, 'told once')
  return { world, outcome }
}

test('a NAT that counts up is foreseen to the port, within 400 ms', () => {
  for (let seed = 0; seed < 50; seed++) {
    const { world, outcome } = foreseen({ seed: `${seed}`, reflectors: 2 + (seed % 4) })
    const { forecast, afterMs } = outcome
    assert.ok(forecast !== undefined, `seed ${seed}`)
    assert.ok(afterMs <= 400, `${afterMs} ms`)
    const inside = { host: world.insideHost, port: 1_025 + seed }
    const next = world.table.outbound(inside, { host: '198.18.77.1', port: 9 }, world.nowMs)
    assert.deepEqual(next, { host: forecast.host, port: forecast.nextPort })
    assert.equal(forecast.step, 1)
    assert.equal(forecast.perS, 0)
    assert.equal(world.openSockets, 1, 'the lifetime probe alone has a socket')
  }
})

test('how fast others use ports is estimated within a third, on average', () => {
  for (const noisePerS of [50, 300]) {
    let sum = 0
    let known = 0
    for (let seed = 0; seed < 60; seed++) {
      const profile = { ...SEQUENTIAL, noisePerS }
      const { forecast } = foreseen({ seed: `noise ${seed}`, profile }).outcome
      if (forecast === undefined) continue
      known++
      sum += forecast.perS
    }
    assert.ok(known >= 58, `${known} of 60 foreseen at ${noisePerS}/s`)
    const mean = sum / known
    assert.ok(Math.abs(mean - noisePerS) < noisePerS / 3, `${mean}/s instead of ${noisePerS}/s`)
  }
})

test('one liar or a lost answer does not spoil it', () => {
  let known = 0
  for (let seed = 0; seed < 40; seed++) {
    const lie = seed % 2 === 0 ? 'our-other-address' : 'wrong-address'
    const { world, outcome } = foreseen({ seed: `liar ${seed}`, liars: { [seed % 4]: lie } })
    assert.ok(outcome.forecast !== undefined, `seed ${seed}`)
    const inside = { host: world.insideHost, port: 2_000 }
    const next = world.table.outbound(inside, { host: '198.18.77.1', port: 9 }, world.nowMs)
    const missBy = (next?.port ?? 0) - outcome.forecast.nextPort
    // The last to be asked may be the liar: then the last port that is known is one older.
    assert.ok(missBy === 0 || missBy === 1, `off by ${missBy}`)
    const lossy = foreseen({ seed: `lossy ${seed}`, loss: 0.05 }).outcome.forecast
    if (lossy !== undefined) known++
  }
  assert.ok(known >= 36, `${known} of 40 foreseen at 5 % loss`)
})

test('nothing is foreseen of other NATs, nor with one reflector', () => {
  for (const allocation of ['random', 'block', 'preserving'] as const) {
    for (let seed = 0; seed < 30; seed++) {
      const profile = { ...SEQUENTIAL, allocation }
      const { outcome, world } = foreseen({ seed: `${seed}`, profile })
      assert.equal(outcome.forecast, undefined, allocation)
      assert.ok(outcome.afterMs <= 400)
      assert.ok(world.openSockets <= 1)
    }
  }
  const profile = { ...SEQUENTIAL, mapping: 'endpoint-independent' } as const
  assert.equal(foreseen({ profile }).outcome.forecast, undefined, 'one mapping for all')
  assert.equal(foreseen({ reflectors: 1 }).outcome.forecast, undefined)
})

test('who asks within 100 ms shares a measurement, who asks later has the next one', () => {
  const world = new NatWorld({ seed: 'join', reflectors: 4, profile: SEQUENTIAL })
  world.run(2_000)
  const before = world.datagrams
  const told: { name: string; at: number; port: number | undefined }[] = []
  const ask = (name: string) =>
    world.survey.forecast(world.now, (forecast, at) =>
      told.push({ name, at, port: forecast?.nextPort }),
    )
  ask('first')
  world.run(2_090)
  ask('joins')
  world.run(2_120)
  ask('later')
  world.run(3_000)
  assert.equal(world.datagrams - before, 16, 'two measurements of two bursts')
  assert.deepEqual(
    told.map(({ name }) => name),
    ['first', 'joins', 'later'],
  )
  assert.equal(told[0]?.port, told[1]?.port)
  assert.notEqual(told[1]?.port, told[2]?.port)
})

test('ten thousand askers are answered, and cost two measurements', () => {
  const world = new NatWorld({ seed: 'crowd', reflectors: 4, profile: SEQUENTIAL })
  world.run(2_000)
  const before = world.datagrams
  let told = 0
  for (let i = 0; i < 5_000; i++) world.survey.forecast(2_000 as Instant, () => told++)
  world.run(2_110)
  for (let i = 0; i < 5_000; i++) world.survey.forecast(2_110 as Instant, () => told++)
  world.run(4_000)
  assert.equal(told, 10_000)
  assert.equal(world.datagrams - before, 16)
})

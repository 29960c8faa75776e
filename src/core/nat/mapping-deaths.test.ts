import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MappingDeaths } from './mapping-deaths.ts'

test('two deaths at nearly the same age tell the age, one or two unlike ones do not', () => {
  const deaths = new MappingDeaths()
  deaths.died(300_000)
  assert.equal(deaths.absoluteLifetimeMs, undefined)
  deaths.died(310_000)
  assert.equal(deaths.absoluteLifetimeMs, 300_000)
  deaths.died(120_000)
  assert.equal(deaths.absoluteLifetimeMs, undefined)
})

test('a path that is older and works refutes them', () => {
  const deaths = new MappingDeaths()
  deaths.died(100_000)
  deaths.died(101_000)
  deaths.lived(115_000)
  assert.equal(deaths.absoluteLifetimeMs, 100_000, 'not much older')
  deaths.lived(200_000)
  assert.equal(deaths.absoluteLifetimeMs, undefined)
  deaths.clear()
  deaths.died(100_000)
  deaths.died(101_000)
  assert.equal(deaths.absoluteLifetimeMs, 100_000, 'another network, another NAT')
})

test('paths that die young, however many, say nothing of mappings', () => {
  const deaths = new MappingDeaths()
  for (let i = 0; i < 10_000; i++) deaths.died(1_000 + i)
  assert.equal(deaths.absoluteLifetimeMs, undefined)
})

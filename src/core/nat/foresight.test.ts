import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRandom } from '../seeded.fixture.ts'
import { portAfter, targetOf, windowOf } from './foresight.ts'
import { AIM_PORTS_MAX } from './messages.ts'

const forecast = (perS: number, step = 1) => ({ host: '198.18.0.1', nextPort: 5_000, step, perS })

test('ports go round from 65535 to 1024 and back', () => {
  assert.equal(portAfter(65_535, 1, 1), 1_024, 'up')
  assert.equal(portAfter(65_535, 1, 3), 1_026, 'further up')
  assert.equal(portAfter(1_024, 1, -1), 65_535, 'down')
  assert.equal(portAfter(1_025, -2, 1), 65_535, 'a step down')
  assert.equal(portAfter(2_000, 3, 10), 2_030, 'in between')
})

test('a window holds the next mappings of a quiet NAT, and four ports before', () => {
  const { port, count } = windowOf(forecast(0), 250)
  assert.equal(port, 4_996, 'first port')
  assert.equal(count, 20, 'ports')
})

test('a window grows with the noise and ends at what one message may ask for', () => {
  assert.equal(windowOf(forecast(100), 250).count, 60, 'ports at 100 a second')
  assert.equal(windowOf(forecast(10_000), 250).count, AIM_PORTS_MAX, 'ports at 10,000 a second')
  assert.equal(targetOf(forecast(10_000), 250).mappings, AIM_PORTS_MAX, 'mappings')
})

test('among so many mappings in a row one has the target in nearly every noise', () => {
  const random = new SeededRandom(5)
  for (const perS of [0, 5, 50, 100]) {
    const waitMs = 700
    const { port, mappings } = targetOf(forecast(perS), waitMs)
    const tries = 2_000
    let hits = 0
    for (let i = 0; i < tries; i++) {
      const others = poisson((perS * waitMs) / 1_000, random)
      if (port >= 5_000 + others && port < 5_000 + others + mappings) hits++
    }
    assert.ok(hits >= 0.99 * tries, `${perS} a second: ${hits} of ${tries}`)
  }
})

function poisson(mean: number, random: SeededRandom): number {
  let count = 0
  let product = random.next()
  while (product > Math.exp(-mean)) {
    count++
    product *= random.next()
  }
  return count
}

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Internet } from './internet.ts'
import { costPerMessage, percentile, summarise, table, trafficTable } from './report.ts'
import { Toy } from './toy.fixture.ts'

test('percentiles are values that occurred, by nearest rank', () => {
  const values = [15, 20, 35, 40, 50]
  assert.deepEqual(
    [0, 5, 30, 40, 50, 100].map((percent) => percentile(values, percent)),
    [15, 15, 20, 20, 35, 50],
  )
  assert.equal(percentile([], 50), Number.NaN)
  assert.throws(() => percentile(values, 101), { code: 'EOPTION' })
})

test('a summary does not depend on the order of the values', () => {
  const summary = summarise([3, 1, 2])
  assert.deepEqual(summary, { count: 3, min: 1, p50: 2, p90: 3, p99: 3, max: 3, mean: 2 })
  assert.equal(summarise([]).count, 0)
})

test('tables line up, numbers to the right', () => {
  assert.equal(
    table(
      ['name', 'ms'],
      [
        ['a', 5],
        ['long name', 12.345],
      ],
    ),
    ['name       ms', '---------  -----', 'a              5', 'long name  12.35'].join('\n'),
  )
})

test('the cost of a message counts headers too', () => {
  const internet = new Internet({ seed: 1 })
  const [a, b] = [new Toy(internet), new Toy(internet)]
  a.dial(b.host.address, b.host.address)
  internet.run(100)
  assert.deepEqual(costPerMessage(internet, 4), { datagrams: 0.5, bytes: 30 })
  assert.match(trafficTable(internet), /^sent +2$/m)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { faults, LINES, pairs, report, runCell } from './nat-matrix.fixture.ts'

const TRIES = 20

test('every pair of NATs is direct where that is possible and relayed where it is not', (t) => {
  const cells = pairs().flatMap(([a, b]) =>
    LINES.map((line) => runCell(a, b, line, TRIES / LINES.length, 'ci')),
  )
  t.diagnostic(`\n${report(cells)}`)
  assert.deepEqual(
    cells.flatMap((cell) => faults(cell)),
    [],
  )
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { table } from '../../src/sim/report.ts'
import { type HourRow, simulateCustody } from './custody.fixture.ts'

/** The figures that decisions about custody are judged by. */
const SEED = Number(process.env['LATICA_SEED'] ?? 1)
const HOURS = Number(process.env['LATICA_HOURS'] ?? 24)

test(`${HOURS} hours, 1,024 peers that stay for half an hour, 30 % drop what they are given`, (t) => {
  const startedAt = performance.now()
  const { rows, lost, comers } = simulateCustody({
    peers: 1_024,
    hours: HOURS,
    meanStayMs: 1_800_000,
    blackHoleShare: 0.3,
    packets: 10_000,
    tags: 100,
    publishingMs: 600_000,
    isForcedLarge: false,
    isRepairOff: false,
    seed: SEED,
    onHour: (row) => console.log(line(row)),
  })
  const tookS = Math.round((performance.now() - startedAt) / 1_000)
  t.diagnostic(`${comers} peers in all, ${tookS} s, seed ${SEED}\n${report(rows)}`)
  assert.equal(rows.at(-1)?.published, 10_000)
  assert.deepEqual(lost, [])
})

function line(row: HourRow): string {
  return `hour ${row.hour}: ${row.lost} lost, at least ${row.minCopies} copies`
}

function report(rows: readonly HourRow[]): string {
  return table(
    [
      'hour',
      'lost',
      'copies min',
      'median',
      'kB/peer/h packets',
      'reconcile',
      'rest',
      'reconciliations/peer/h',
      'refused',
      'sent per new',
    ],
    rows.map((row) => [
      row.hour,
      row.lost,
      row.minCopies,
      row.medianCopies,
      row.packetBytes / 1_000,
      row.reconcileBytes / 1_000,
      row.restBytes / 1_000,
      row.reconciliations,
      row.refused,
      row.packetsPerNew,
    ]),
  )
}

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type CustodyOptions, simulateCustody } from './custody.fixture.ts'

/** Twelve generations of keepers. */
const HOURS: CustodyOptions = {
  peers: 112,
  hours: 2,
  meanStayMs: 600_000,
  blackHoleShare: 0.3,
  packets: 300,
  tags: 10,
  publishingMs: 600_000,
  isForcedLarge: true,
  isRepairOff: false,
  seed: 1,
}

test('packets outlive twelve generations of keepers, of whom 30 % drop what they are given', () => {
  const { rows } = simulateCustody(HOURS)
  const last = rows.at(-1)
  assert.equal(last?.published, HOURS.packets)
  assert.equal(last?.lost, 0)
  assert.ok(last.minCopies >= 8, `${last.minCopies} copies`)
})

test('a newcomer takes what is its own to keep, not what all its first neighbours have', () => {
  const { rows } = simulateCustody({ ...HOURS, hours: 1 })
  const [row] = rows
  assert.ok(row !== undefined && row.medianCopies < 40, `${row?.medianCopies} copies`)
  assert.ok(row.packetsPerNew < 1.25, `${row.packetsPerNew} packets for one that is new`)
})

test('without repair they would be lost', () => {
  const { rows } = simulateCustody({ ...HOURS, isRepairOff: true })
  assert.ok((rows.at(-1)?.lost ?? 0) > HOURS.packets / 2)
})

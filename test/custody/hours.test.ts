import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type CustodyOptions, simulateCustody } from './custody.fixture.ts'

/** Six generations of keepers. A day of more peers: day.long.ts. */
const HOURS: CustodyOptions = {
  peers: 80,
  hours: 1,
  meanStayMs: 600_000,
  blackHoleShare: 0.3,
  packets: 100,
  tags: 5,
  publishingMs: 300_000,
  isForcedLarge: true,
  isRepairOff: false,
  /** A publisher whose first takers all drop what they are given is among them. */
  seed: 40,
}

test('packets outlive six generations of keepers, of whom 30 % drop what they are given', () => {
  const [row] = simulateCustody(HOURS).rows
  assert.ok(row)
  assert.equal(row.published, HOURS.packets)
  assert.equal(row.lost, 0)
  assert.ok(row.minCopies >= 5, `${row.minCopies} copies`)
  // A newcomer takes what is its own to keep, and not what all its first neighbours have.
  assert.ok(row.packetsPerNew < 1.25, `${row.packetsPerNew} packets for one that is new`)
})

test('without repair they would be lost', () => {
  const [row] = simulateCustody({ ...HOURS, isRepairOff: true }).rows
  assert.ok((row?.lost ?? 0) > HOURS.packets / 2, `${row?.lost} of ${HOURS.packets} lost`)
})

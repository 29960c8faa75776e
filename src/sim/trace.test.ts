import assert from 'node:assert/strict'
import { test } from 'node:test'
import { digestOf, Trace, type TraceRecord } from './trace.ts'

const RECORD: TraceRecord = {
  atMs: 1.5,
  host: 'h1',
  direction: 'send',
  remoteHost: '20.0.1.10',
  remotePort: 1000,
  data: Uint8Array.of(1, 2, 3, 4, 5),
}

test('every field of a record changes the hash, and so does the order of records', () => {
  const variants: readonly TraceRecord[] = [
    RECORD,
    { ...RECORD, atMs: 1.5 + 1 / 1024 },
    { ...RECORD, atMs: 1.5 + 2 ** 22 },
    { ...RECORD, host: 'h2' },
    { ...RECORD, direction: 'receive' },
    { ...RECORD, remoteHost: '20.0.1.11' },
    { ...RECORD, remotePort: 1001 },
    { ...RECORD, data: Uint8Array.of(1, 2, 3, 4, 6) },
    { ...RECORD, data: Uint8Array.of(1, 2, 3, 4) },
  ]
  const hashes = variants.map((variant) => hashOf(variant))
  assert.equal(new Set(hashes).size, variants.length)
  const other = { ...RECORD, host: 'h2' }
  assert.notEqual(hashOf(RECORD, other), hashOf(other, RECORD))
  assert.equal(hashOf(RECORD, other), hashOf({ ...RECORD }, { ...other }))
})

test('a flip of any bit changes both halves of a digest', () => {
  const data = new Uint8Array(67).map((_, i) => i)
  const before = digestOf(data)
  for (let bit = 0; bit < 8 * data.length; bit++) {
    const flipped = data.slice()
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    const after = digestOf(flipped)
    assert.ok(after.a !== before.a && after.b !== before.b)
  }
})

function hashOf(...records: readonly TraceRecord[]): string {
  const trace = new Trace()
  for (const record of records) trace.add(record, digestOf(record.data))
  return trace.hash()
}

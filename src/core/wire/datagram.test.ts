import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { MALFORMED } from '../errors.ts'
import { fromHex, toHex } from './bytes.ts'
import {
  decodeHandshake,
  destinationOf,
  encodeBeacon,
  encodeCookie,
  encodeFinishXx,
  encodeInitiateIk,
  encodeInitiateXx,
  encodeRespondIk,
  encodeRespondXx,
} from './datagram.ts'

const vectors = JSON.parse(
  readFileSync(new URL('../../../docs/spec/vectors/datagrams.json', import.meta.url), 'utf8'),
) as Record<string, string>

const fill = (length: number, byte: number) => new Uint8Array(length).fill(byte)
const EXAMPLES: Record<string, Uint8Array> = {
  initiateIk: encodeInitiateIk(0x01020304, fill(144, 0xaa), () => fill(16, 0xbb), fill(16, 0xcc)),
  respondIk: encodeRespondIk(0x01020304, fill(80, 0xaa)),
  initiateXx: encodeInitiateXx(0x01020304, fill(32, 0xaa), fill(16, 0xcc)),
  respondXx: encodeRespondXx(0x01020304, fill(159, 0xaa)),
  finishXx: encodeFinishXx(0x01020304, fill(104, 0xaa)),
  cookie: encodeCookie(0x01020304, fill(32, 0xaa), fill(16, 0xcc)),
  beacon: encodeBeacon(fill(8, 0xdd)),
}

test('every datagram outside a session is laid out as its frozen example', () => {
  for (const [name, bytes] of Object.entries(EXAMPLES)) {
    assert.equal(toHex(bytes), vectors[name], name)
    const decoded = decodeHandshake(bytes)
    assert.ok(decoded !== MALFORMED)
    assert.equal(decoded.type, name)
    if ('source' in decoded) assert.equal(decoded.source, 0x01020304)
    if ('destination' in decoded) assert.equal(destinationOf(bytes), 0x01020304)
  }
  assert.deepEqual(Object.keys(vectors).sort(), Object.keys(EXAMPLES).sort())
})

test('a datagram of another length or version is refused', () => {
  for (const [name, text] of Object.entries(vectors)) {
    const bytes = fromHex(text) ?? new Uint8Array()
    assert.equal(decodeHandshake(bytes.subarray(1)), MALFORMED, name)
    assert.equal(decodeHandshake(bytes.subarray(0, -1)), MALFORMED, name)
  }
  const next = fromHex(vectors['initiateIk'] ?? '') ?? new Uint8Array()
  next[1] = 2
  assert.deepEqual(decodeHandshake(next), { type: 'version' })
})

test('no bytes make the decoder throw', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      fc.integer({ min: 0xc0, max: 0xff }),
      (bytes, first) => {
        bytes[0] = first
        decodeHandshake(bytes)
      },
    ),
    { numRuns: 2000 },
  )
})

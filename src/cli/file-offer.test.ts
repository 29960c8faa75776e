import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadCrypto } from '../api/provider.ts'
import { decodeValue, encodeValue } from '../api/values.ts'
import {
  hashOfPart,
  isPartOf,
  makeOffer,
  offerValue,
  partBytesFor,
  partCount,
  partValue,
  readOffer,
  readPart,
  readReceived,
  readWant,
  receivedValue,
  sizeOfPart,
  wantValue,
} from './file-offer.ts'

const crypto = await loadCrypto()
const MEBIBYTE = 1_048_576
const FIRST = new Uint8Array(MEBIBYTE).fill(1)
const SECOND = new Uint8Array(5).fill(2)

function offer() {
  const parts = new Uint8Array(64)
  parts.set(hashOfPart(crypto, FIRST))
  parts.set(hashOfPart(crypto, SECOND), 32)
  const sizeBytes = MEBIBYTE + 5
  return makeOffer(crypto, { name: 'a.bin', sizeBytes, partBytes: MEBIBYTE, parts })
}

function sent(value: object): unknown {
  return decodeValue(encodeValue(value))
}

test('an offer arrives as it left, and proves its parts at their places alone', () => {
  const got = readOffer(crypto, sent(offerValue(offer())))
  assert.deepEqual(got, offer())
  assert.ok(got)
  assert.deepEqual([partCount(got), sizeOfPart(got, 0), sizeOfPart(got, 1)], [2, MEBIBYTE, 5])
  const part = readPart(sent(partValue({ file: got.file, index: 1, bytes: SECOND })))
  assert.deepEqual(part, { file: got.file, index: 1, bytes: SECOND })
  assert.ok(isPartOf(crypto, got, 1, SECOND))
  assert.ok(isPartOf(crypto, got, 0, FIRST))
  assert.ok(!isPartOf(crypto, got, 0, SECOND))
  assert.ok(!isPartOf(crypto, got, 1, SECOND.slice(1)))
  assert.ok(!isPartOf(crypto, got, 1, Uint8Array.of(2, 2, 2, 2, 3)))
  assert.ok(!isPartOf(crypto, got, 2, SECOND))
})

test('what a member forges as an offer or a part is none', () => {
  const good = offerValue(offer())
  const wrong: object[] = [
    { name: undefined },
    { name: 5 },
    { size: -1 },
    { size: 1.5 },
    { size: MEBIBYTE + 6 },
    { size: Number.MAX_SAFE_INTEGER },
    { partBytes: 0 },
    { partBytes: 9 * MEBIBYTE },
    { partBytes: 1 },
    { parts: new Uint8Array(64) },
    { parts: new Uint8Array(63) },
    { parts: [1] },
    { file: new Uint8Array(32) },
    { file: 'ab' },
  ]
  for (const change of wrong)
    assert.equal(readOffer(crypto, { ...good, ...change }), undefined, JSON.stringify(change))
  for (const value of [null, undefined, 5, 'x', [], new Map()]) {
    assert.equal(readOffer(crypto, value), undefined)
    assert.equal(readPart(value), undefined)
    assert.equal(readWant(value), undefined)
    assert.equal(readReceived(value), undefined)
  }
  const part = partValue({ file: offer().file, index: 0, bytes: SECOND })
  for (const change of [{ index: -1 }, { index: 0.5 }, { bytes: 'x' }, { file: SECOND }])
    assert.equal(readPart({ ...part, ...change }), undefined)
})

test('a want names at most 64 parts, and nothing but numbers', () => {
  const { file } = offer()
  const many = Array.from({ length: 100 }, (_, i) => i)
  assert.deepEqual(readWant(sent(wantValue(file, many))), { file, indices: many.slice(0, 64) })
  const forged = { ...wantValue(file, []), parts: [...many, -1, 'x', {}] }
  assert.equal(readWant(forged)?.indices.length, 64)
  assert.deepEqual(readWant({ ...forged, parts: [-1, 'x', 0.5, 7] })?.indices, [7])
  assert.equal(readReceived(sent(receivedValue(file))), file)
})

test('files up to 1 GiB come in parts of 1 MiB, larger ones in parts of 2', () => {
  assert.equal(partBytesFor(0), MEBIBYTE)
  assert.equal(partBytesFor(1024 * MEBIBYTE), MEBIBYTE)
  assert.equal(partBytesFor(1024 * MEBIBYTE + 1), 2 * MEBIBYTE)
})

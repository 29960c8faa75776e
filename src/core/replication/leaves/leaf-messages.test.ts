import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { MALFORMED } from '../../errors.ts'
import { SeededRandom } from '../../seeded.fixture.ts'
import { fromHex, toHex, utf8 } from '../../wire/bytes.ts'
import {
  BITMAP_BYTES_MAX,
  BITMAP_PLACES_MAX,
  decodeLeafMessage,
  encodeLackLeaves,
  encodeLeaf,
  encodeWantLeaves,
  indexesOf,
  KIND_WANT_LEAVES,
  placesOf,
} from './leaf-messages.ts'

interface LeafVectors {
  readonly messages: readonly { readonly name: string; readonly bytes: string }[]
}

const vectors: LeafVectors = JSON.parse(
  readFileSync(new URL('../../../../docs/spec/vectors/leaves.json', import.meta.url), 'utf8'),
)
const ROOT = new Uint8Array(32).fill(7)

test('the messages are those of the vectors, byte for byte', () => {
  const [few] = placesOf(ROOT, 1, [64, 66, 73])
  const [far] = placesOf(ROOT, 0, [58_254])
  assert.ok(few && far)
  const made = [
    encodeLeaf(ROOT, 1, 64, utf8('value')),
    encodeWantLeaves(few),
    encodeWantLeaves(far),
    encodeLackLeaves(few),
  ]
  assert.deepEqual(
    made.map(toHex),
    vectors.messages.map(({ bytes }) => bytes),
  )
  for (const { bytes, name } of vectors.messages)
    assert.notEqual(decodeLeafMessage(fromHex(bytes) ?? new Uint8Array(0)), MALFORMED, name)
})

test('any indexes are covered by few messages and come back, in order and once', () => {
  const index = fc.integer({ min: 0, max: 70_000 })
  fc.assert(
    fc.property(fc.uniqueArray(index, { minLength: 1, maxLength: 200 }), (indexes) => {
      const back: number[] = []
      for (const places of placesOf(ROOT, 2, indexes)) {
        const decoded = decodeLeafMessage(encodeWantLeaves(places))
        assert.ok(decoded !== MALFORMED && decoded.kind === KIND_WANT_LEAVES)
        assert.deepEqual([decoded.level, toHex(decoded.root)], [2, toHex(ROOT.subarray(0, 8))])
        back.push(...indexesOf(decoded))
      }
      assert.deepEqual(
        back,
        [...indexes].sort((a, b) => a - b),
      )
    }),
  )
  const dense = Array.from({ length: 3 * BITMAP_PLACES_MAX }, (_, i) => i)
  assert.equal(placesOf(ROOT, 0, dense).length, 3)
})

test('a bitmap is of 1 to 128 bytes, and a message that is cut is malformed', () => {
  const places = { root: ROOT, level: 0, first: 5 }
  const of = (bytes: number) =>
    decodeLeafMessage(encodeWantLeaves({ ...places, bitmap: new Uint8Array(bytes).fill(1) }))
  assert.equal(of(0), MALFORMED)
  assert.notEqual(of(1), MALFORMED)
  assert.notEqual(of(BITMAP_BYTES_MAX), MALFORMED)
  assert.equal(of(BITMAP_BYTES_MAX + 1), MALFORMED)
  const whole = encodeWantLeaves({ ...places, bitmap: Uint8Array.of(1) })
  for (let length = 0; length < whole.length; length++)
    assert.equal(decodeLeafMessage(whole.subarray(0, length)), MALFORMED)
  const leaf = encodeLeaf(ROOT, 0, 300, new Uint8Array(0))
  for (let length = 0; length < leaf.length; length++)
    assert.equal(decodeLeafMessage(leaf.subarray(0, length)), MALFORMED)
  assert.equal(decodeLeafMessage(Uint8Array.of(0x38, ...whole.subarray(1))), MALFORMED)
})

test('random bytes never throw', () => {
  const random = new SeededRandom(4)
  for (let i = 0; i < 5000; i++) {
    const bytes = random.bytes(random.below(160))
    bytes.set([0x30 + random.below(9)].slice(0, bytes.length))
    const message = decodeLeafMessage(bytes)
    if (message !== MALFORMED && 'bitmap' in message)
      assert.equal([...indexesOf(message)].length <= BITMAP_PLACES_MAX, true)
  }
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MALFORMED } from '../../core/errors.ts'
import { SeededRandom } from '../../core/seeded.fixture.ts'
import { fromHex, toHex } from '../../core/wire/bytes.ts'
import {
  decodeHostAnswer,
  decodePortAnswer,
  encodeHostRequest,
  encodePortRequest,
} from './nat-pmp-codec.ts'

const hex = (text: string) => fromHex(text.replaceAll(' ', '')) ?? assert.fail(text)
const HOST = hex('00 80 0000 00000457 01020301')
const PORT = hex('00 81 0000 00000457 1092 d431 00000e10')

test('requests have the bytes of RFC 6886 §3.2 and §3.3', () => {
  assert.equal(toHex(encodeHostRequest()), '0000')
  assert.equal(toHex(encodePortRequest(4242, 54_321, 3_600)), '000100001092d43100000e10')
})

test('answers are read', () => {
  assert.deepEqual(decodeHostAnswer(HOST), { result: 0, host: '1.2.3.1' })
  const port = { result: 0, insidePort: 4242, externalPort: 54_321, lifetimeS: 3_600 }
  assert.deepEqual(decodePortAnswer(PORT), port)
})

test('a refusal is read, with or without the rest', () => {
  const refusal = { result: 3, host: '0.0.0.0' }
  assert.deepEqual(decodeHostAnswer(hex('0080 0003 00000457')), refusal)
  assert.deepEqual(decodeHostAnswer(hex('0080 0003 00000457 00000000')), refusal)
})

test('what is short, long, of another version or no answer is malformed', () => {
  for (const [decode, whole] of [
    [decodeHostAnswer, HOST],
    [decodePortAnswer, PORT],
  ] as const) {
    for (let length = 0; length < whole.length; length++)
      assert.equal(decode(whole.subarray(0, length)), MALFORMED, `${length} bytes`)
    for (const [at, value] of [
      [0, 2],
      [1, 0],
      [1, 0x82],
    ] as const)
      assert.equal(decode(whole.with(at, value)), MALFORMED, `byte ${at} is ${value}`)
    assert.equal(decode(new Uint8Array([...whole, 0])), MALFORMED, 'a byte too many')
  }
})

test('random bytes never throw', () => {
  const random = new SeededRandom(6_886)
  for (let i = 0; i < 2_000; i++) {
    const bytes = random.bytes(random.below(20))
    bytes.set([0, 0x80 + random.below(2)].slice(0, bytes.length))
    decodeHostAnswer(bytes)
    decodePortAnswer(bytes)
  }
})

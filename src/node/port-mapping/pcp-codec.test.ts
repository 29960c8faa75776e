import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MALFORMED } from '../../core/errors.ts'
import { SeededRandom } from '../../core/seeded.fixture.ts'
import { fromHex, toHex } from '../../core/wire/bytes.ts'
import { decodeMapAnswer, encodeMapRequest, UNSUPP_VERSION } from './pcp-codec.ts'

const NONCE = '0102030405060708090a0b0c'
const hex = (text: string) => fromHex(text.replaceAll(/\s/g, '')) ?? assert.fail(text)

/** RFC 6887 figure 3 (header) and figure 10 (MAP). */
const ANSWER = hex(`
  02 81 00 00  00000e10  00000457  000000000000000000000000
  ${NONCE}  11 000000  1092 d431
  00000000000000000000ffff 01020301
`)

test('a request has the bytes of RFC 6887, figures 2 and 9', () => {
  const request = encodeMapRequest({
    nonce: hex(NONCE),
    lifetimeS: 3_600,
    inside: { host: '192.168.7.2', port: 4242 },
    suggested: { host: '0.0.0.0', port: 4242 },
  })
  const expected = hex(`
    02 01 0000  00000e10  00000000000000000000ffff c0a80702
    ${NONCE}  11 000000  1092 1092
    00000000000000000000ffff 00000000
  `)
  assert.equal(toHex(request), toHex(expected))
})

test('an answer is read, and options behind it are left alone', () => {
  const expected = {
    result: 0,
    lifetimeS: 3_600,
    nonce: hex(NONCE),
    insidePort: 4242,
    external: { host: '1.2.3.1', port: 54_321 },
  }
  assert.deepEqual(decodeMapAnswer(ANSWER), expected)
  assert.deepEqual(decodeMapAnswer(hex(`${toHex(ANSWER)} 02000004 00000000`)), expected)
})

test('an answer of NAT-PMP refuses the version', () => {
  const answer = decodeMapAnswer(hex('00 81 0001 00000457'))
  assert.ok(answer !== MALFORMED)
  assert.equal(answer.result, UNSUPP_VERSION)
})

test('whatever else arrives is malformed', () => {
  const changed = (at: number, value: number) => ANSWER.with(at, value)
  const cases = {
    'a request': changed(1, 1),
    'another version': changed(0, 3),
    'another opcode': changed(1, 0x82),
    'another protocol': changed(36, 6),
    'an odd length': hex(`${toHex(ANSWER)}00`),
    'more than 1,100 bytes': new Uint8Array(1_104).fill(0).map((_, i) => ANSWER[i] ?? 0),
  }
  for (const [what, bytes] of Object.entries(cases))
    assert.equal(decodeMapAnswer(bytes), MALFORMED, what)
  for (let length = 0; length < ANSWER.length; length++)
    assert.equal(decodeMapAnswer(ANSWER.subarray(0, length)), MALFORMED, `${length} bytes`)
})

test('random bytes never throw', () => {
  const random = new SeededRandom(6_887)
  for (let i = 0; i < 2_000; i++) {
    const bytes = random.bytes(random.below(80))
    bytes.set([2, 0x81].slice(0, bytes.length))
    decodeMapAnswer(bytes)
    decodeMapAnswer(random.bytes(random.below(80)))
  }
})

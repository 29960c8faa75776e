import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MALFORMED } from '../errors.ts'
import { SeededRandom } from '../seeded.fixture.ts'
import { ascii, concat } from '../wire/bytes.ts'
import {
  decodeMemberMessage,
  decodeStreamHeader,
  encodeAccept,
  encodeAnswer,
  encodeCancel,
  encodeEmit,
  encodeJoin,
  encodeLeave,
  encodeLossy,
  encodePresence,
  encodeRequest,
  encodeStreamHeader,
  MEMBER_HEADER_BYTES_MAX,
} from './member-wire.ts'

const BIG = Number.MAX_SAFE_INTEGER
const value = ascii('value')
const mac = new Uint8Array(16).fill(6)

test('every message decodes to what was encoded, also at the limits', () => {
  for (const n of [0, 63, 16_384, BIG]) {
    const pair = { to: n, from: BIG - n }
    const event = 'é'.repeat(n === 0 ? 0 : 127)
    const cases: readonly (readonly [Uint8Array, unknown])[] = [
      [encodeJoin([{ link: n, mac }]), { kind: 0x10, entries: [{ link: n, mac }] }],
      [encodeAccept(n, BIG, mac), { kind: 0x11, to: n, link: BIG, mac }],
      [encodeLeave(n), { kind: 0x12, link: n }],
      [
        encodeEmit(pair, BIG, n, event, value),
        { kind: 0x20, pair, sequence: BIG, back: n, event, value },
      ],
      [encodeLossy(pair, event, value), { kind: 0x21, pair, event, value }],
      [encodeRequest(pair, n, event, value), { kind: 0x22, pair, call: n, name: event, value }],
      [encodeAnswer(pair, n, 2, value), { kind: 0x23, pair, call: n, status: 2, value }],
      [encodeCancel(pair, n), { kind: 0x24, pair, call: n }],
      [encodePresence(pair, value), { kind: 0x25, pair, value }],
      [encodePresence(pair, undefined), { kind: 0x25, pair, value: undefined }],
    ]
    for (const [bytes, message] of cases) {
      assert.deepEqual(decodeMemberMessage(bytes), message)
      assert.equal(bytes.length <= MEMBER_HEADER_BYTES_MAX + value.length, true)
    }
  }
})

test('a message cut short is malformed or another value, and never throws', () => {
  const emit = encodeEmit({ to: 1, from: 2 }, 3, 1, 'news', value)
  for (let length = 0; length < 10; length++)
    assert.equal(decodeMemberMessage(emit.subarray(0, length)), MALFORMED)
  assert.notEqual(decodeMemberMessage(emit), MALFORMED)
})

test('names that are no text, and counts that cannot be, are malformed', () => {
  const malformed = [
    [0x20, 1, 2, 3, 4, 0],
    [0x21, 1, 2, 1, 0xff],
    [0x21, 1, 2, 0x41, 0x00],
    [0x23, 1, 2, 3, 3],
    [0x24, 1, 2, 3, 4],
    [0x25, 1, 2, 2],
    [0x25, 1, 2, 0, 1],
    [0x12],
    [0x13, 1],
    [0x30, 1],
    [0x80, 1],
    [],
  ]
  for (const bytes of malformed)
    assert.equal(decodeMemberMessage(Uint8Array.from(bytes)), MALFORMED, `${bytes}`)
})

test('a stream header is read as soon as it is whole, and never from more than it may have', () => {
  const header = encodeStreamHeader({ to: 5, from: BIG }, 'file')
  for (let length = 0; length < header.length; length++)
    assert.equal(decodeStreamHeader(header.subarray(0, length)), undefined)
  const expected = { pair: { to: 5, from: BIG }, name: 'file', bytes: header.length }
  assert.deepEqual(decodeStreamHeader(concat(header, value)), expected)
  assert.equal(decodeStreamHeader(Uint8Array.of(1, 2, 0x41, 0x00)), MALFORMED)
  assert.equal(decodeStreamHeader(new Uint8Array(300).fill(0xff)), MALFORMED)
  const random = new SeededRandom(4)
  for (let i = 0; i < 20_000; i++) decodeStreamHeader(random.bytes(random.below(40)))
})

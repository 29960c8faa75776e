import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { MALFORMED } from '../../errors.ts'
import { SeededRandom } from '../../seeded.fixture.ts'
import { concat, toHex, utf8 } from '../../wire/bytes.ts'
import {
  decodeSpreadMessage,
  encodeInterest,
  encodePacketMessage,
  encodeShorts,
  INTEREST_TAGS_MAX,
  KIND_HAVE,
  KIND_HELD,
  KIND_INTEREST,
  KIND_LACK,
  KIND_PACKET,
  KIND_WANT,
  SHORTS_MAX,
} from './spread-messages.ts'

interface SpreadVectors {
  readonly messages: readonly { readonly name: string; readonly bytes: string }[]
}

const vectors: SpreadVectors = JSON.parse(
  readFileSync(new URL('../../../../docs/spec/vectors/spread.json', import.meta.url), 'utf8'),
)
const SHORTS = ['0101010101010101', '0202020202020202']
const TAG = '0a'.repeat(16)

test('the messages are those of the vectors, byte for byte', () => {
  const packet = utf8('packet')
  const made = [
    encodePacketMessage(packet, 0, false),
    encodePacketMessage(packet, 37, true),
    encodePacketMessage(packet, undefined, true),
    encodeShorts(KIND_HAVE, SHORTS),
    encodeShorts(KIND_WANT, SHORTS),
    encodeShorts(KIND_LACK, SHORTS),
    encodeShorts(KIND_HELD, SHORTS),
    encodeInterest(true, 9, []),
    encodeInterest(false, 1000, [TAG, 'ff'.repeat(16)]),
  ]
  assert.deepEqual(
    made.map(toHex),
    vectors.messages.map(({ bytes }) => bytes),
  )
})

test('every message decodes to what was encoded, also at the limits', () => {
  for (const copies of [undefined, 0, 1, 37, 46_339])
    for (const wantsReceipt of [false, true])
      for (const packet of [new Uint8Array(0), new Uint8Array(1168).fill(7)])
        assert.deepEqual(decodeSpreadMessage(encodePacketMessage(packet, copies, wantsReceipt)), {
          kind: KIND_PACKET,
          copies,
          wantsReceipt,
          packet,
        })
  const shorts = Array.from({ length: SHORTS_MAX }, (_, i) => i.toString(16).padStart(16, '0'))
  for (const kind of [KIND_HAVE, KIND_WANT, KIND_LACK, KIND_HELD] as const)
    assert.deepEqual(decodeSpreadMessage(encodeShorts(kind, shorts)), { kind, shorts })
  const tags = Array.from({ length: INTEREST_TAGS_MAX }, () => TAG)
  const interest = { kind: KIND_INTEREST, isEverything: false, links: 255, tags }
  assert.deepEqual(decodeSpreadMessage(encodeInterest(false, 255, tags)), interest)
})

test('copies are rounded down, by a sixth at most, and never beyond the greatest that can be told', () => {
  const told = (copies: number) => {
    const message = decodeSpreadMessage(encodePacketMessage(new Uint8Array(1), copies, false))
    return message !== MALFORMED && message.kind === KIND_PACKET ? message.copies : undefined
  }
  for (let copies = 0; copies < 5_000; copies++) {
    const rounded = told(copies) ?? Number.NaN
    assert.ok(rounded <= copies && rounded + 1 > (copies + 1) / 1.2, `${copies} as ${rounded}`)
  }
  assert.equal(told(2 ** 50), 46_339)
  assert.equal(told(0.9), 0)
})

// Each line turns red when its check goes.
test('what is cut short, too long, of no kind or of unknown flags is malformed', () => {
  const short = new Uint8Array(8)
  const shorts = (count: number) => Array.from({ length: count }, () => short)
  for (const kind of [KIND_HAVE, KIND_WANT, KIND_LACK, KIND_HELD]) {
    assert.equal(decodeSpreadMessage(Uint8Array.of(kind)), MALFORMED, 'none')
    assert.equal(
      decodeSpreadMessage(concat(Uint8Array.of(kind), short, short.subarray(1))),
      MALFORMED,
    )
    assert.equal(
      decodeSpreadMessage(concat(Uint8Array.of(kind), ...shorts(SHORTS_MAX + 1))),
      MALFORMED,
    )
  }
  const interest = encodeInterest(true, 1, [TAG])
  assert.equal(decodeSpreadMessage(interest.subarray(0, interest.length - 1)), MALFORMED)
  assert.equal(decodeSpreadMessage(interest.subarray(0, 2)), MALFORMED)
  assert.equal(decodeSpreadMessage(Uint8Array.of(KIND_INTEREST, 2, 1)), MALFORMED)
  const tags = Array.from({ length: INTEREST_TAGS_MAX + 1 }, () => TAG)
  assert.equal(decodeSpreadMessage(encodeInterest(false, 1, tags)), MALFORMED)
  for (const kind of [0, 0x20, 0x30, 0x36, 0x39, 0x3e, 0x7f])
    assert.equal(decodeSpreadMessage(concat(Uint8Array.of(kind), short)), MALFORMED)
  assert.equal(decodeSpreadMessage(new Uint8Array(0)), MALFORMED)
})

test('random bytes throw nothing', () => {
  const random = new SeededRandom(4)
  for (let i = 0; i < 50_000; i++) {
    const bytes = random.bytes(1 + random.below(60))
    bytes[0] = 0x30 + random.below(0x60)
    decodeSpreadMessage(bytes)
  }
})

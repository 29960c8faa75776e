import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MALFORMED } from '../errors.ts'
import type { LocalAddress } from '../io.ts'
import { SeededRandom } from '../seeded.fixture.ts'
import {
  AIM_PORTS_MAX,
  CANDIDATES_PER_MESSAGE_MAX,
  decodeNatMessage,
  encodeNatMessage,
  type NatMessage,
} from './messages.ts'
import { UNKNOWN_NAT } from './vector.ts'

const V4 = { host: '198.18.0.1', port: 41_641 }
const V6 = { host: '2001:db8::7', port: 1 }
const NAT = { ...UNKNOWN_NAT, mapping: 'endpoint-dependent', allocation: 'sequential' } as const

const MESSAGES: readonly NatMessage[] = [
  { type: 'candidates', nat: UNKNOWN_NAT, addresses: [] },
  { type: 'candidates', nat: NAT, addresses: [V4, V6, V4] },
  { type: 'knock', transaction: bytes(12), port: 65_535, isFromOtherPort: false },
  { type: 'knock', transaction: bytes(12), port: 1, isFromOtherPort: true },
  { type: 'aim', round: 255, address: V4, step: -16, count: AIM_PORTS_MAX, lastPort: 65_535 },
  { type: 'aim', round: 0, address: V4, step: 127, count: 0, lastPort: 41_641 },
  { type: 'aim', round: 1, address: V6, step: -128, count: 1, lastPort: 2 },
  { type: 'witnessAsk', prefix: bytes(8), address: V6 },
  { type: 'witness', prefix: bytes(8), address: V4, isSeen: true },
  { type: 'witness', prefix: bytes(8), address: V6, isSeen: false },
]

test('every message comes back as it was', () => {
  for (const message of MESSAGES) {
    assert.deepEqual(decodeNatMessage(encodeNatMessage(message)), message, message.type)
  }
})

test('a message cut anywhere is malformed, or ends before a whole candidate', () => {
  for (const message of MESSAGES) {
    const whole = encodeNatMessage(message)
    for (let length = 0; length < whole.length; length++) {
      const decoded = decodeNatMessage(whole.subarray(0, length))
      if (decoded === MALFORMED) continue
      assert.ok(message.type === 'candidates' && decoded.type === 'candidates')
      assert.ok(decoded.addresses.length < message.addresses.length, `${length} bytes`)
    }
    if (message.type === 'candidates') continue
    const longer = Uint8Array.of(...whole, 0)
    assert.equal(decodeNatMessage(longer), MALFORMED, `${message.type} and a byte`)
  }
})

test('whatever bytes decode, encode to the same bytes; none throw', () => {
  const random = new SeededRandom(3)
  let decodable = 0
  for (let i = 0; i < 40_000; i++) {
    const seed = MESSAGES[random.below(MESSAGES.length)]
    assert.ok(seed !== undefined)
    const data = i % 4 === 0 ? random.bytes(random.below(80)) : encodeNatMessage(seed).slice()
    for (let k = random.below(4); k > 0 && data.length > 0; k--) {
      data[random.below(data.length)] = random.below(256)
    }
    const message = decodeNatMessage(data)
    if (message === MALFORMED) continue
    decodable++
    assert.deepEqual(decodeNatMessage(encodeNatMessage(message)), message)
  }
  assert.ok(decodable > 5_000, `${decodable} of 40,000 decoded`)
})

test('what a remote can ask for is bounded', () => {
  const many: LocalAddress[] = Array.from({ length: 20 }, (_, i) => ({ ...V4, port: 1 + i }))
  const told = decodeNatMessage(
    encodeNatMessage({ type: 'candidates', nat: UNKNOWN_NAT, addresses: many }),
  )
  assert.ok(told !== MALFORMED && told.type === 'candidates')
  assert.equal(told.addresses.length, CANDIDATES_PER_MESSAGE_MAX)
  const one = encodeNatMessage({ type: 'candidates', nat: UNKNOWN_NAT, addresses: [V4] })
  const nine = Uint8Array.of(...one, ...Array.from({ length: 8 }, () => [...one.slice(3)]).flat())
  assert.equal(decodeNatMessage(nine), MALFORMED, 'nine candidates')

  const aim = { type: 'aim', round: 0, address: V4, step: 1, count: 1, lastPort: 65_535 } as const
  const decoded = (message: NatMessage) => decodeNatMessage(encodeNatMessage(message))
  assert.notEqual(decoded(aim), MALFORMED)
  assert.equal(decoded({ ...aim, count: AIM_PORTS_MAX + 1 }), MALFORMED, 'too many ports')
  assert.equal(decoded({ ...aim, address: { ...V4, port: 0 } }), MALFORMED, 'port 0')
  assert.equal(decoded({ ...aim, lastPort: V4.port - 1 }), MALFORMED, 'an empty range')

  const knock = encodeNatMessage({
    type: 'knock',
    transaction: bytes(12),
    port: 7,
    isFromOtherPort: true,
  })
  for (const [at, value] of [
    [1, 2],
    [3, 0],
  ] as const) {
    const wrong = knock.slice()
    wrong[at] = value
    assert.equal(decodeNatMessage(wrong), MALFORMED, `byte ${at} is ${value}`)
  }
})

test('what is kept of a message outlives its datagram', () => {
  const data = encodeNatMessage({ type: 'witnessAsk', prefix: bytes(8), address: V4 })
  const message = decodeNatMessage(data)
  data.fill(0)
  assert.ok(message !== MALFORMED && message.type === 'witnessAsk')
  assert.deepEqual(message.prefix, bytes(8))
})

function bytes(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => 200 + i)
}

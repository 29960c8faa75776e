import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRandom } from '../seeded.fixture.ts'
import { fromHex, toHex } from './bytes.ts'
import {
  answerBinding,
  decodeBindingRequest,
  decodeBindingResponse,
  encodeBindingRequest,
  encodeBindingResponse,
  isStun,
} from './stun.ts'

const TRANSACTION = 'b7e7a701bc34d686fa87dfae'
const REQUEST = fromHex(`000100002112a442${TRANSACTION}`) ?? new Uint8Array()
const V4 = { host: '192.0.2.1', port: 32853 }
const V6 = { host: '2001:db8:1234:5678:11:2233:4455:6677', port: 32853 }

test('the XOR-MAPPED-ADDRESS of RFC 5769 §2.2: 192.0.2.1 port 32853', () => {
  const answer = answerBinding(REQUEST, V4)
  assert.ok(answer !== undefined)
  assert.equal(toHex(answer), `0101000c2112a442${TRANSACTION}002000080001a147e112a643`)
  assert.deepEqual(decodeBindingResponse(answer)?.address, V4)
})

test('the IPv6 one of RFC 5769 §2.3, to a request that is long enough', () => {
  const padded = new Uint8Array(44)
  padded.set(REQUEST)
  padded[3] = 24
  const answer = answerBinding(padded, V6)
  assert.ok(answer !== undefined)
  assert.match(toHex(answer), /002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9$/)
  assert.deepEqual(decodeBindingResponse(answer)?.address, V6)
  assert.equal(answerBinding(REQUEST, V6), undefined, '44 bytes for 20 would amplify')
})

test('anything that is no Binding request draws nothing', () => {
  const source = { host: '192.0.2.1', port: 1 }
  for (let at = 0; at < 8; at++) {
    const wrong = REQUEST.slice()
    wrong[at] = (wrong[at] ?? 0) ^ 1
    assert.equal(answerBinding(wrong, source), undefined, `byte ${at}`)
  }
  assert.equal(answerBinding(new Uint8Array(0), source), undefined)
  assert.equal(isStun(Uint8Array.of(0xc0)), false)
})

test('a request carries its transaction there, a response its transaction and address back', () => {
  const transaction = fromHex(TRANSACTION) ?? new Uint8Array()
  const request = encodeBindingRequest(transaction)
  assert.equal(toHex(request), toHex(REQUEST))
  assert.equal(toHex(decodeBindingRequest(request) ?? new Uint8Array()), TRANSACTION)
  assert.equal(decodeBindingResponse(request), undefined, 'a request is no response')
  for (const [address, sizeBytes] of [[V4, 32] as const, [V6, 44] as const]) {
    const response = encodeBindingResponse(transaction, address)
    assert.equal(response.length, sizeBytes, address.host)
    assert.equal(decodeBindingRequest(response), undefined, 'a response is no request')
    const decoded = decodeBindingResponse(response)
    assert.deepEqual(decoded?.address, address)
    assert.equal(toHex(decoded?.transaction ?? new Uint8Array()), TRANSACTION)
  }
})

test('a response keeps its transaction after its datagram was overwritten', () => {
  const response = encodeBindingResponse(fromHex(TRANSACTION) ?? new Uint8Array(), V4)
  const decoded = decodeBindingResponse(response)
  response.fill(0)
  assert.equal(toHex(decoded?.transaction ?? new Uint8Array()), TRANSACTION)
})

test('a response cut, lengthened, of another type or family or with more attributes is none', () => {
  const good = encodeBindingResponse(fromHex(TRANSACTION) ?? new Uint8Array(), V4)
  for (let length = 0; length < good.length; length++) {
    assert.equal(decodeBindingResponse(good.subarray(0, length)), undefined, `${length} bytes`)
  }
  const longer = new Uint8Array(36)
  longer.set(good)
  assert.equal(decodeBindingResponse(longer), undefined, 'bytes after the end')
  longer[3] = 16
  assert.equal(decodeBindingResponse(longer), undefined, 'a second attribute')
  for (const at of [0, 1, 2, 3, 4, 5, 6, 7, 20, 21, 22, 23, 24, 25]) {
    const wrong = good.slice()
    wrong[at] = (wrong[at] ?? 0) ^ 2
    assert.equal(decodeBindingResponse(wrong), undefined, `byte ${at}`)
  }
})

test('random bytes behind a STUN header never throw', () => {
  const random = new SeededRandom(1)
  for (let i = 0; i < 5_000; i++) {
    const data = random.bytes(random.below(60))
    data.set([1, 1, 0, Math.max(0, data.length - 20), 0x21, 0x12, 0xa4, 0x42].slice(0, data.length))
    decodeBindingResponse(data)
    decodeBindingRequest(data)
    answerBinding(data, V4)
  }
})

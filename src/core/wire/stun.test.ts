import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fromHex, toHex } from './bytes.ts'
import { answerBinding, isStun, mappedAddress } from './stun.ts'

const TRANSACTION = 'b7e7a701bc34d686fa87dfae'
const REQUEST = fromHex(`000100002112a442${TRANSACTION}`) ?? new Uint8Array()

test('the XOR-MAPPED-ADDRESS of RFC 5769 §2.2: 192.0.2.1 port 32853', () => {
  const answer = answerBinding(REQUEST, { host: '192.0.2.1', port: 32853 })
  assert.ok(answer !== undefined)
  assert.equal(toHex(answer), `0101000c2112a442${TRANSACTION}002000080001a147e112a643`)
  assert.deepEqual(mappedAddress(answer), { host: '192.0.2.1', port: 32853 })
})

test('the IPv6 one of RFC 5769 §2.3, to a request that is long enough', () => {
  const source = { host: '2001:db8:1234:5678:11:2233:4455:6677', port: 32853 }
  const padded = new Uint8Array(44)
  padded.set(REQUEST)
  padded[3] = 24
  const answer = answerBinding(padded, source)
  assert.ok(answer !== undefined)
  assert.match(toHex(answer), /002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9$/)
  assert.deepEqual(mappedAddress(answer), source)
  assert.equal(answerBinding(REQUEST, source), undefined, '44 bytes for 20 would amplify')
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

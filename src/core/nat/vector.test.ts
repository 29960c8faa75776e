import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MALFORMED } from '../errors.ts'
import type { NatVector } from '../io.ts'
import { Reader } from '../wire/reader.ts'
import { encodeVector, readVector, UNKNOWN_NAT, VECTOR_BYTES } from './vector.ts'

const MAPPINGS = ['unknown', 'endpoint-independent', 'endpoint-dependent'] as const
const FILTERINGS = [
  'unknown',
  'endpoint-independent',
  'address-dependent',
  'address-and-port-dependent',
] as const
const ALLOCATIONS = ['unknown', 'preserving', 'sequential', 'block', 'random'] as const

function read(bytes: Uint8Array) {
  return readVector(new Reader(bytes))
}

test('every vector comes back, in two bytes', () => {
  const seen = new Set<string>()
  for (const mapping of MAPPINGS) {
    for (const filtering of FILTERINGS) {
      for (const allocation of ALLOCATIONS) {
        for (const isCarrier of [false, true]) {
          for (const lifetimeMs of [undefined, 30_000, 1_275_000]) {
            const kind = { mapping, filtering, allocation, isCarrier, lifetimeMs }
            const nat: NatVector = { ...UNKNOWN_NAT, ...kind }
            const bytes = encodeVector(nat)
            assert.equal(bytes.length, VECTOR_BYTES)
            assert.deepEqual(read(bytes), nat)
            seen.add(bytes.join())
          }
        }
      }
    }
  }
  assert.equal(seen.size, 3 * 4 * 5 * 2 * 3, 'no two look the same')
})

test('what the remote need not know is not told', () => {
  const address = { host: '198.18.0.1', port: 7 }
  const nat: NatVector = {
    ...UNKNOWN_NAT,
    isTranslated: true,
    external: [address],
    hairpin: true,
    absoluteLifetimeMs: 300_000,
    portMapping: { protocol: 'pcp', external: address },
  }
  assert.deepEqual(read(encodeVector(nat)), UNKNOWN_NAT)
})

test('lifetimes are rounded down to five seconds and end at 21 minutes', () => {
  const told = (lifetimeMs: number) => {
    const nat = read(encodeVector({ ...UNKNOWN_NAT, lifetimeMs }))
    return nat === MALFORMED ? MALFORMED : nat.lifetimeMs
  }
  assert.equal(told(4_999), undefined)
  assert.equal(told(34_999), 30_000)
  assert.equal(told(86_400_000), 1_275_000)
})

test('of all two bytes, those that name an unknown mapping or allocation are malformed', () => {
  let good = 0
  for (let bits = 0; bits < 256; bits++) {
    const nat = read(Uint8Array.of(bits, 0))
    const isNamed = (bits & 3) < 3 && ((bits >> 4) & 7) < 5
    assert.equal(nat !== MALFORMED, isNamed, `0x${bits.toString(16)}`)
    if (nat !== MALFORMED) {
      good++
      assert.deepEqual([...encodeVector(nat)], [bits, 0])
    }
  }
  assert.equal(good, 3 * 4 * 5 * 2)
  assert.equal(read(new Uint8Array(0)), MALFORMED)
  assert.equal(read(Uint8Array.of(0)), MALFORMED)
})

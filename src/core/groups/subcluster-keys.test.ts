import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sodiumNative } from '../../crypto/sodium-native.ts'
import type { Crypto } from '../crypto.ts'
import { toHex } from '../wire/bytes.ts'
import { EPOCH_S, ORIGIN_DAY, SubclusterKeys } from './subcluster-keys.ts'

const crypto = sodiumNative()
const SHARED_KEY = new Uint8Array(32).fill(1)
const CLUSTER_ID = new Uint8Array(32).fill(2)
const ORIGIN_S = ORIGIN_DAY * EPOCH_S

function tagAt(keys: SubclusterKeys, createdS: number): string {
  return toHex(keys.at(createdS).tag.publicKey)
}

test('the origin is the first of January 2026', () => {
  assert.equal(new Date(ORIGIN_S * 1000).toISOString(), '2026-01-01T00:00:00.000Z')
})

test('keys are the same all day and others the next day', () => {
  const keys = new SubclusterKeys(crypto, SHARED_KEY, CLUSTER_ID)
  const day = ORIGIN_S + 100 * EPOCH_S
  assert.equal(tagAt(keys, day), tagAt(keys, day + EPOCH_S - 1))
  assert.notEqual(tagAt(keys, day), tagAt(keys, day + EPOCH_S))
  assert.equal(tagAt(keys, 0), tagAt(keys, ORIGIN_S))
})

test('keys do not depend on the order in which days are asked for', () => {
  const days = [30, 3, 40, 31, 0, 39]
  const keys = new SubclusterKeys(crypto, SHARED_KEY, CLUSTER_ID)
  for (const day of days) {
    const fresh = new SubclusterKeys(crypto, SHARED_KEY, CLUSTER_ID)
    const second = ORIGIN_S + day * EPOCH_S
    assert.deepEqual(keys.at(second), fresh.at(second))
  }
})

test('another shared key or another cluster has other keys', () => {
  const ours = new SubclusterKeys(crypto, SHARED_KEY, CLUSTER_ID)
  const others = [
    new SubclusterKeys(crypto, CLUSTER_ID, CLUSTER_ID),
    new SubclusterKeys(crypto, SHARED_KEY, SHARED_KEY),
  ]
  for (const other of others) {
    assert.notEqual(tagAt(ours, ORIGIN_S), tagAt(other, ORIGIN_S))
    assert.notDeepEqual(ours.joinKey, other.joinKey)
  }
})

test('the cache holds at most twelve days and a step costs one hash', () => {
  let hashes = 0
  const counting: Crypto = {
    ...crypto,
    hash: (size, parts, key) => {
      hashes++
      return key === undefined ? crypto.hash(size, parts) : crypto.hash(size, parts, key)
    },
  }
  const keys = new SubclusterKeys(counting, SHARED_KEY, CLUSTER_ID)
  keys.at(ORIGIN_S + 3650 * EPOCH_S)
  hashes = 0
  for (let day = 3651; day < 3700; day++) keys.at(ORIGIN_S + day * EPOCH_S)
  assert.equal(hashes, 49 * 3)
  assert.equal(keys.cachedEpochs, 12)
})

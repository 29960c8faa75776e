import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sodiumNative } from '../../crypto/sodium-native.ts'
import type { Crypto } from '../crypto.ts'
import { toHex } from '../wire/bytes.ts'
import { EPOCH_S, isSubclusterKey, ORIGIN_DAY, SubclusterKeys } from './subcluster-keys.ts'

const crypto = sodiumNative()
const SHARED_KEY = new Uint8Array(32).fill(1)
const CLUSTER_ID = new Uint8Array(32).fill(2)
const ORIGIN_S = ORIGIN_DAY * EPOCH_S

function tagAt(keys: SubclusterKeys, createdS: number): string {
  return toHex(keys.at(createdS)?.tag.publicKey ?? assert.fail('forgotten'))
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

test('an exported key opens its day and later ones, and no earlier one, under the same membership', () => {
  const day = (number: number) => ORIGIN_S + number * EPOCH_S
  const keys = new SubclusterKeys(crypto, SHARED_KEY, CLUSTER_ID)
  const exported = keys.export(day(100) + 5)
  assert.ok(exported)
  assert.ok(isSubclusterKey(exported))
  const newcomer = new SubclusterKeys(crypto, exported, CLUSTER_ID)
  assert.deepEqual(newcomer.joinKey, keys.joinKey)
  assert.deepEqual(newcomer.at(day(100)), keys.at(day(100)))
  assert.deepEqual(newcomer.at(day(130)), keys.at(day(130)))
  assert.equal(newcomer.at(day(100) - 1), undefined)
  assert.equal(newcomer.export(day(99)), undefined)
  assert.deepEqual(newcomer.export(day(120)), keys.export(day(120)))
  assert.equal(newcomer.firstS, day(100))
})

test('a forgotten day is opened by nothing that is left', () => {
  const keys = new SubclusterKeys(crypto, SHARED_KEY, CLUSTER_ID)
  const before = keys.at(ORIGIN_S + 9 * EPOCH_S)
  const after = keys.at(ORIGIN_S + 10 * EPOCH_S)
  keys.forget(ORIGIN_S + 10 * EPOCH_S)
  assert.equal(keys.at(ORIGIN_S + 9 * EPOCH_S), undefined)
  assert.deepEqual(keys.at(ORIGIN_S + 10 * EPOCH_S), after)
  keys.forget(ORIGIN_S)
  assert.equal(keys.at(ORIGIN_S + 9 * EPOCH_S), undefined, 'what was forgotten does not come back')
  const held = JSON.stringify(everythingIn(keys))
  assert.ok(before)
  assert.ok(!held.includes(toHex(before.sealKey)))
})

test('what is no key is known as none', () => {
  for (const length of [0, 31, 33, 68, 70]) assert.ok(!isSubclusterKey(new Uint8Array(length)))
  const exported = new SubclusterKeys(crypto, SHARED_KEY, CLUSTER_ID).export(ORIGIN_S)
  assert.ok(exported)
  for (const [at, byte] of [
    [0, 2],
    [1, 1],
  ] as const) {
    const wrong = exported.slice()
    wrong[at] = byte
    assert.ok(!isSubclusterKey(wrong))
  }
})

/** Every key that the object can still give: what a thief of its memory could. */
function everythingIn(keys: SubclusterKeys): string[] {
  const given: string[] = []
  for (let day = 0; day < 40; day++) {
    const epoch = keys.at(ORIGIN_S + day * EPOCH_S)
    if (epoch !== undefined) given.push(toHex(epoch.sealKey))
  }
  return given
}

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { sodiumNative } from '../../crypto/sodium-native.ts'
import type { Random } from '../crypto.ts'
import { fromHex, toHex } from '../wire/bytes.ts'
import { COOKIE_SECRET_MS, CookieJar, mac1 } from './cookie.ts'

const crypto = sodiumNative()
const EPHEMERAL = new Uint8Array(32).fill(3)
const FROM = '192.0.2.1 4000'

function counted(): Random & { draws: number } {
  return {
    draws: 0,
    bytes(length) {
      this.draws++
      return new Uint8Array(length).fill(this.draws)
    },
  }
}

test('a cookie is good for its address and handshake alone', () => {
  const jar = new CookieJar(crypto, counted())
  const cookie = jar.make(1000, FROM, EPHEMERAL)
  assert.equal(cookie.length, 16)
  assert.equal(jar.check(1000, FROM, EPHEMERAL, cookie), true)
  assert.equal(jar.check(1000, '192.0.2.1 4001', EPHEMERAL, cookie), false)
  assert.equal(jar.check(1000, FROM, new Uint8Array(32).fill(4), cookie), false)
  assert.equal(new CookieJar(crypto, counted()).check(1000, FROM, EPHEMERAL, cookie), true)
  const other = { bytes: (length: number) => new Uint8Array(length).fill(99) }
  assert.equal(new CookieJar(crypto, other).check(1000, FROM, EPHEMERAL, cookie), false)
})

test('no other bytes of any length pass for a cookie', () => {
  const jar = new CookieJar(crypto, counted())
  const cookie = jar.make(0, FROM, EPHEMERAL)
  for (let length = 0; length < 40; length++)
    assert.equal(jar.check(0, FROM, EPHEMERAL, new Uint8Array(length)), false)
  for (let bit = 0; bit < 128; bit++) {
    const forged = new Uint8Array(cookie)
    forged[bit >> 3] = (forged[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    assert.equal(jar.check(0, FROM, EPHEMERAL, forged), false)
  }
  assert.equal(jar.check(0, FROM, EPHEMERAL, cookie.subarray(0, 15)), false)
})

test('a cookie lives through one change of secret and not through two', () => {
  const jar = new CookieJar(crypto, counted())
  const start = 5_000_000
  const cookie = jar.make(start, FROM, EPHEMERAL)
  const at = (ms: number) => jar.check(start + ms, FROM, EPHEMERAL, cookie)
  assert.equal(at(COOKIE_SECRET_MS - 1), true)
  assert.equal(at(COOKIE_SECRET_MS), true)
  assert.equal(at(2 * COOKIE_SECRET_MS - 1), true)
  assert.equal(at(2 * COOKIE_SECRET_MS), false)
})

test('after a long silence no old secret is left', () => {
  const jar = new CookieJar(crypto, counted())
  const cookie = jar.make(0, FROM, EPHEMERAL)
  assert.equal(jar.check(2 * COOKIE_SECRET_MS, FROM, EPHEMERAL, cookie), false)
})

test('secrets are drawn when used, once in their time', () => {
  const random = counted()
  const jar = new CookieJar(crypto, random)
  assert.equal(random.draws, 0)
  for (let now = 0; now < COOKIE_SECRET_MS; now += 10_000) jar.make(now, FROM, EPHEMERAL)
  assert.equal(random.draws, 1)
})

test('mac1 meets the frozen example and tells responders and messages apart', () => {
  const { mac1: vector }: { mac1: Record<'responderPublic' | 'covered' | 'mac', string> } =
    JSON.parse(
      readFileSync(new URL('../../../docs/spec/vectors/sealed.json', import.meta.url), 'utf8'),
    )
  const [responder, covered] = [fromHex(vector.responderPublic), fromHex(vector.covered)]
  assert.ok(responder && covered)
  assert.equal(toHex(mac1(crypto, responder, covered)), vector.mac)
  assert.notEqual(toHex(mac1(crypto, responder, covered.subarray(1))), vector.mac)
  assert.notEqual(toHex(mac1(crypto, EPHEMERAL, covered)), vector.mac)
})

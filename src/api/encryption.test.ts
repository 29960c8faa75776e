import assert from 'node:assert/strict'
import { test } from 'node:test'
import { toHex } from '../core/wire/bytes.ts'
import { sodiumNative } from '../crypto/sodium-native.ts'
import { Encryption } from './encryption.ts'

/** Computed independently: Python's hashlib.blake2b(text, digest_size=32, key=label). */
const CLUSTER_ID = 'ff28a8042a45ac3ad1b17e6182606d84e5b75a828afab1a2398ae31453bb17f2'
const SHARED_KEY = '2590ff3925316b2060c34e8e3649a0123ac472792dca30b63abc798927e08e9a'
/** Frozen: of the seed hashed with 'latica signing key seed'. */
const PUBLIC_KEY = 'bf5d7f2f78f0a29c15b6452685c3d435bb0d4d2645d9a644b03fe1f5cc4bc7db'

test('key pairs are random without a seed, and the same for the same seed', async () => {
  const seed = new Uint8Array(32).fill(1)
  const [a, b, c, d, e] = await Promise.all([
    Encryption.createKeyPair(),
    Encryption.createKeyPair(),
    Encryption.createKeyPair(seed),
    Encryption.createKeyPair('words'),
    Encryption.createKeyPair('words'),
  ])
  assert.notDeepEqual(a.publicKey, b.publicKey)
  assert.deepEqual(d, e)
  // RFC 8032 keys of 32 bytes of seed are those of the seed itself.
  assert.deepEqual(c, sodiumNative().signingKeyPair(seed))
  assert.deepEqual([a.publicKey.length, a.privateKey.length], [32, 64])
})

test('the id of a peer is its public key in hex', async () => {
  const { publicKey } = await Encryption.createKeyPair()
  assert.equal(await Encryption.createId(publicKey), toHex(publicKey))
})

test('cluster ids, shared keys and seeds of one text have nothing in common', async () => {
  const cluster = toHex(await Encryption.createClusterId('text'))
  const shared = toHex(await Encryption.createSharedKey('text'))
  const keys = toHex((await Encryption.createKeyPair('text')).privateKey.subarray(0, 32))
  assert.equal(new Set([cluster, shared, keys]).size, 3)
  assert.equal(toHex(await Encryption.createClusterId(new TextEncoder().encode('text'))), cluster)
})

test('derived keys stay what they were, so that peers of all versions agree', async () => {
  assert.equal(toHex(await Encryption.createClusterId('my-app')), CLUSTER_ID)
  assert.equal(toHex(await Encryption.createSharedKey('a long secret')), SHARED_KEY)
  const { publicKey } = await Encryption.createKeyPair('a long seed')
  assert.equal(toHex(publicKey), PUBLIC_KEY)
})

test('what the caller got wrong is thrown at once, with a code', () => {
  const wrong: [() => unknown, string][] = [
    [() => Encryption.createKeyPair(''), 'EBADARG'],
    [() => Encryption.createKeyPair(new Uint8Array(0)), 'EBADARG'],
    [() => Encryption.createKeyPair(5 as unknown as string), 'EBADARG'],
    [() => Encryption.createId(new Uint8Array(31)), 'EBADKEY'],
    [() => Encryption.createId(undefined as unknown as Uint8Array), 'EBADKEY'],
    [() => Encryption.createClusterId(''), 'EBADARG'],
    [() => Encryption.createSharedKey(undefined as unknown as string), 'EBADARG'],
  ]
  for (const [call, code] of wrong)
    assert.throws(call, (error: TypeError & { code?: string }) => error.code === code)
})

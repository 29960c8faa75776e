import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { sodiumNative } from '../../crypto/sodium-native.ts'
import type { PeerId } from '../io.ts'
import { Identity, isPeerId, peerIdOf, publicKeyOf } from './identity.ts'

const crypto = sodiumNative()
const keys = crypto.signingKeyPair(new Uint8Array(32).fill(8))

test('an identity is its public key in hex, and signs as it', () => {
  const identity = new Identity(crypto, keys)
  assert.equal(identity.peerId, peerIdOf(keys.publicKey))
  assert.deepEqual(publicKeyOf(identity.peerId), identity.publicKey)
  const message = Uint8Array.of(1, 2, 3)
  assert.equal(crypto.verify(identity.publicKey, message, identity.sign(message)), true)
})

test('anyone who knows the id finds the agreement key that the owner uses', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (seed) => {
      const identity = new Identity(crypto, crypto.signingKeyPair(seed))
      const { publicKey, privateKey } = identity.agreement
      assert.deepEqual(crypto.agreementPublicKey(publicKeyOf(identity.peerId)), publicKey)
      assert.deepEqual(crypto.agreementKeyPair(privateKey).publicKey, publicKey)
    }),
    { seed: 5, numRuns: 50 },
  )
})

test('the two points of one agreement key are A and −A, which one secret signs for', () => {
  const { publicKey, agreement } = new Identity(crypto, keys)
  const negated = new Uint8Array(publicKey)
  negated[31] = (negated[31] ?? 0) ^ 0x80
  assert.deepEqual(crypto.agreementPublicKey(negated), agreement.publicKey)
})

test('an identity does not follow later changes of the bytes it was made of', () => {
  const { publicKey, privateKey } = crypto.signingKeyPair(new Uint8Array(32).fill(9))
  const identity = new Identity(crypto, { publicKey, privateKey })
  const before = identity.sign(publicKey)
  privateKey.fill(0)
  assert.deepEqual(identity.sign(publicKey), before)
})

test('keys that are no pair are refused with a word on what is wrong', () => {
  const other = crypto.signingKeyPair(new Uint8Array(32).fill(7))
  const { publicKey, privateKey } = keys
  const refused = (pair: { publicKey: Uint8Array; privateKey: Uint8Array }, message: RegExp) =>
    assert.throws(() => new Identity(crypto, pair), { code: 'EKEYS', message })
  refused({ publicKey: publicKey.subarray(1), privateKey }, /keys\.publicKey: expected 32 bytes/)
  refused({ publicKey, privateKey: privateKey.subarray(32) }, /keys\.privateKey: expected 64 bytes/)
  refused({ publicKey: other.publicKey, privateKey }, /unrelated/)
  const mixed = new Uint8Array(privateKey)
  mixed.set(other.publicKey, 32)
  refused({ publicKey, privateKey: mixed }, /unrelated/)
  refused({ publicKey: other.publicKey, privateKey: mixed }, /unrelated/)
})

test('only 64 lower-case hex digits look like a peer id', () => {
  const id = peerIdOf(keys.publicKey)
  assert.equal(isPeerId(id), true)
  for (const text of ['', id.slice(1), `${id}0`, `${id}\n`, id.toUpperCase(), `g${id.slice(1)}`])
    assert.equal(isPeerId(text), false)
  assert.throws(() => publicKeyOf('ab' as PeerId), /64 hex digits/)
  assert.throws(() => peerIdOf(new Uint8Array(31)), /32 bytes/)
})

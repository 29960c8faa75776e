import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Crypto } from '../core/crypto.ts'
import { sodiumNative } from '../crypto/sodium-native.ts'
import { CRYPTO_CHECKS } from './crypto-suite.ts'

const good = sodiumNative()

function failures(crypto: Crypto): string[] {
  return CRYPTO_CHECKS.filter(({ run }) => {
    try {
      run(crypto)
      return false
    } catch {
      return true
    }
  }).map(({ title }) => title)
}

/** Providers that are wrong in one way each. */
const FAULTY: Readonly<Record<string, Partial<Crypto>>> = {
  'opens without checking the tag': {
    open: (key, nonce, sealed, aad) =>
      good.open(key, nonce, sealed, aad) ?? sealed.subarray(0, Math.max(0, sealed.length - 16)),
  },
  'ignores the additional data': {
    xseal: (key, nonce, plain) => good.xseal(key, nonce, plain, new Uint8Array(0)),
    xopen: (key, nonce, sealed) => good.xopen(key, nonce, sealed, new Uint8Array(0)),
  },
  'seals a header without authenticating it': {
    sealAfter: (key, nonce, plain, header) =>
      Uint8Array.from([...header, ...good.seal(key, nonce, plain, new Uint8Array(0))]),
  },
  'throws at short input': {
    open: (key, nonce, sealed, aad) => {
      if (sealed.length < 16) throw new RangeError('too short')
      return good.open(key, nonce, sealed, aad)
    },
  },
  'accepts every signature': { verify: () => true },
  'accepts none': { verify: () => false },
  'agrees on zero': { agree: (secret, remote) => good.agree(secret, remote) ?? new Uint8Array(32) },
  'converts any bytes': {
    agreementPublicKey: (key) => good.agreementPublicKey(key) ?? new Uint8Array(32),
  },
  'ignores the hash key': { hash: (size, parts) => good.hash(size, parts) },
  'truncates the digest of 64': {
    hash: (size, parts, key) => good.hash(64, parts, key).slice(0, size),
  },
  'hashes the first part alone': {
    hash: (size, parts, key) => good.hash(size, parts.slice(0, 1), key),
  },
  'compares the first byte': { equal: (a, b) => a.length === b.length && a[0] === b[0] },
  'gives out one buffer again and again': (() => {
    const buffer = new Uint8Array(4096)
    return {
      seal: (key, nonce, plain, aad) => {
        buffer.set(good.seal(key, nonce, plain, aad))
        return buffer.subarray(0, plain.length + 16)
      },
    } satisfies Partial<Crypto>
  })(),
  'ignores the key of the short hash': {
    shortHash: (_, input) => good.shortHash(new Uint8Array(16), input),
  },
  'cuts a long hash for the short one': {
    shortHash: (key, input) => good.hash(16, [input], key).slice(0, 8),
  },
  'gives out one short hash again and again': (() => {
    const buffer = new Uint8Array(8)
    return {
      shortHash: (key, input) => {
        buffer.set(good.shortHash(key, input))
        return buffer
      },
    } satisfies Partial<Crypto>
  })(),
  'keeps the secret it was given': {
    agreementKeyPair: (secret) => ({ ...good.agreementKeyPair(secret), privateKey: secret }),
  },
}

test('a conforming provider fails no check', () => {
  assert.deepEqual(failures(good), [])
})

for (const [fault, part] of Object.entries(FAULTY))
  test(`a provider that ${fault} fails the suite`, () => {
    assert.notDeepEqual(failures({ ...good, ...part }), [])
  })

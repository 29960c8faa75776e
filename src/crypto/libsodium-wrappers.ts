import sodium from 'libsodium-wrappers'
import type { Crypto } from '../core/crypto.ts'
import { concat } from '../core/wire/bytes.ts'
import {
  KEY_BYTES,
  NONCE_BYTES,
  requireBytes,
  requireHashSizes,
  SHORT_HASH_KEY_BYTES,
  SIGNATURE_BYTES,
  SIGNING_PRIVATE_KEY_BYTES,
  TAG_BYTES,
  XNONCE_BYTES,
} from './sizes.ts'

type Aead = 'seal' | 'sealAfter' | 'open' | 'xseal' | 'xopen'

/** The Crypto port over libsodium in WebAssembly, for browsers and wherever no native addon runs. */
export async function libsodiumWrappers(): Promise<Crypto> {
  await sodium.ready
  return {
    hash(size, parts, key) {
      requireHashSizes(size, key)
      const only = parts.length === 1 ? parts[0] : undefined
      return sodium.crypto_generichash(size, only ?? concat(...parts), key ?? null)
    },
    shortHash(key, input) {
      requireBytes('key', key, SHORT_HASH_KEY_BYTES)
      return sodium.crypto_shorthash(input, key)
    },
    ...aead(),
    ...curves(),
    equal: (a, b) => a.length === b.length && sodium.memcmp(a, b),
  }
}

function aead(): Pick<Crypto, Aead> {
  const seal: Crypto['seal'] = (key, nonce, plain, aad) => {
    requireBytes('key', key, KEY_BYTES)
    requireBytes('nonce', nonce, NONCE_BYTES)
    return sodium.crypto_aead_chacha20poly1305_ietf_encrypt(plain, aad, null, nonce, key)
  }
  return {
    seal,
    sealAfter: (key, nonce, plain, header) => concat(header, seal(key, nonce, plain, header)),
    open(key, nonce, sealed, aad) {
      requireBytes('key', key, KEY_BYTES)
      requireBytes('nonce', nonce, NONCE_BYTES)
      if (sealed.length < TAG_BYTES) return undefined
      return orUndefined(() =>
        sodium.crypto_aead_chacha20poly1305_ietf_decrypt(null, sealed, aad, nonce, key),
      )
    },
    xseal(key, nonce, plain, aad) {
      requireBytes('key', key, KEY_BYTES)
      requireBytes('nonce', nonce, XNONCE_BYTES)
      return sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plain, aad, null, nonce, key)
    },
    xopen(key, nonce, sealed, aad) {
      requireBytes('key', key, KEY_BYTES)
      requireBytes('nonce', nonce, XNONCE_BYTES)
      if (sealed.length < TAG_BYTES) return undefined
      return orUndefined(() =>
        sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(null, sealed, aad, nonce, key),
      )
    },
  }
}

function curves(): Omit<Crypto, Aead | 'hash' | 'shortHash' | 'equal'> {
  return {
    agreementKeyPair(secret) {
      requireBytes('secret', secret, KEY_BYTES)
      return {
        publicKey: sodium.crypto_scalarmult_base(secret),
        privateKey: new Uint8Array(secret),
      }
    },
    agree(secret, remotePublic) {
      requireBytes('secret', secret, KEY_BYTES)
      if (remotePublic.length !== KEY_BYTES) return undefined
      return orUndefined(() => sodium.crypto_scalarmult(secret, remotePublic))
    },
    signingKeyPair(seed) {
      requireBytes('seed', seed, KEY_BYTES)
      const { publicKey, privateKey } = sodium.crypto_sign_seed_keypair(seed)
      return { publicKey, privateKey }
    },
    sign(privateKey, message) {
      requireBytes('privateKey', privateKey, SIGNING_PRIVATE_KEY_BYTES)
      return sodium.crypto_sign_detached(message, privateKey)
    },
    verify(publicKey, message, signature) {
      if (publicKey.length !== KEY_BYTES || signature.length !== SIGNATURE_BYTES) return false
      return sodium.crypto_sign_verify_detached(signature, message, publicKey)
    },
    agreementPublicKey(signingPublicKey) {
      if (signingPublicKey.length !== KEY_BYTES) return undefined
      return orUndefined(() => sodium.crypto_sign_ed25519_pk_to_curve25519(signingPublicKey))
    },
    agreementSecret(signingPrivateKey) {
      requireBytes('signingPrivateKey', signingPrivateKey, SIGNING_PRIVATE_KEY_BYTES)
      return sodium.crypto_sign_ed25519_sk_to_curve25519(signingPrivateKey)
    },
  }
}

/** The wrappers report a refusal by throwing; sizes are checked before, so nothing else throws. */
function orUndefined(operation: () => Uint8Array): Uint8Array | undefined {
  try {
    return operation()
  } catch {
    return undefined
  }
}

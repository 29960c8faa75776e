import { createRequire } from 'node:module'
import type { Crypto } from '../core/crypto.ts'
import {
  KEY_BYTES,
  NONCE_BYTES,
  requireBytes,
  requireHashSizes,
  SHORT_HASH_BYTES,
  SHORT_HASH_KEY_BYTES,
  SIGNATURE_BYTES,
  SIGNING_PRIVATE_KEY_BYTES,
  TAG_BYTES,
  XNONCE_BYTES,
} from './sizes.ts'

type Bytes = Uint8Array

/** What is used of sodium-native, which has no types: results are written into the first argument. */
interface Sodium {
  crypto_generichash(digest: Bytes, input: Bytes, key?: Bytes): void
  crypto_generichash_batch(digest: Bytes, inputs: readonly Bytes[], key?: Bytes): void
  crypto_shorthash(digest: Bytes, input: Bytes, key: Bytes): void
  crypto_aead_chacha20poly1305_ietf_encrypt: Encrypt
  crypto_aead_chacha20poly1305_ietf_decrypt: Decrypt
  crypto_aead_xchacha20poly1305_ietf_encrypt: Encrypt
  crypto_aead_xchacha20poly1305_ietf_decrypt: Decrypt
  crypto_scalarmult(shared: Bytes, secret: Bytes, publicKey: Bytes): void
  crypto_scalarmult_base(publicKey: Bytes, secret: Bytes): void
  crypto_sign_seed_keypair(publicKey: Bytes, privateKey: Bytes, seed: Bytes): void
  crypto_sign_detached(signature: Bytes, message: Bytes, privateKey: Bytes): void
  crypto_sign_verify_detached(signature: Bytes, message: Bytes, publicKey: Bytes): boolean
  crypto_sign_ed25519_pk_to_curve25519(agreement: Bytes, signing: Bytes): void
  crypto_sign_ed25519_sk_to_curve25519(agreement: Bytes, signing: Bytes): void
  sodium_memcmp(a: Bytes, b: Bytes): boolean
}
type Encrypt = (
  sealed: Bytes,
  plain: Bytes,
  aad: Bytes,
  secretNonce: null,
  nonce: Bytes,
  key: Bytes,
) => number
type Decrypt = (
  plain: Bytes,
  secretNonce: null,
  sealed: Bytes,
  aad: Bytes,
  nonce: Bytes,
  key: Bytes,
) => number

type Aead = 'seal' | 'sealAfter' | 'open' | 'xseal' | 'xopen'

/**
 * The Crypto port over libsodium as a native addon, for Node. It loads the addon when called:
 * `require` takes half the time of `import` here, which would parse the CommonJS source for names.
 */
export function sodiumNative(): Crypto {
  const sodium: Sodium = createRequire(import.meta.url)('sodium-native')
  // The addon writes here and a copy is given away: memory that it can reach costs more than the hash.
  const short = new Uint8Array(SHORT_HASH_BYTES)
  return {
    hash(size, parts, key) {
      requireHashSizes(size, key)
      const digest = new Uint8Array(size)
      const only = parts.length === 1 ? parts[0] : undefined
      if (only === undefined) sodium.crypto_generichash_batch(digest, parts, key)
      else sodium.crypto_generichash(digest, only, key)
      return digest
    },
    shortHash(key, input) {
      requireBytes('key', key, SHORT_HASH_KEY_BYTES)
      sodium.crypto_shorthash(short, input, key)
      return new Uint8Array(short)
    },
    ...aead(sodium),
    ...curves(sodium),
    equal: (a, b) => a.length === b.length && sodium.sodium_memcmp(a, b),
  }
}

function aead(sodium: Sodium): Pick<Crypto, Aead> {
  const encrypt = sodium.crypto_aead_chacha20poly1305_ietf_encrypt
  const sealer =
    (encrypt: Encrypt, nonceBytes: number): Crypto['seal'] =>
    (key, nonce, plain, aad) => {
      requireBytes('key', key, KEY_BYTES)
      requireBytes('nonce', nonce, nonceBytes)
      const sealed = unfilled(plain.length + TAG_BYTES)
      encrypt(sealed, plain, aad, null, nonce, key)
      return sealed
    }
  const opener =
    (decrypt: Decrypt, nonceBytes: number): Crypto['open'] =>
    (key, nonce, sealed, aad) => {
      requireBytes('key', key, KEY_BYTES)
      requireBytes('nonce', nonce, nonceBytes)
      if (sealed.length < TAG_BYTES) return undefined
      const plain = unfilled(sealed.length - TAG_BYTES)
      return succeeds(() => decrypt(plain, null, sealed, aad, nonce, key)) ? plain : undefined
    }
  return {
    seal: sealer(encrypt, NONCE_BYTES),
    sealAfter(key, nonce, plain, header) {
      requireBytes('key', key, KEY_BYTES)
      requireBytes('nonce', nonce, NONCE_BYTES)
      const whole = unfilled(header.length + plain.length + TAG_BYTES)
      whole.set(header)
      encrypt(whole.subarray(header.length), plain, header, null, nonce, key)
      return whole
    },
    open: opener(sodium.crypto_aead_chacha20poly1305_ietf_decrypt, NONCE_BYTES),
    xseal: sealer(sodium.crypto_aead_xchacha20poly1305_ietf_encrypt, XNONCE_BYTES),
    xopen: opener(sodium.crypto_aead_xchacha20poly1305_ietf_decrypt, XNONCE_BYTES),
  }
}

function curves(sodium: Sodium): Omit<Crypto, Aead | 'hash' | 'shortHash' | 'equal'> {
  return {
    agreementKeyPair(secret) {
      requireBytes('secret', secret, KEY_BYTES)
      const publicKey = new Uint8Array(KEY_BYTES)
      sodium.crypto_scalarmult_base(publicKey, secret)
      return { publicKey, privateKey: new Uint8Array(secret) }
    },
    agree(secret, remotePublic) {
      requireBytes('secret', secret, KEY_BYTES)
      if (remotePublic.length !== KEY_BYTES) return undefined
      const shared = new Uint8Array(KEY_BYTES)
      return succeeds(() => sodium.crypto_scalarmult(shared, secret, remotePublic))
        ? shared
        : undefined
    },
    signingKeyPair(seed) {
      requireBytes('seed', seed, KEY_BYTES)
      const publicKey = new Uint8Array(KEY_BYTES)
      const privateKey = new Uint8Array(SIGNING_PRIVATE_KEY_BYTES)
      sodium.crypto_sign_seed_keypair(publicKey, privateKey, seed)
      return { publicKey, privateKey }
    },
    sign(privateKey, message) {
      requireBytes('privateKey', privateKey, SIGNING_PRIVATE_KEY_BYTES)
      const signature = new Uint8Array(SIGNATURE_BYTES)
      sodium.crypto_sign_detached(signature, message, privateKey)
      return signature
    },
    verify(publicKey, message, signature) {
      if (publicKey.length !== KEY_BYTES || signature.length !== SIGNATURE_BYTES) return false
      return sodium.crypto_sign_verify_detached(signature, message, publicKey)
    },
    agreementPublicKey(signingPublicKey) {
      if (signingPublicKey.length !== KEY_BYTES) return undefined
      const agreement = new Uint8Array(KEY_BYTES)
      return succeeds(() =>
        sodium.crypto_sign_ed25519_pk_to_curve25519(agreement, signingPublicKey),
      )
        ? agreement
        : undefined
    },
    agreementSecret(signingPrivateKey) {
      requireBytes('signingPrivateKey', signingPrivateKey, SIGNING_PRIVATE_KEY_BYTES)
      const agreement = new Uint8Array(KEY_BYTES)
      sodium.crypto_sign_ed25519_sk_to_curve25519(agreement, signingPrivateKey)
      return agreement
    },
  }
}

/**
 * Bytes to overwrite, from Node's pool while they are few: an ArrayBuffer of its own for each datagram
 * costs half as much as the cipher does.
 */
function unfilled(length: number): Uint8Array {
  const { buffer, byteOffset } = Buffer.allocUnsafe(length)
  return new Uint8Array(buffer, byteOffset, length)
}

/** sodium-native reports a refusal by throwing; sizes are checked before, so nothing else throws. */
function succeeds(operation: () => unknown): boolean {
  try {
    operation()
    return true
  } catch {
    return false
  }
}

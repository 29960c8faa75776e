import type { Crypto, KeyPair } from '../../src/core/crypto.ts'
import { concat } from '../../src/core/wire/bytes.ts'

/**
 * A stand-in for cryptography where millions of packets pass between hundreds of peers in one process and
 * nobody attacks: fast, deterministic, and of the right shapes and lengths. It protects nothing. A hash
 * is two 32-bit lanes spread over the size, a signature a hash that the public key alone can check, a seal a copy.
 */
export class CheapCrypto implements Crypto {
  hash(size: number, parts: readonly Uint8Array[], key?: Uint8Array): Uint8Array {
    let a = 0x811c9dc5 ^ size
    let b = 0x2545f491
    for (let i = key === undefined ? 0 : -1; i < parts.length; i++) {
      const part = (i < 0 ? key : parts[i]) ?? NOTHING
      for (let at = 0; at < part.length; at += 4) {
        const word = wordAt(part, at)
        a = Math.imul(a ^ word, 0x01000193) ^ (a >>> 13)
        b = Math.imul(b + word, 0x9e3779b1) ^ (b >>> 15)
      }
      a ^= part.length
    }
    return spread(size, a, b)
  }

  shortHash(key: Uint8Array, input: Uint8Array): Uint8Array {
    let a = 0x811c9dc5
    let b = 0x2545f491
    for (let at = 0; at < 16; at += 4) {
      const word = wordAt(input, at)
      a = Math.imul(a ^ word ^ wordAt(key, at), 0x85ebca6b) ^ (a >>> 13)
      b = Math.imul(b + word, 0x9e3779b1) ^ (b >>> 15) ^ a
    }
    return spread(8, a, b)
  }

  seal(_key: Uint8Array, _nonce: Uint8Array, plain: Uint8Array, _aad: Uint8Array): Uint8Array {
    return concat(plain, new Uint8Array(16))
  }

  sealAfter(_key: Uint8Array, _nonce: Uint8Array, plain: Uint8Array, head: Uint8Array): Uint8Array {
    return concat(head, plain, new Uint8Array(16))
  }

  open(
    _key: Uint8Array,
    _nonce: Uint8Array,
    sealed: Uint8Array,
    _aad: Uint8Array,
  ): Uint8Array | undefined {
    return sealed.length < 16 ? undefined : sealed.slice(0, -16)
  }

  xseal(key: Uint8Array, nonce: Uint8Array, plain: Uint8Array, aad: Uint8Array): Uint8Array {
    return this.seal(key, nonce, plain, aad)
  }

  xopen(
    key: Uint8Array,
    nonce: Uint8Array,
    sealed: Uint8Array,
    aad: Uint8Array,
  ): Uint8Array | undefined {
    return this.open(key, nonce, sealed, aad)
  }

  agreementKeyPair(secret: Uint8Array): KeyPair {
    return { publicKey: this.hash(32, [secret]), privateKey: secret.slice() }
  }

  agree(secret: Uint8Array, remotePublic: Uint8Array): Uint8Array | undefined {
    const own = this.hash(32, [secret])
    return this.hash(
      32,
      [own, remotePublic].sort((x, y) => (x[0] ?? 0) - (y[0] ?? 0)),
    )
  }

  signingKeyPair(seed: Uint8Array): KeyPair {
    const publicKey = this.hash(32, [seed])
    return { publicKey, privateKey: concat(seed, publicKey) }
  }

  sign(privateKey: Uint8Array, message: Uint8Array): Uint8Array {
    return this.hash(64, [privateKey.subarray(32), message])
  }

  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
    return this.equal(this.hash(64, [publicKey, message]), signature)
  }

  agreementPublicKey(signingPublicKey: Uint8Array): Uint8Array | undefined {
    return this.hash(32, [signingPublicKey.subarray(0, 32)])
  }

  agreementSecret(signingPrivateKey: Uint8Array): Uint8Array {
    return signingPrivateKey.slice(32)
  }

  equal(a: Uint8Array, b: Uint8Array): boolean {
    return a.length === b.length && a.every((byte, at) => byte === b[at])
  }
}

const NOTHING = new Uint8Array(0)

/** Four bytes; those beyond the end count as zero. */
function wordAt(bytes: Uint8Array, at: number): number {
  const low = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8)
  return low | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24)
}

function spread(size: number, a: number, b: number): Uint8Array {
  const hash = new Uint8Array(size)
  let word = 0
  for (let at = 0; at < size; at++) {
    if (at % 4 === 0) {
      word = Math.imul(a ^ (a >>> 16) ^ Math.imul(at + 1, 0x85ebca6b), 0x7feb352d) + b
      word = Math.imul(word ^ (word >>> 15), 0x846ca68b)
      word ^= word >>> 16
    }
    hash[at] = word >>> (8 * (at % 4))
  }
  return hash
}

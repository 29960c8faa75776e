import type { Crypto, KeyPair } from '../crypto.ts'
import { assert, UsageError } from '../errors.ts'
import type { PeerId } from '../io.ts'
import { fromHex, toHex } from '../wire/bytes.ts'

const PUBLIC_KEY_BYTES = 32
const PRIVATE_KEY_BYTES = 64

/**
 * Who we are: an Ed25519 key pair, and the X25519 pair converted from it for handshakes. It decides
 * nothing about others; why conversion and not a certificate is in docs/spec/session.md.
 */
export class Identity {
  readonly peerId: PeerId
  /** Ed25519. */
  readonly publicKey: Uint8Array
  /** X25519: the static key of our Noise handshakes. */
  readonly agreement: KeyPair
  readonly #crypto: Crypto
  readonly #privateKey: Uint8Array

  constructor(crypto: Crypto, keys: KeyPair) {
    requireKeyPair(crypto, keys)
    const publicKey = crypto.agreementPublicKey(keys.publicKey)
    if (publicKey === undefined)
      throw new UsageError('EKEYS', 'keys.publicKey', 'an Ed25519 key', 'no point of its group')
    this.#crypto = crypto
    this.#privateKey = new Uint8Array(keys.privateKey)
    this.publicKey = new Uint8Array(keys.publicKey)
    this.peerId = peerIdOf(keys.publicKey)
    this.agreement = { publicKey, privateKey: crypto.agreementSecret(keys.privateKey) }
  }

  /** 64 bytes. */
  sign(message: Uint8Array): Uint8Array {
    return this.#crypto.sign(this.#privateKey, message)
  }
}

function requireKeyPair(crypto: Crypto, { publicKey, privateKey }: KeyPair): void {
  if (publicKey.length !== PUBLIC_KEY_BYTES)
    throw new UsageError('EKEYS', 'keys.publicKey', '32 bytes', `${publicKey.length} bytes`)
  if (privateKey.length !== PRIVATE_KEY_BYTES)
    throw new UsageError('EKEYS', 'keys.privateKey', '64 bytes', `${privateKey.length} bytes`)
  const derived = crypto.signingKeyPair(privateKey.subarray(0, PUBLIC_KEY_BYTES))
  const isPair =
    crypto.equal(derived.publicKey, publicKey) && crypto.equal(derived.privateKey, privateKey)
  if (!isPair)
    throw new UsageError('EKEYS', 'keys', 'a private key and its public key', 'two unrelated keys')
}

/** The id of an Ed25519 public key. */
export function peerIdOf(publicKey: Uint8Array): PeerId {
  assert(publicKey.length === PUBLIC_KEY_BYTES, 'a public key is 32 bytes')
  return toHex(publicKey) as PeerId
}

/** The Ed25519 public key that an id is. */
export function publicKeyOf(peerId: PeerId): Uint8Array {
  const publicKey = fromHex(peerId)
  assert(publicKey?.length === PUBLIC_KEY_BYTES, 'a peer id is 64 hex digits')
  return publicKey
}

/** Whether a text has the form of a peer id; the key in it may still be no point. */
export function isPeerId(text: string): text is PeerId {
  return /^[0-9a-f]{64}$/.test(text)
}

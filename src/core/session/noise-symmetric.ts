import type { Crypto } from '../crypto.ts'
import { assert } from '../errors.ts'
import { concat } from '../wire/bytes.ts'

/** HASHLEN and BLOCKLEN of BLAKE2b (Noise §12.8). */
const HASH_BYTES = 64
const BLOCK_BYTES = 128
const KEY_BYTES = 32
const EMPTY = new Uint8Array(0)
const ONE = Uint8Array.of(1)
const TWO = Uint8Array.of(2)

/**
 * Noise's SymmetricState (§5.2) with its CipherState (§5.1): the running hash and keys of a
 * handshake. Arrays in it are replaced, never changed, so a copy is cheap and shares nothing mutable.
 */
export class SymmetricState {
  readonly #crypto: Crypto
  #hash: Uint8Array
  #chainingKey: Uint8Array
  #key: Uint8Array | undefined
  #number = 0

  constructor(crypto: Crypto, protocolName: Uint8Array) {
    assert(protocolName.length <= HASH_BYTES, 'a name that fits stands for its hash')
    this.#crypto = crypto
    this.#hash = new Uint8Array(HASH_BYTES)
    this.#hash.set(protocolName)
    this.#chainingKey = this.#hash
  }

  get hash(): Uint8Array {
    return this.#hash
  }

  copy(): SymmetricState {
    const copy = new SymmetricState(this.#crypto, EMPTY)
    copy.#hash = this.#hash
    copy.#chainingKey = this.#chainingKey
    copy.#key = this.#key
    copy.#number = this.#number
    return copy
  }

  mixHash(data: Uint8Array): void {
    this.#hash = this.#crypto.hash(HASH_BYTES, [this.#hash, data])
  }

  mixKey(shared: Uint8Array): void {
    const [chainingKey, key] = hkdf(this.#crypto, this.#chainingKey, shared)
    this.#chainingKey = chainingKey
    this.#key = key.subarray(0, KEY_BYTES)
    this.#number = 0
  }

  encryptAndHash(plain: Uint8Array): Uint8Array {
    const sealed =
      this.#key === undefined
        ? plain
        : this.#crypto.seal(this.#key, noiseNonce(this.#number++), plain, this.#hash)
    this.mixHash(sealed)
    return sealed
  }

  decryptAndHash(sealed: Uint8Array): Uint8Array | undefined {
    const plain =
      this.#key === undefined
        ? sealed
        : this.#crypto.open(this.#key, noiseNonce(this.#number++), sealed, this.#hash)
    if (plain !== undefined) this.mixHash(sealed)
    return plain
  }

  /** The initiator's sending key and the responder's. */
  split(): readonly [Uint8Array, Uint8Array] {
    const [first, second] = hkdf(this.#crypto, this.#chainingKey, EMPTY)
    return [first.slice(0, KEY_BYTES), second.slice(0, KEY_BYTES)]
  }
}

/** Noise §12: four zero bytes, then the number, little-endian. A handshake uses no number above 1. */
function noiseNonce(number: number): Uint8Array {
  const nonce = new Uint8Array(12)
  nonce[4] = number
  return nonce
}

/** Noise §4.3 with two outputs. */
function hkdf(
  crypto: Crypto,
  chainingKey: Uint8Array,
  input: Uint8Array,
): readonly [Uint8Array, Uint8Array] {
  const temporary = hmac(crypto, chainingKey, input)
  const first = hmac(crypto, temporary, ONE)
  return [first, hmac(crypto, temporary, concat(first, TWO))]
}

/** HMAC (RFC 2104) over plain BLAKE2b, as Noise asks: BLAKE2b's own keyed mode is another function. */
function hmac(crypto: Crypto, key: Uint8Array, data: Uint8Array): Uint8Array {
  const inner = new Uint8Array(BLOCK_BYTES).fill(0x36)
  const outer = new Uint8Array(BLOCK_BYTES).fill(0x5c)
  for (let i = 0; i < key.length; i++) {
    const byte = key[i] ?? 0
    inner[i] = byte ^ 0x36
    outer[i] = byte ^ 0x5c
  }
  return crypto.hash(HASH_BYTES, [outer, crypto.hash(HASH_BYTES, [inner, data])])
}

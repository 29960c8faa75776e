import type { Crypto, Random } from '../crypto.ts'
import { ascii, utf8 } from '../wire/bytes.ts'

/** How long one secret makes cookies; each is good for once to twice as long (as WireGuard's). */
export const COOKIE_SECRET_MS = 120_000
const COOKIE_BYTES = 16
const MAC_BYTES = 16
const MAC_LABEL = ascii('latica mac')

/**
 * Proofs that a source receives at its address, without state per source: a cookie is a MAC, under a
 * secret of ours, over the address and the handshake it is for. Draws its first secret when used.
 */
export class CookieJar {
  readonly #crypto: Crypto
  readonly #random: Random
  #secret: Uint8Array | undefined
  #previous: Uint8Array | undefined
  #since = 0

  constructor(crypto: Crypto, random: Random) {
    this.#crypto = crypto
    this.#random = random
  }

  make(now: number, endpointKey: string, ephemeral: Uint8Array): Uint8Array {
    return this.#bake(this.#rotate(now), endpointKey, ephemeral)
  }

  check(now: number, endpointKey: string, ephemeral: Uint8Array, cookie: Uint8Array): boolean {
    const secret = this.#rotate(now)
    if (this.#crypto.equal(this.#bake(secret, endpointKey, ephemeral), cookie)) return true
    if (this.#previous === undefined) return false
    return this.#crypto.equal(this.#bake(this.#previous, endpointKey, ephemeral), cookie)
  }

  #rotate(now: number): Uint8Array {
    const age = now - this.#since
    if (this.#secret !== undefined && age < COOKIE_SECRET_MS) return this.#secret
    this.#previous = age < 2 * COOKIE_SECRET_MS ? this.#secret : undefined
    this.#secret = this.#random.bytes(32)
    this.#since = now
    return this.#secret
  }

  /** The ephemeral key has a fixed size, so the two fields need no separator. */
  #bake(secret: Uint8Array, endpointKey: string, ephemeral: Uint8Array): Uint8Array {
    return this.#crypto.hash(COOKIE_BYTES, [ephemeral, utf8(endpointKey)], secret)
  }
}

/**
 * Shows that the sender of a first message knows whom it is for, which a scanner of addresses does
 * not; checked before any key agreement. `responderPublic` is the X25519 key.
 */
export function mac1(crypto: Crypto, responderPublic: Uint8Array, bytes: Uint8Array): Uint8Array {
  return crypto.hash(MAC_BYTES, [bytes], crypto.hash(32, [MAC_LABEL, responderPublic]))
}

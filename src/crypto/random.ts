import type { Random } from '../core/crypto.ts'
import { UsageError } from '../core/errors.ts'

/** The most that one getRandomValues call gives (W3C Web Cryptography §10.1.1). */
const DRAW_BYTES_MAX = 65_536

/** The host's secure random source, the same in Node, browsers and workers. */
export function systemRandom(): Random {
  return {
    bytes(length) {
      if (!Number.isSafeInteger(length) || length < 0)
        throw new UsageError('ESIZE', 'length', 'a non-negative integer', String(length))
      const bytes = new Uint8Array(length)
      for (let at = 0; at < length; at += DRAW_BYTES_MAX)
        globalThis.crypto.getRandomValues(bytes.subarray(at, at + DRAW_BYTES_MAX))
      return bytes
    },
  }
}

import type { Crypto } from '../../crypto.ts'

/**
 * A set of packet names as one reconciliation sees it: 48-bit ids under a key of that reconciliation
 * alone, so that nobody who chooses packets can foresee which ids cancel out. Decides ids and which
 * names they stand for. An id is handled as its upper 16 and lower 32 bits, or as one number (`key`).
 */
export const SALTED_ID_BYTES = 6
/** 2.3 MB of ids and positions; ten times what a cache of 16 MiB holds in packets of the usual size. */
export const NAMES_MAX = 131_072

const NO_NAME = new Uint8Array(0)

/** The key of a reconciliation, from the secret of the session and what the initiator drew for it. */
export function reconcileKey(crypto: Crypto, saltKey: Uint8Array, nonce: Uint8Array): Uint8Array {
  return crypto.hash(32, [saltKey, nonce]).subarray(0, 16)
}

export function idKey(high: number, low: number): number {
  return high * 0x100000000 + low
}

export class SaltedSet {
  readonly names: readonly Uint8Array[]
  readonly high: Uint16Array
  readonly low: Uint32Array

  constructor(crypto: Crypto, key: Uint8Array, names: readonly Uint8Array[]) {
    this.names = names
    this.high = new Uint16Array(names.length)
    this.low = new Uint32Array(names.length)
    // Destructuring and iterating would cost as much as the hash does.
    for (let at = 0; at < names.length; at++) {
      const hash = crypto.shortHash(key, names[at] ?? NO_NAME)
      this.high[at] = ((hash[0] ?? 0) << 8) | (hash[1] ?? 0)
      this.low[at] =
        ((hash[2] ?? 0) << 24) | ((hash[3] ?? 0) << 16) | ((hash[4] ?? 0) << 8) | (hash[5] ?? 0)
    }
  }

  get size(): number {
    return this.names.length
  }

  keyAt(at: number): number {
    return idKey(this.high[at] ?? 0, this.low[at] ?? 0)
  }

  keys(): number[] {
    return Array.from({ length: this.size }, (_, at) => this.keyAt(at))
  }

  /** The names whose ids are among the keys. */
  among(keys: ReadonlySet<number>): Uint8Array[] {
    return this.names.filter((_, at) => keys.has(this.keyAt(at)))
  }

  /** Compares with all ids of another set. Costs a look-up table of both: once in a reconciliation. */
  compare(keys: ReadonlySet<number>): { extra: Uint8Array[]; lacking: number[] } {
    const own = new Set(this.keys())
    return {
      extra: this.names.filter((_, at) => !keys.has(this.keyAt(at))),
      lacking: [...keys].filter((key) => !own.has(key)),
    }
  }
}

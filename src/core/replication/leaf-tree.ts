import type { Crypto } from '../crypto.ts'
import { assert } from '../errors.ts'
import { ascii } from '../wire/bytes.ts'

/**
 * The hash tree under a root packet. Level 0 is the sealed payload cut into leaves; each level above
 * is the concatenated hashes of the level below, cut the same way, until the hashes fit into the root.
 * The shape follows from the payload's size alone. Decides no acceptance: see `leaf-assembly.ts`.
 */

/** A multiple of a hash, and with its LEAF header (14 bytes at most) no longer than a packet. */
export const LEAF_BYTES = 1152
export const HASH_BYTES = 32
/** How many leaves of the level below a leaf lists. */
export const HASHES_PER_LEAF = LEAF_BYTES / HASH_BYTES
/** As many as fit beside four parents and the longest event name: 51 + 7 + 18 × 32 + 443 + 64 ≤ 1168. */
export const ROOT_HASHES_MAX = 18
/** Guess: what one may publish to people who did not ask for it; files travel as streams. */
export const PAYLOAD_BYTES_MAX = 64 * 1024 * 1024
const SEAL_BYTES = 16
const LEAF_LABEL = ascii('latica leaf')

export interface RootTree {
  readonly payloadBytes: number
  /** Levels of leaves under the root. */
  readonly depth: number
  /** The hashes of the topmost level's leaves, one after the other. */
  readonly hashes: Uint8Array
}

export interface Leaf {
  readonly level: number
  readonly index: number
  readonly bytes: Uint8Array
}

/** The number of leaves at each level, the lowest first. */
export function treeShape(payloadBytes: number): readonly number[] {
  const shape: number[] = []
  let bytes = payloadBytes + SEAL_BYTES
  do {
    const count = Math.ceil(bytes / LEAF_BYTES)
    shape.push(count)
    bytes = count * HASH_BYTES
  } while (bytes > ROOT_HASHES_MAX * HASH_BYTES)
  return shape
}

/** All leaves of a level together. */
export function levelBytes(payloadBytes: number, level: number): number {
  if (level === 0) return payloadBytes + SEAL_BYTES
  return (treeShape(payloadBytes)[level - 1] ?? 0) * HASH_BYTES
}

export function leafHash(crypto: Crypto, level: number, bytes: Uint8Array): Uint8Array {
  return crypto.hash(HASH_BYTES, [LEAF_LABEL, Uint8Array.of(level), bytes])
}

/** The root's tree and every leaf, by level, the lowest first. `blob` is the sealed payload. */
export function growTree(
  crypto: Crypto,
  blob: Uint8Array,
): { readonly root: RootTree; readonly levels: readonly (readonly Leaf[])[] } {
  const payloadBytes = blob.length - SEAL_BYTES
  assert(payloadBytes >= 0 && payloadBytes <= PAYLOAD_BYTES_MAX, 'the payload is within its limit')
  const shape = treeShape(payloadBytes)
  const levels: Leaf[][] = []
  let whole = blob
  for (const [level, count] of shape.entries()) {
    const leaves: Leaf[] = []
    const hashes = new Uint8Array(count * HASH_BYTES)
    for (let index = 0; index < count; index++) {
      const bytes = whole.subarray(index * LEAF_BYTES, (index + 1) * LEAF_BYTES)
      leaves.push({ level, index, bytes })
      hashes.set(leafHash(crypto, level, bytes), index * HASH_BYTES)
    }
    levels.push(leaves)
    whole = hashes
  }
  return { root: { payloadBytes, depth: shape.length, hashes: whole }, levels }
}

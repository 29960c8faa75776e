import type { Crypto } from '../crypto.ts'
import { assert } from '../errors.ts'
import { HASH_BYTES, LEAF_BYTES, leafHash, type RootTree, treeShape } from './leaf-tree.ts'

/**
 * Collects the leaves under one verified root, in any order within what is already vouched for: a leaf
 * counts only when the level above it, or the root, lists its hash. Holds at most the root's payload
 * and its tree; says what is missing, so that it can be fetched from anyone. Opens nothing.
 */
const HASHES_PER_LEAF = LEAF_BYTES / HASH_BYTES

export type LeafVerdict =
  | 'taken'
  | 'complete'
  /** There already. */
  | 'known'
  /** The level above has not come, so nothing vouches for it yet. */
  | 'early'
  /** No such place in the tree, or not the bytes that belong there. */
  | 'wrong'

export class LeafAssembly {
  readonly #crypto: Crypto
  readonly #root: RootTree
  readonly #shape: readonly number[]
  readonly #levels: readonly Map<number, Uint8Array>[]

  constructor(crypto: Crypto, root: RootTree) {
    this.#crypto = crypto
    this.#root = root
    this.#shape = treeShape(root.payloadBytes)
    this.#levels = this.#shape.map(() => new Map())
  }

  get isComplete(): boolean {
    return this.#levels[0]?.size === this.#shape[0]
  }

  /** Keeps a copy of what it takes. */
  add(level: number, index: number, bytes: Uint8Array): LeafVerdict {
    const leaves = this.#levels[level]
    if (leaves === undefined || index >= (this.#shape[level] ?? 0)) return 'wrong'
    if (leaves.has(index)) return 'known'
    const expected = this.#hashOf(level, index)
    if (expected === undefined) return 'early'
    const isRight =
      bytes.length <= LEAF_BYTES &&
      this.#crypto.equal(leafHash(this.#crypto, level, bytes), expected)
    if (!isRight) return 'wrong'
    leaves.set(index, bytes.slice())
    return this.isComplete ? 'complete' : 'taken'
  }

  /** Up to `max` leaves of a level that are listed above and have not come, in order. */
  missing(level: number, max: number): number[] {
    const leaves = this.#levels[level]
    const missing: number[] = []
    if (leaves === undefined) return missing
    const count = this.#shape[level] ?? 0
    for (let index = 0; index < count && missing.length < max; index++)
      if (!leaves.has(index) && this.#hashOf(level, index) !== undefined) missing.push(index)
    return missing
  }

  /** The sealed payload. */
  blob(): Uint8Array {
    assert(this.isComplete, 'the blob is asked for when complete')
    const leaves = this.#levels[0]
    const count = this.#shape[0] ?? 0
    let length = 0
    for (let index = 0; index < count; index++) length += leaves?.get(index)?.length ?? 0
    const blob = new Uint8Array(length)
    let offset = 0
    for (let index = 0; index < count; index++) {
      const leaf = leaves?.get(index) ?? new Uint8Array(0)
      blob.set(leaf, offset)
      offset += leaf.length
    }
    return blob
  }

  #hashOf(level: number, index: number): Uint8Array | undefined {
    const isTop = level === this.#shape.length - 1
    const list = isTop
      ? this.#root.hashes
      : this.#levels[level + 1]?.get(Math.floor(index / HASHES_PER_LEAF))
    const offset = (isTop ? index : index % HASHES_PER_LEAF) * HASH_BYTES
    return list?.subarray(offset, offset + HASH_BYTES)
  }
}

import type { Crypto } from '../crypto.ts'
import { assert } from '../errors.ts'
import {
  HASH_BYTES,
  HASHES_PER_LEAF,
  LEAF_BYTES,
  type Leaf,
  leafHash,
  levelBytes,
  type RootTree,
  treeShape,
} from './leaf-tree.ts'

/**
 * Collects the leaves under one verified root, in any order within what is already vouched for: a leaf
 * counts only when the level above it, or the root, lists its hash. Holds at most the root's payload
 * and its tree; says what is missing, so that it can be fetched from anyone. Opens nothing.
 */
export type LeafVerdict =
  | 'taken'
  | 'complete'
  /** There already. */
  | 'known'
  /** The level above has not come, so nothing vouches for it yet. */
  | 'early'
  /** No such place in the tree, or not the bytes that belong there. */
  | 'wrong'

interface Level {
  readonly count: number
  readonly bytes: number
  readonly leaves: Map<number, Uint8Array>
  /** What one leaf above vouches for: how many of these have not come, by that leaf's index. */
  readonly open: Map<number, number>
}

export class LeafAssembly {
  readonly #crypto: Crypto
  readonly #root: RootTree
  readonly #levels: readonly Level[]
  #blobBytes = 0

  constructor(crypto: Crypto, root: RootTree) {
    this.#crypto = crypto
    this.#root = root
    this.#levels = treeShape(root.payloadBytes).map((count, level) => {
      const bytes = levelBytes(root.payloadBytes, level)
      return { count, bytes, leaves: new Map(), open: new Map() }
    })
    const top = this.#levels.at(-1)
    for (let index = 0; index < (top?.count ?? 0); index += HASHES_PER_LEAF)
      this.#vouch(this.depth, index / HASHES_PER_LEAF)
  }

  /** Levels of leaves under the root. */
  get depth(): number {
    return this.#levels.length
  }

  get isComplete(): boolean {
    const lowest = this.#levels[0]
    return lowest !== undefined && lowest.leaves.size === lowest.count
  }

  get totalBytes(): number {
    return this.#root.payloadBytes
  }

  /** Of the payload; what the tree and the seal take is not counted. */
  get receivedBytes(): number {
    return Math.min(this.#blobBytes, this.totalBytes)
  }

  has(level: number, index: number): boolean {
    return this.#levels[level]?.leaves.has(index) ?? false
  }

  get(level: number, index: number): Uint8Array | undefined {
    return this.#levels[level]?.leaves.get(index)
  }

  /** All that is there, the topmost level first, so that in this order each is vouched for. */
  *leaves(): Iterable<Leaf> {
    for (let level = this.depth - 1; level >= 0; level--)
      for (const [index, bytes] of this.#levels[level]?.leaves ?? []) yield { level, index, bytes }
  }

  /** Keeps a copy of what it takes. */
  add(level: number, index: number, bytes: Uint8Array): LeafVerdict {
    const place = this.#levels[level]
    if (place === undefined || index >= place.count) return 'wrong'
    if (place.leaves.has(index)) return 'known'
    const expected = this.#hashOf(level, index)
    if (expected === undefined) return 'early'
    // An author who lists leaves of other lengths would make honest holders look wrong further down.
    const isRight =
      bytes.length === Math.min(LEAF_BYTES, place.bytes - index * LEAF_BYTES) &&
      this.#crypto.equal(leafHash(this.#crypto, level, bytes), expected)
    if (!isRight) return 'wrong'
    place.leaves.set(index, bytes.slice())
    if (level === 0) this.#blobBytes += bytes.length
    const group = Math.floor(index / HASHES_PER_LEAF)
    const left = (place.open.get(group) ?? 0) - 1
    if (left > 0) place.open.set(group, left)
    else place.open.delete(group)
    this.#vouch(level, index)
    return this.isComplete ? 'complete' : 'taken'
  }

  /**
   * Up to `max` leaves of a level that are listed above and have not come. Looks only at leaves above
   * that list something missing, each of which lists 36: O(result).
   */
  missing(level: number, max: number): number[] {
    const place = this.#levels[level]
    const missing: number[] = []
    for (const group of place?.open.keys() ?? [])
      for (const index of this.listedBy(level + 1, group)) {
        if (missing.length >= max) return missing
        if (!place?.leaves.has(index)) missing.push(index)
      }
    return missing
  }

  /** The leaves of the level below that a leaf lists, whether it is there or not. */
  *listedBy(level: number, index: number): Iterable<number> {
    const count = this.#levels[level - 1]?.count ?? 0
    const first = index * HASHES_PER_LEAF
    for (let at = first; at < Math.min(first + HASHES_PER_LEAF, count); at++) yield at
  }

  /** The sealed payload. */
  blob(): Uint8Array {
    const lowest = this.#levels[0]
    assert(lowest !== undefined && this.isComplete, 'the blob is asked for when complete')
    const blob = new Uint8Array(lowest.bytes)
    for (const [index, leaf] of lowest.leaves) blob.set(leaf, index * LEAF_BYTES)
    return blob
  }

  /** A leaf of `level` has come, or the root's hashes are there: what it lists may come. */
  #vouch(level: number, index: number): void {
    const below = this.#levels[level - 1]
    if (below === undefined) return
    const first = index * HASHES_PER_LEAF
    below.open.set(index, Math.min(HASHES_PER_LEAF, below.count - first))
  }

  #hashOf(level: number, index: number): Uint8Array | undefined {
    const isTop = level === this.depth - 1
    const list = isTop
      ? this.#root.hashes
      : this.get(level + 1, Math.floor(index / HASHES_PER_LEAF))
    const offset = (isTop ? index : index % HASHES_PER_LEAF) * HASH_BYTES
    return list?.subarray(offset, offset + HASH_BYTES)
  }
}

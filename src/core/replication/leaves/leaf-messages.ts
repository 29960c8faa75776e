import { MALFORMED, type Malformed } from '../../errors.ts'
import { Reader } from '../../wire/reader.ts'
import { varintSize, Writer } from '../../wire/writer.ts'
import { SHORT_BYTES } from '../packet-name.ts'

/**
 * The messages by which leaves travel: docs/spec/cache.md. Decides their bytes alone. Decoded messages
 * hold views of the payload.
 */
export const KIND_LEAF = 0x31
export const KIND_WANT_LEAVES = 0x36
export const KIND_LACK_LEAVES = 0x37

/** What one message asks for lies within as many places. */
export const BITMAP_BYTES_MAX = 128
export const BITMAP_PLACES_MAX = 8 * BITMAP_BYTES_MAX

export interface LeafPlaces {
  /** First bytes of the root's id. */
  readonly root: Uint8Array
  readonly level: number
  readonly first: number
  /** Bit i of byte j is the leaf of index `first` + 8 j + i. */
  readonly bitmap: Uint8Array
}

export type LeafMessage =
  | {
      readonly kind: typeof KIND_LEAF
      readonly root: Uint8Array
      readonly level: number
      readonly index: number
      readonly bytes: Uint8Array
    }
  | ({ readonly kind: typeof KIND_WANT_LEAVES | typeof KIND_LACK_LEAVES } & LeafPlaces)

export function decodeLeafMessage(payload: Uint8Array): LeafMessage | Malformed {
  const reader = new Reader(payload)
  const kind = reader.u8()
  const root = reader.take(SHORT_BYTES)
  const level = reader.u8()
  const index = reader.varint()
  if (kind === KIND_LEAF) return reader.end({ kind, root, level, index, bytes: reader.rest() })
  if (kind !== KIND_WANT_LEAVES && kind !== KIND_LACK_LEAVES) return MALFORMED
  const bitmap = reader.rest()
  if (bitmap.length < 1 || bitmap.length > BITMAP_BYTES_MAX) return MALFORMED
  return reader.end({ kind, root, level, first: index, bitmap })
}

/** `rootId`: the root packet's id, or as much of it as names it. */
export function encodeLeaf(
  rootId: Uint8Array,
  level: number,
  index: number,
  bytes: Uint8Array,
): Uint8Array {
  return encode(KIND_LEAF, rootId, level, index, bytes)
}

export function encodeWantLeaves({ root, level, first, bitmap }: LeafPlaces): Uint8Array {
  return encode(KIND_WANT_LEAVES, root, level, first, bitmap)
}

export function encodeLackLeaves({ root, level, first, bitmap }: LeafPlaces): Uint8Array {
  return encode(KIND_LACK_LEAVES, root, level, first, bitmap)
}

function encode(
  kind: number,
  rootId: Uint8Array,
  level: number,
  index: number,
  rest: Uint8Array,
): Uint8Array {
  const headerBytes = 1 + SHORT_BYTES + 1 + varintSize(index)
  const writer = new Writer(headerBytes + rest.length).u8(kind)
  const root = rootId.subarray(0, SHORT_BYTES)
  return writer.put(root).u8(level).varint(index).put(rest).done()
}

/** The places of a message, in order. */
export function* indexesOf({ first, bitmap }: LeafPlaces): Iterable<number> {
  for (const [at, byte] of bitmap.entries())
    for (let bit = 0; bit < 8; bit++) if ((byte >> bit) & 1) yield first + 8 * at + bit
}

/** As few messages' places as cover the indexes, which need not be in order. */
export function placesOf(
  root: Uint8Array,
  level: number,
  indexes: readonly number[],
): LeafPlaces[] {
  const places: LeafPlaces[] = []
  const sorted = [...indexes].sort((a, b) => a - b)
  for (let from = 0; from < sorted.length; ) {
    const first = sorted[from] ?? 0
    let to = from
    while (to < sorted.length && (sorted[to] ?? 0) < first + BITMAP_PLACES_MAX) to++
    const last = sorted[to - 1] ?? first
    const bitmap = new Uint8Array(Math.floor((last - first) / 8) + 1)
    for (const index of sorted.slice(from, to)) {
      const at = Math.floor((index - first) / 8)
      bitmap[at] = (bitmap[at] ?? 0) | (1 << ((index - first) % 8))
    }
    places.push({ root, level, first, bitmap })
    from = to
  }
  return places
}

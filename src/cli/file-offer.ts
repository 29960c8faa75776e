import { Buffer } from 'node:buffer'
import type { Crypto } from '../core/crypto.ts'
import { ascii, toHex } from '../core/wire/bytes.ts'

/**
 * How a file is published: an offer that names its parts by their hashes, then the parts. A part is
 * taken from whoever publishes it, since the offer proves it. Decides the format, reads no disk.
 */

/** Events between `send` and `receive`. */
export const OFFER_EVENT = 'file'
export const PART_EVENT = 'file-part'
/** Live: who lacks parts asks those who have the file. */
export const WANT_EVENT = 'file-want'
/** Live: a receiver has all of a file. */
export const RECEIVED_EVENT = 'file-received'

const HASH_BYTES = 32
const MEBIBYTE = 1_048_576
/** The most that is taken as a part. */
const PART_BYTES_MAX = 8 * MEBIBYTE
/** Guess: parts of 1 MiB resume finely; larger files have fewer hashes in parts of 2. */
const SMALL_BYTES_MAX = 1024 * MEBIBYTE
/** An offer stays below 64 MiB: 2 TiB of file. */
const PARTS_MAX = 1_048_576
/** Parts asked for in one WANT. Guess. */
export const WANTED_MAX = 64

const PART_LABEL = ascii('latica file part hash')
const FILE_LABEL = ascii('latica file content id')

export interface Offer {
  /** Hex of 64 digits: the same content, cut the same way, has the same. */
  readonly file: string
  /** As its sender wrote it: nothing to make a path of. */
  readonly name: string
  readonly sizeBytes: number
  readonly partBytes: number
  /** The hashes of all parts, one after the other. */
  readonly parts: Uint8Array
}

export interface Part {
  readonly file: string
  readonly index: number
  readonly bytes: Uint8Array
}

export function partBytesFor(sizeBytes: number): number {
  // Strangers keep what is at most a quarter of their cache: 4 MiB of 16 (docs/spec/cache.md).
  return sizeBytes <= SMALL_BYTES_MAX ? MEBIBYTE : 2 * MEBIBYTE
}

export function partCount({
  sizeBytes,
  partBytes,
}: Pick<Offer, 'sizeBytes' | 'partBytes'>): number {
  return Math.ceil(sizeBytes / partBytes)
}

/** How many bytes that part has. */
export function sizeOfPart({ sizeBytes, partBytes }: Offer, index: number): number {
  return Math.min(partBytes, sizeBytes - index * partBytes)
}

export function hashOfPart(crypto: Crypto, bytes: Uint8Array): Uint8Array {
  return crypto.hash(HASH_BYTES, [bytes], PART_LABEL)
}

export function makeOffer(
  crypto: Crypto,
  { name, sizeBytes, partBytes, parts }: Omit<Offer, 'file'>,
): Offer {
  return { file: fileId(crypto, sizeBytes, partBytes, parts), name, sizeBytes, partBytes, parts }
}

export function isPartOf(crypto: Crypto, offer: Offer, index: number, bytes: Uint8Array): boolean {
  if (index >= partCount(offer) || bytes.length !== sizeOfPart(offer, index)) return false
  const expected = offer.parts.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES)
  return crypto.equal(hashOfPart(crypto, bytes), expected)
}

export function offerValue({ file, name, sizeBytes, partBytes, parts }: Offer): object {
  return { file: Buffer.from(file, 'hex'), name, size: sizeBytes, partBytes, parts }
}

/** What a member published as an offer; undefined when it is none. */
export function readOffer(crypto: Crypto, value: unknown): Offer | undefined {
  const file = fieldOf(value, 'file')
  const name = fieldOf(value, 'name')
  const sizeBytes = fieldOf(value, 'size')
  const partBytes = fieldOf(value, 'partBytes')
  const parts = fieldOf(value, 'parts')
  if (!(file instanceof Uint8Array && parts instanceof Uint8Array)) return undefined
  if (typeof name !== 'string' || !isCount(sizeBytes) || !isCount(partBytes)) return undefined
  if (partBytes < 1 || partBytes > PART_BYTES_MAX) return undefined
  const count = partCount({ sizeBytes, partBytes })
  if (count > PARTS_MAX || parts.length !== count * HASH_BYTES) return undefined
  if (toHex(file) !== fileId(crypto, sizeBytes, partBytes, parts)) return undefined
  return { file: toHex(file), name, sizeBytes, partBytes, parts }
}

export function partValue({ file, index, bytes }: Part): object {
  return { file: Buffer.from(file, 'hex'), index, bytes }
}

export function readPart(value: unknown): Part | undefined {
  const file = fieldOf(value, 'file')
  const index = fieldOf(value, 'index')
  const bytes = fieldOf(value, 'bytes')
  if (!(file instanceof Uint8Array && bytes instanceof Uint8Array && isCount(index)))
    return undefined
  return file.length === HASH_BYTES ? { file: toHex(file), index, bytes } : undefined
}

export function wantValue(file: string, indices: readonly number[]): object {
  return { file: Buffer.from(file, 'hex'), parts: indices.slice(0, WANTED_MAX) }
}

/** Which parts of which file a member lacks. */
export function readWant(value: unknown): { file: string; indices: number[] } | undefined {
  const file = fieldOf(value, 'file')
  const indices = fieldOf(value, 'parts')
  if (!(file instanceof Uint8Array && Array.isArray(indices))) return undefined
  return { file: toHex(file), indices: indices.filter(isCount).slice(0, WANTED_MAX) }
}

export function receivedValue(file: string): object {
  return { file: Buffer.from(file, 'hex') }
}

export function readReceived(value: unknown): string | undefined {
  const file = fieldOf(value, 'file')
  return file instanceof Uint8Array && file.length === HASH_BYTES ? toHex(file) : undefined
}

function fileId(crypto: Crypto, sizeBytes: number, partBytes: number, parts: Uint8Array): string {
  const sizes = ascii(`${sizeBytes} ${partBytes} `)
  return toHex(crypto.hash(HASH_BYTES, [sizes, parts], FILE_LABEL))
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

import { type FileHandle, open, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import type { Crypto } from '../core/crypto.ts'
import {
  hashOfPart,
  isPartOf,
  makeOffer,
  type Offer,
  partBytesFor,
  partCount,
  sizeOfPart,
} from './file-offer.ts'

/** Reads files part by part. */

/** The offer of a file on disk: it is read once from end to end. */
export async function offerOf(crypto: Crypto, path: string): Promise<Offer> {
  const file = await open(path, 'r')
  try {
    const { size: sizeBytes } = await file.stat()
    const partBytes = partBytesFor(sizeBytes)
    const count = partCount({ sizeBytes, partBytes })
    const parts = new Uint8Array(32 * count)
    const name = basename(path)
    const draft: Offer = { file: '', name, sizeBytes, partBytes, parts }
    for (let index = 0; index < count; index++)
      parts.set(hashOfPart(crypto, await readPartOf(file, draft, index)), 32 * index)
    return makeOffer(crypto, draft)
  } finally {
    await file.close()
  }
}

/** One part as it is on disk now; shorter when the file is. */
export async function readPartOf(
  file: FileHandle,
  offer: Offer,
  index: number,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(sizeOfPart(offer, index))
  let done = 0
  while (done < bytes.length) {
    const position = index * offer.partBytes + done
    const { bytesRead } = await file.read(bytes, done, bytes.length - done, position)
    if (bytesRead === 0) break
    done += bytesRead
  }
  return done === bytes.length ? bytes : bytes.subarray(0, done)
}

/** The parts of an offer that a file on disk has: empty when there is no such file. */
export async function partsOnDisk(
  crypto: Crypto,
  offer: Offer,
  path: string,
): Promise<Set<number>> {
  const found = new Set<number>()
  const stats = await stat(path).catch(() => undefined)
  // A pipe of that name would never open.
  if (stats?.isFile() !== true) return found
  const file = await open(path, 'r')
  try {
    for (let index = 0; index < partCount(offer); index++)
      if (isPartOf(crypto, offer, index, await readPartOf(file, offer, index))) found.add(index)
    return found
  } finally {
    await file.close()
  }
}

import { constants } from 'node:fs'
import { type FileHandle, open, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Crypto } from '../core/crypto.ts'
import { numberedName, safeName } from './file-name.ts'
import { isPartOf, type Offer, type Part, partCount, sizeOfPart } from './file-offer.ts'
import { partsOnDisk } from './file-parts.ts'

/**
 * One file on its way to a folder: parts go to their place in `<name>.<id>.part`, and the whole gets a
 * name that nothing had. What a `.part` holds is found out by its hashes, so a crash loses nothing.
 */

/** Guess: nobody keeps more files of one name in one folder. */
const NUMBER_MAX = 1_000

export class IncomingFile {
  readonly offer: Offer
  /** Where the whole file is; undefined until it is. */
  path: string | undefined
  doneBytes = 0
  readonly #crypto: Crypto
  readonly #folder: string
  readonly #partPath: string
  readonly #name: string
  #have = new Set<number>()
  #file: FileHandle | undefined

  constructor(crypto: Crypto, folder: string, offer: Offer) {
    this.offer = offer
    this.#crypto = crypto
    this.#folder = folder
    this.#name = safeName(offer.name)
    this.#partPath = join(folder, `${this.#name}.${offer.file.slice(0, 8)}.part`)
  }

  /** Finds what is in the folder already. */
  async begin(): Promise<void> {
    this.path = await this.#wholeOnDisk()
    if (this.path !== undefined) {
      this.doneBytes = this.offer.sizeBytes
      return
    }
    this.#have = await partsOnDisk(this.#crypto, this.offer, this.#partPath)
    for (const index of this.#have) this.doneBytes += sizeOfPart(this.offer, index)
    await this.#finishIfWhole()
  }

  /** Keeps a part. False when it is not one of this file's, or here already. */
  async take({ index, bytes }: Part): Promise<boolean> {
    if (this.path !== undefined || this.#have.has(index)) return false
    if (!isPartOf(this.#crypto, this.offer, index, bytes)) return false
    this.#file ??= await open(this.#partPath, constants.O_RDWR | constants.O_CREAT)
    await writeAll(this.#file, bytes, index * this.offer.partBytes)
    this.#have.add(index)
    this.doneBytes += bytes.length
    await this.#finishIfWhole()
    return true
  }

  /** The parts that are not here, the first `most` of them. */
  missing(most: number): number[] {
    const indices: number[] = []
    if (this.path !== undefined) return indices
    for (let index = 0; index < partCount(this.offer) && indices.length < most; index++)
      if (!this.#have.has(index)) indices.push(index)
    return indices
  }

  async close(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.close()
  }

  async #finishIfWhole(): Promise<void> {
    if (this.#have.size < partCount(this.offer)) return
    this.#file ??= await open(this.#partPath, constants.O_RDWR | constants.O_CREAT)
    await this.#file.truncate(this.offer.sizeBytes)
    await this.#file.sync()
    await this.close()
    this.path = await this.#freePath()
    await rename(this.#partPath, this.path)
  }

  /** A path that was free a moment ago and is ours now: an empty file holds it. */
  async #freePath(): Promise<string> {
    for (let number = 1; ; number++) {
      const path = join(this.#folder, numberedName(this.#name, number))
      try {
        await (await open(path, 'wx')).close()
        return path
      } catch (error) {
        const isTaken = error instanceof Error && 'code' in error && error.code === 'EEXIST'
        if (!isTaken || number === NUMBER_MAX) throw error
      }
    }
  }

  async #wholeOnDisk(): Promise<string | undefined> {
    for (let number = 1; number <= NUMBER_MAX; number++) {
      const path = join(this.#folder, numberedName(this.#name, number))
      const stats = await stat(path).catch(() => undefined)
      if (stats === undefined) return undefined
      if (stats.size !== this.offer.sizeBytes) continue
      const parts = await partsOnDisk(this.#crypto, this.offer, path)
      if (stats.isFile() && parts.size === partCount(this.offer)) return path
    }
    return undefined
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0
  while (done < bytes.length) {
    const left = bytes.length - done
    done += (await file.write(bytes, done, left, position + done)).bytesWritten
  }
}

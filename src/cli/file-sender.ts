import { type FileHandle, open } from 'node:fs/promises'
import type { Crypto } from '../core/crypto.ts'
import type { Invocation } from './command.ts'
import {
  isPartOf,
  OFFER_EVENT,
  type Offer,
  offerValue,
  PART_EVENT,
  partCount,
  partValue,
  RECEIVED_EVENT,
  readPart,
  readReceived,
  readWant,
  sizeOfPart,
  WANT_EVENT,
} from './file-offer.ts'
import { readPartOf } from './file-parts.ts'
import { ProgressLine } from './progress-line.ts'
import type { Room } from './room.ts'

/** Publishes files part by part, and again the parts that a receiver lacks. Decides no format. */

/** Bytes of parts under way: as much as a socket takes before it makes callers wait. */
const UNDER_WAY_BYTES_MAX = 8 * 1_048_576
/** A part that was published is on its way to who asks for it again so soon. Guess. */
const AGAIN_MS = 10_000

export interface Outgoing {
  readonly path: string
  readonly offer: Offer
  readonly total: number
  /** Parts that other peers were there to take. */
  kept: number
  /** Members that have all of it. */
  readonly receivers: string[]
}

interface Sending extends Outgoing {
  /** When each part was published last; those of earlier runs at 0. */
  readonly publishedAt: Map<number, number>
}

export class FileSender {
  readonly #invocation: Invocation
  readonly #crypto: Crypto
  readonly #room: Room
  readonly #options: { readonly signal: AbortSignal; readonly ttl?: number }
  readonly #progress: ProgressLine
  readonly #files = new Map<string, Sending>()
  readonly #wanted = new Map<string, { file: Sending; index: number }>()
  #isServing = false
  #receiptHeard: () => void = () => {}

  constructor(invocation: Invocation, crypto: Crypto, room: Room, ttl: number | undefined) {
    this.#invocation = invocation
    this.#crypto = crypto
    this.#room = room
    const { interrupted: signal } = invocation.terminal
    this.#options = ttl === undefined ? { signal } : { signal, ttl }
    this.#progress = new ProgressLine(invocation)
    room.room.on(RECEIVED_EVENT, (value: unknown, { author }) => this.#onReceived(value, author))
    room.room.on(WANT_EVENT, (value: unknown) => this.#onWant(value))
  }

  add(path: string, offer: Offer): void {
    const total = partCount(offer)
    const sending = { path, offer, total, kept: 0, receivers: [], publishedAt: new Map() }
    this.#files.set(offer.file, sending)
  }

  files(): readonly Outgoing[] {
    return [...this.#files.values()]
  }

  /** Resolves when every file has a receiver, or with the signal. */
  async isReceived(signal: AbortSignal): Promise<void> {
    const isDone = () => [...this.#files.values()].every(({ receivers }) => receivers.length > 0)
    while (!isDone() && !signal.aborted)
      await new Promise<void>((resolve) => {
        this.#receiptHeard = resolve
        signal.addEventListener('abort', () => resolve(), { once: true })
      })
  }

  async publish(): Promise<void> {
    await this.#findPublished()
    try {
      for (const file of this.#files.values()) await this.#publishFile(file)
    } finally {
      this.#progress.clear()
    }
  }

  /** Parts that an earlier run published and that are kept here are on their way already. */
  async #findPublished(): Promise<void> {
    const { socket, room } = this.#room
    const { signal } = this.#options
    for await (const { value, packet } of room.history({ event: PART_EVENT, signal })) {
      const part = packet.author === socket.peerId ? readPart(value) : undefined
      const file = part && this.#files.get(part.file)
      if (part === undefined || file === undefined) continue
      if (isPartOf(this.#crypto, file.offer, part.index, part.bytes))
        file.publishedAt.set(part.index, 0)
    }
  }

  async #publishFile(file: Sending): Promise<void> {
    const { offer, total, path } = file
    const handle = await open(path, 'r')
    const underWay = new Set<Promise<void>>()
    const failures: unknown[] = []
    const parallel = Math.max(1, Math.floor(UNDER_WAY_BYTES_MAX / offer.partBytes))
    file.kept = file.publishedAt.size
    let doneBytes = 0
    for (const index of file.publishedAt.keys()) doneBytes += sizeOfPart(offer, index)
    const show = () =>
      this.#progress.tell({ name: offer.name, doneBytes, totalBytes: offer.sizeBytes })
    show()
    try {
      await this.#emit(OFFER_EVENT, offerValue(offer))
      for (let index = 0; index < total && failures.length === 0; index++) {
        if (file.publishedAt.has(index)) continue
        // A receiver has all of it from elsewhere.
        if (file.receivers.length > 0 || this.#options.signal.aborted) break
        const sent: Promise<void> = this.#publishPart(file, handle, index)
          .then((isKept) => {
            if (isKept) file.kept++
            doneBytes += sizeOfPart(offer, index)
            show()
          })
          .catch((error: unknown) => void failures.push(error))
          .finally(() => underWay.delete(sent))
        underWay.add(sent)
        while (underWay.size >= parallel) await Promise.race(underWay)
      }
      await Promise.all(underWay)
    } finally {
      await handle.close()
    }
    if (failures.length > 0 && !this.#options.signal.aborted) throw failures[0]
  }

  async #publishPart(file: Sending, handle: FileHandle, index: number): Promise<boolean> {
    const { offer } = file
    const bytes = await readPartOf(handle, offer, index)
    if (!isPartOf(this.#crypto, offer, index, bytes))
      throw new Error(`${file.path} changed while it was sent: send it again.`)
    file.publishedAt.set(index, performance.now())
    return this.#emit(PART_EVENT, partValue({ file: offer.file, index, bytes }))
  }

  /** Whether another peer was there to take it. */
  async #emit(event: string, value: object): Promise<boolean> {
    const { socket, room } = this.#room
    await room.emit(event, value, this.#options)
    return socket.peers.size > 0
  }

  #onReceived(value: unknown, author: string): void {
    const file = this.#files.get(readReceived(value) ?? '')
    if (file === undefined || file.receivers.includes(author)) return
    file.receivers.push(author)
    this.#receiptHeard()
  }

  #onWant(value: unknown): void {
    const want = readWant(value)
    const file = want && this.#files.get(want.file)
    if (want === undefined || file === undefined) return
    for (const index of want.indices) {
      const at = file.publishedAt.get(index)
      const isDue = at !== undefined && performance.now() - at > AGAIN_MS
      if (isDue || at === 0) this.#wanted.set(`${want.file} ${index}`, { file, index })
    }
    void this.#serve()
  }

  /** One part at a time, behind those that are published for the first time. */
  async #serve(): Promise<void> {
    if (this.#isServing) return
    this.#isServing = true
    try {
      for (const [key, { file, index }] of this.#wanted) {
        this.#wanted.delete(key)
        const handle = await open(file.path, 'r')
        try {
          await this.#publishPart(file, handle, index)
        } finally {
          await handle.close()
        }
      }
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      if (!this.#options.signal.aborted)
        this.#invocation.print('error', { message }, `! ${message}`)
    } finally {
      this.#isServing = false
    }
  }
}

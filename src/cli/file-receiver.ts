import type { Progress, RemotePeer } from '../api/types.ts'
import type { Crypto } from '../core/crypto.ts'
import type { Invocation } from './command.ts'
import {
  OFFER_EVENT,
  PART_EVENT,
  type Part,
  RECEIVED_EVENT,
  readOffer,
  readPart,
  receivedValue,
  WANT_EVENT,
  WANTED_MAX,
  wantValue,
} from './file-offer.ts'
import { IncomingFile } from './incoming-file.ts'
import { harmless, short } from './printer.ts'
import { ProgressLine, sizeText } from './progress-line.ts'
import type { Room } from './room.ts'

/** Takes offers and parts from a subcluster and asks for what does not come. Decides no format. */

/** Guess: files on their way at once. Members that offer more wait for a place. */
const INCOMPLETE_MAX = 256
/** Parts that came before their offer: some, until it comes. Guess. */
const EARLY_MAX = 16
/** Nothing came for so long: ask. Guess. */
const QUIET_MS = 3_000

export class FileReceiver {
  readonly #invocation: Invocation
  readonly #crypto: Crypto
  readonly #room: Room
  readonly #folder: string
  readonly #progress: ProgressLine
  readonly #files = new Map<string, IncomingFile>()
  readonly #early: Part[] = []
  /** Of large packets on their way: bytes that are here, by packet. */
  readonly #underWay = new Map<string, number>()
  #lastAt = performance.now()
  #isQuietTold = false

  constructor(invocation: Invocation, crypto: Crypto, room: Room, folder: string) {
    this.#invocation = invocation
    this.#crypto = crypto
    this.#room = room
    this.#folder = folder
    this.#progress = new ProgressLine(invocation)
  }

  /** Files that are whole. */
  get count(): number {
    return [...this.#files.values()].filter(({ path }) => path !== undefined).length
  }

  async run(count = Infinity, ending: AbortSignal): Promise<void> {
    const { room } = this.#room
    const timer = setInterval(() => this.#askIfQuiet(), QUIET_MS / 2)
    room.on('#progress', (progress) => this.#onProgress(progress))
    room.on('#join', (peer) => this.#tell(peer))
    try {
      for await (const { event, value, packet } of room.events(undefined, {
        since: 0,
        signal: ending,
      })) {
        if (event === OFFER_EVENT) await this.#onOffer(value, packet.author)
        else if (event === PART_EVENT) await this.#onPart(readPart(value), packet.id)
        if (this.count >= count) return
      }
    } finally {
      clearInterval(timer)
      this.#progress.clear()
      for (const file of this.#files.values()) await file.close()
    }
  }

  async #onOffer(value: unknown, author: string): Promise<void> {
    const { print } = this.#invocation
    const offer = readOffer(this.#crypto, value)
    const isOwn = author === this.#room.socket.peerId
    if (offer === undefined || isOwn || this.#files.has(offer.file)) return
    if (this.#files.size - this.count >= INCOMPLETE_MAX) return
    const incoming = new IncomingFile(this.#crypto, this.#folder, offer)
    this.#files.set(offer.file, incoming)
    await incoming.begin()
    const { file, name, sizeBytes } = offer
    const fields = { file, name, sizeBytes, author, doneBytes: incoming.doneBytes }
    if (incoming.path !== undefined) {
      print('complete', { ...fields, path: incoming.path }, `${incoming.path} is here already`)
      return this.#announce(incoming)
    }
    const rest = incoming.doneBytes > 0 ? `, ${sizeText(incoming.doneBytes)} are here already` : ''
    this.#progress.clear()
    const text = `${harmless(name)}, ${sizeText(sizeBytes)}, from ${short(author)}${rest}`
    print('offer', fields, text)
    for (const part of this.#early.splice(0)) await this.#onPart(part, undefined)
  }

  async #onPart(part: Part | undefined, packetId: string | undefined): Promise<void> {
    if (packetId !== undefined) this.#underWay.delete(packetId)
    const file = part && this.#files.get(part.file)
    if (part === undefined || file === undefined) {
      if (part !== undefined && this.#early.push(part) > EARLY_MAX) this.#early.shift()
      return
    }
    if (!(await file.take(part))) return
    this.#alive()
    if (file.path === undefined) return this.#show(file)
    this.#progress.clear()
    const { name, sizeBytes } = file.offer
    const fields = { file: part.file, name, sizeBytes, path: file.path }
    this.#invocation.print('received', fields, `received ${file.path}, ${sizeText(sizeBytes)}`)
    await this.#announce(file)
  }

  /** Those who are here have heard it when this resolves. */
  async #announce({ offer }: IncomingFile): Promise<void> {
    const value = receivedValue(offer.file)
    await this.#room.room.emit(RECEIVED_EVENT, value, { delivery: 'live' }).catch(() => {})
  }

  /** Who comes later may be the sender, who stays until somebody has it. */
  #tell(peer: RemotePeer): void {
    for (const { path, offer } of this.#files.values())
      if (path !== undefined) void peer.emit(RECEIVED_EVENT, receivedValue(offer.file))
  }

  #onProgress({ packetId, event, receivedBytes, totalBytes }: Progress): void {
    if (event !== PART_EVENT) return
    this.#alive()
    if (receivedBytes < totalBytes) this.#underWay.set(packetId, receivedBytes)
    const file = this.#incomplete()[0]
    if (file !== undefined) this.#show(file)
  }

  #show({ offer, doneBytes }: IncomingFile): void {
    let underWayBytes = 0
    for (const bytes of this.#underWay.values()) underWayBytes += bytes
    const { name, sizeBytes: totalBytes } = offer
    const sum = Math.min(totalBytes, doneBytes + underWayBytes)
    this.#progress.tell({ name, doneBytes: sum, totalBytes })
  }

  #incomplete(): IncomingFile[] {
    return [...this.#files.values()].filter(({ path }) => path === undefined)
  }

  #alive(): void {
    this.#lastAt = performance.now()
    this.#isQuietTold = false
  }

  #askIfQuiet(): void {
    const { room } = this.#room
    const incomplete = this.#incomplete()
    if (incomplete.length === 0 || performance.now() - this.#lastAt < QUIET_MS) return
    this.#lastAt = performance.now()
    this.#underWay.clear()
    for (const file of incomplete) {
      const value = wantValue(file.offer.file, file.missing(WANTED_MAX))
      if (room.peers.size > 0) void room.emit(WANT_EVENT, value, { delivery: 'live' })
    }
    if (this.#isQuietTold) return
    this.#isQuietTold = true
    this.#progress.clear()
    const names = incomplete.map(({ offer }) => harmless(offer.name)).join(', ')
    const line = `waiting for the rest of ${names}: nobody who has it is here`
    this.#invocation.print('waiting', { files: incomplete.length }, line)
  }
}

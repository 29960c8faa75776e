import type { Instant, PeerId } from '../../io.ts'
import { type IdPoint, pointOf } from '../../overlay/id-space.ts'
import type { SessionPort } from '../../session/port.ts'
import { SeenSet } from '../seen.ts'
import { type Copies, encodeShorts, KIND_HAVE, SHORTS_MAX } from './spread-messages.ts'

/**
 * What spreads over one session: what its remote keeps and already has, what waits to be sent to it,
 * tag by tag in turn, and what it is to be told of. Decides the order and the bounds of what leaves.
 */

/** Guess: a megabyte at 100 ms keeps 80 Mbit/s busy. What is under way is the transport's to repeat. */
export const UNDER_WAY_MAX = 1024
/** Guess: beyond it a packet is announced instead, and the remote asks when it can. */
export const QUEUED_PACKETS_MAX = 1024
/** What a remote is known to have. Guess: the packets of a busy hour. */
const KNOWN_MIN = 4096
/** Announcements that wait; reconciling finds what is dropped. Guess. */
export const ANNOUNCED_MAX = 4096
const NOTHING: ReadonlySet<string> = new Set()

export interface QueuedPacket {
  readonly name: string
  readonly short: string
  readonly tag: string
  readonly copies: Copies
  readonly wantsReceipt: boolean
}

export interface ToldInterest {
  readonly isEverything: boolean
  /** Whether we have few neighbours, and want to hear of packets from each. */
  readonly isFew: boolean
  readonly tags: string
}

export class Link {
  readonly port: SessionPort
  readonly point: IdPoint
  readonly sendMessage: (payload: Uint8Array, onAcked?: () => void) => void
  /** Random: orders links in a way that remotes cannot foresee. */
  readonly salt: number
  isUp = true
  /** Undefined until it told. */
  isEverything: boolean | undefined
  remoteLinks = 255
  followed: ReadonlySet<string> = NOTHING
  /** What it was told of ours last. */
  toldInterest: ToldInterest | undefined
  readonly known = new SeenSet(KNOWN_MIN)
  /** When it is asked unasked things of again: it sent what is not authentic. */
  shunnedUntil = 0
  /** Packets that it may send unasked, beyond its budget: we asked for that many. */
  expected = 0
  /** By tag, so that a busy one does not delay the others. */
  readonly #queues = new Map<string, QueuedPacket[]>()
  #queued = 0
  #underWay = 0
  #announced: string[] = []
  /** Of these, some could not be queued: they are told when the queue is empty again. */
  #isOverflown = false
  /** Names that the remote lacks, sent after everything else. */
  #gifts: { readonly names: readonly string[]; next: number }[] = []

  constructor(
    port: SessionPort,
    salt: number,
    sendMessage: (payload: Uint8Array, onAcked?: () => void) => void,
  ) {
    this.port = port
    this.point = pointOf(port.peer)
    this.salt = salt
    this.sendMessage = sendMessage
  }

  get peer(): PeerId {
    return this.port.peer
  }

  get queued(): number {
    return this.#queued
  }

  get isGiving(): boolean {
    return this.#gifts.length > 0
  }

  isShunned(now: Instant): boolean {
    return now < this.shunnedUntil
  }

  follows(tagPrefix: string): boolean {
    return this.isEverything === true || this.followed.has(tagPrefix)
  }

  /** Queues a packet; one too many is announced instead. */
  push(packet: QueuedPacket): void {
    if (this.#queued >= QUEUED_PACKETS_MAX) {
      this.#isOverflown = true
      return this.announce(packet.short)
    }
    const queue = this.#queues.get(packet.tag)
    if (queue === undefined) this.#queues.set(packet.tag, [packet])
    else queue.push(packet)
    this.#queued++
  }

  announce(short: string): void {
    if (this.#announced.length < ANNOUNCED_MAX) this.#announced.push(short)
  }

  get hasAnnouncements(): boolean {
    return this.#announced.length > 0
  }

  /** Tells what waits to be told, but for what the remote has meanwhile shown to have. */
  flushAnnouncements(): number {
    const shorts = this.#announced.filter((short) => !this.known.has(short))
    this.#announced = []
    this.#isOverflown = false
    for (let i = 0; i < shorts.length; i += SHORTS_MAX)
      this.sendMessage(encodeShorts(KIND_HAVE, shorts.slice(i, i + SHORTS_MAX)))
    for (const short of shorts) this.known.add(short)
    return shorts.length
  }

  give(names: readonly string[]): void {
    if (names.length > 0) this.#gifts.push({ names, next: 0 })
  }

  /** Sends while there is room; `encode` is undefined for what is no longer held. */
  pump(encode: (packet: QueuedPacket) => Uint8Array | undefined, giftOf: GiftOf): void {
    while (this.#underWay < UNDER_WAY_MAX) {
      const queued = this.#takeQueued()
      if (queued === undefined && this.#isOverflown) this.flushAnnouncements()
      const packet = queued ?? this.#takeGift(giftOf)
      if (packet === undefined) return
      const message = encode(packet)
      if (message === undefined) continue
      this.known.add(packet.short)
      this.#underWay++
      this.sendMessage(message, () => {
        this.#underWay--
        if (this.isUp) this.pump(encode, giftOf)
      })
    }
  }

  /** One packet of the tag whose turn it is. */
  #takeQueued(): QueuedPacket | undefined {
    const first = this.#queues.entries().next().value
    if (first === undefined) return undefined
    const [tag, queue] = first
    const packet = queue.shift()
    this.#queues.delete(tag)
    if (queue.length > 0) this.#queues.set(tag, queue)
    this.#queued--
    return packet
  }

  #takeGift(giftOf: GiftOf): QueuedPacket | undefined {
    for (;;) {
      const gift = this.#gifts[0]
      if (gift === undefined) return undefined
      const name = gift.names[gift.next++]
      if (name === undefined) {
        this.#gifts.shift()
        continue
      }
      const packet = giftOf(name)
      if (packet !== undefined && !this.known.has(packet.short)) return packet
    }
  }
}

/** A packet as it is given away; undefined when it is not held any more. */
export type GiftOf = (name: string) => QueuedPacket | undefined

export function isSameInterest(a: ToldInterest, b: ToldInterest | undefined): boolean {
  return a.isEverything === b?.isEverything && a.isFew === b.isFew && a.tags === b.tags
}

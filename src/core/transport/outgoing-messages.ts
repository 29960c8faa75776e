import { writeMessageHeader } from '../wire/frames.ts'
import { varintSize } from '../wire/writer.ts'
import type { Carried } from './carried.ts'
import type { TransportEvent } from './events.ts'
import { Fifo } from './fifo.ts'
import type { SendCredit } from './flow.ts'
import { FRAGMENT_BYTES_MIN, OVERTAKE_BYTES, SMALL_MESSAGE_BYTES } from './limits.ts'
import type { OutgoingDatagram } from './outgoing-datagram.ts'
import { SendProgress } from './send-progress.ts'

/** One message of ours until it is acknowledged. */
class OutgoingMessage {
  /** The caller's number. */
  readonly handle: number
  readonly payload: Uint8Array
  readonly progress = new SendProgress()
  /** The number on the wire, given when the first byte leaves so that numbers there have few holes. */
  id = -1

  constructor(handle: number, payload: Uint8Array) {
    this.handle = handle
    this.payload = payload
    this.progress.length = payload.length
  }
}

/**
 * Sends messages. Small ones and large ones each start in the order given; large ones one after the
 * other. A message takes connection credit for all of itself before its first byte leaves.
 */
export class OutgoingMessages {
  readonly #credit: SendCredit
  readonly #events: Fifo<TransportEvent>
  readonly #small = new Fifo<OutgoingMessage>()
  readonly #large = new Fifo<OutgoingMessage>()
  readonly #damaged = new Set<OutgoingMessage>()
  #nextHandle = 0
  #nextId = 0
  /** Credit taken by small messages since the first large one has waited for its own. */
  #overtakenBytes = 0
  /** Messages not wholly acknowledged. */
  unackedCount = 0
  /** Bytes never sent. */
  unsentBytes = 0

  constructor(credit: SendCredit, events: Fifo<TransportEvent>) {
    this.#credit = credit
    this.#events = events
  }

  send(payload: Uint8Array): number {
    const message = new OutgoingMessage(this.#nextHandle++, payload)
    if (payload.length <= SMALL_MESSAGE_BYTES) this.#small.push(message)
    else this.#large.push(message)
    this.unackedCount++
    this.unsentBytes += payload.length
    return message.handle
  }

  get canSend(): boolean {
    return (
      this.#damaged.size > 0 ||
      this.#mayStart(this.#small.peek(), true) ||
      this.#mayStart(this.#large.peek(), false)
    )
  }

  /** Repeats lost parts. */
  fillDamaged(datagram: OutgoingDatagram): void {
    for (const message of this.#damaged) {
      const { progress } = message
      while (progress.hasLost)
        if (this.#write(datagram, message, progress.lostStart, progress.lostEnd) === 0) return
      this.#damaged.delete(message)
    }
  }

  fillSmall(datagram: OutgoingDatagram): void {
    for (;;) {
      const message = this.#small.peek()
      if (message === undefined || !this.#mayStart(message, true)) return
      if (!this.#fillNew(datagram, message, true)) return
      this.#small.shift()
    }
  }

  fillLarge(datagram: OutgoingDatagram): void {
    for (;;) {
      const message = this.#large.peek()
      if (message === undefined || !this.#mayStart(message, false)) return
      if (!this.#fillNew(datagram, message, false)) return
      this.#large.shift()
    }
  }

  onAcked(message: OutgoingMessage, start: number, end: number): void {
    const { progress } = message
    if (progress.isAcked) return
    progress.onAcked(start, end)
    if (!progress.isAcked) return
    this.#damaged.delete(message)
    this.unackedCount--
    this.#events.push({ type: 'messageAcked', message: message.handle })
  }

  onLost(message: OutgoingMessage, start: number, end: number): void {
    message.progress.onLost(start, end)
    if (message.progress.hasLost) this.#damaged.add(message)
  }

  #mayStart(message: OutgoingMessage | undefined, isSmall: boolean): boolean {
    if (message === undefined) return false
    if (message.id >= 0) return true
    const bytes = message.payload.length
    if (bytes > this.#credit.available) return false
    if (!isSmall) return true
    const large = this.#large.peek()
    if (large === undefined || large.id >= 0 || large.payload.length <= this.#credit.available)
      return true
    return this.#overtakenBytes + bytes <= OVERTAKE_BYTES
  }

  /** Sends from the first unsent byte on; true when all of the message was sent. */
  #fillNew(datagram: OutgoingDatagram, message: OutgoingMessage, isSmall: boolean): boolean {
    const total = message.payload.length
    if (message.id < 0) {
      // Parted small messages would cost the remote memory: wait for a datagram that holds it whole.
      const bytes = 1 + varintSize(this.#nextId) + total
      if (isSmall && bytes > datagram.room && datagram.isEliciting) return false
      message.id = this.#nextId
      if (this.#write(datagram, message, 0, total) === 0) {
        message.id = -1
        return false
      }
      this.#nextId++
      this.#credit.used += total
      if (!isSmall) this.#overtakenBytes = 0
      else if (this.#large.size > 0) this.#overtakenBytes += total
    } else if (this.#write(datagram, message, message.progress.sent, total) === 0) return false
    return message.progress.sent === total
  }

  /** Writes one frame of the bytes [start, end) or as many of them as fit; returns how many. */
  #write(datagram: OutgoingDatagram, message: OutgoingMessage, start: number, end: number): number {
    const total = message.payload.length
    const wanted = end - start
    const prefix = 1 + varintSize(message.id)
    const isWhole = wanted === total && prefix + total <= datagram.room
    const header = isWhole ? prefix : prefix + varintSize(total) + varintSize(start)
    const room = datagram.room - header
    const length = Math.min(wanted, room)
    if (length <= 0 || (length < wanted && length < FRAGMENT_BYTES_MIN)) return 0
    const hasLength = length + varintSize(length) <= room
    writeMessageHeader(
      datagram.writer,
      message.id,
      isWhole ? undefined : total,
      start,
      hasLength ? length : undefined,
    )
    datagram.writer.put(message.payload.subarray(start, start + length))
    if (!hasLength) datagram.close()
    datagram.add(new MessagePart(this, message, start, start + length), true)
    const { progress } = message
    this.unsentBytes -= Math.max(0, start + length - progress.sent)
    progress.onSent(start, start + length)
    return length
  }
}

class MessagePart implements Carried {
  readonly #messages: OutgoingMessages
  readonly #message: OutgoingMessage
  readonly #start: number
  readonly #end: number

  constructor(messages: OutgoingMessages, message: OutgoingMessage, start: number, end: number) {
    this.#messages = messages
    this.#message = message
    this.#start = start
    this.#end = end
  }

  acked(): void {
    this.#messages.onAcked(this.#message, this.#start, this.#end)
  }

  lost(): void {
    this.#messages.onLost(this.#message, this.#start, this.#end)
  }
}

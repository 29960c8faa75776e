import { ACK_RANGES_MAX, type NumberRange, writeAck } from '../wire/frames.ts'
import type { Carried } from './carried.ts'
import {
  ACK_DELAY_MS,
  ACK_EVERY,
  ACK_EVERY_MAX,
  ACK_PING_DATAGRAMS,
  ACK_PING_RANGES,
  ACK_RUN_DATAGRAMS,
  ACK_RUN_DELAY_MS,
} from './limits.ts'
import type { OutgoingDatagram } from './outgoing-datagram.ts'
import { RangeSet } from './ranges.ts'

/** What an ACK of one range takes at most, and what each further range may add. */
const FIRST_RANGE_BYTES = 26
const RANGE_BYTES = 16

/**
 * Which datagrams arrived, and when to say so (RFC 9000 §13.2): at every second that asks for it, more
 * rarely while none is missing for long, within 25 ms of the first, at once when one is missing or comes late. Remembers 32 ranges.
 */
export class Acks {
  readonly #received = new RangeSet()
  #largestAt = 0
  /** Ack-eliciting datagrams that no ACK has covered. */
  #unreported = 0
  /** Ack-eliciting datagrams since the last gap. */
  #run = 0
  /** When an ACK must leave; infinity for never. */
  dueAt = Number.POSITIVE_INFINITY
  /** ACK-only datagrams since the last that asked for an acknowledgement itself. */
  #onlyAcks = 0

  onReceived(number: number, isEliciting: boolean, now: number): void {
    const received = this.#received
    const previous = received.size === 0 ? -1 : received.end(received.size - 1) - 1
    received.add(number, number + 1)
    if (received.size > ACK_RANGES_MAX) received.removeAt(0)
    if (number > previous) this.#largestAt = now
    if (!isEliciting) return
    this.#unreported++
    const isInOrder = number === previous + 1
    this.#run = isInOrder ? this.#run + 1 : 0
    const every = Math.min(ACK_EVERY_MAX, ACK_EVERY + Math.floor(this.#run / ACK_RUN_DATAGRAMS))
    const isUrgent = !isInOrder || this.#unreported >= every
    // Where answers carry the ACKs, nobody waits for one, and so near a timer costs each round trip.
    const isOneWay = this.#onlyAcks > 0
    const delayMs = every > ACK_EVERY && isOneWay ? ACK_RUN_DELAY_MS : ACK_DELAY_MS
    this.dueAt = Math.min(this.dueAt, isUrgent ? now : now + delayMs)
  }

  /** Something to report, due or not. */
  get isPending(): boolean {
    return this.#unreported > 0
  }

  /** Whether an ACK-only datagram should ask for an acknowledgement, so that old ranges can go. */
  get wantsPing(): boolean {
    return this.#received.size >= ACK_PING_RANGES && this.#onlyAcks >= ACK_PING_DATAGRAMS
  }

  /** Writes an ACK with as many ranges as fit; false when none does. */
  fill(datagram: OutgoingDatagram, now: number): boolean {
    const received = this.#received
    const room = datagram.room - FIRST_RANGE_BYTES
    if (received.size === 0 || room < 0) return false
    const count = Math.min(received.size, 1 + Math.floor(room / RANGE_BYTES))
    const ranges: NumberRange[] = []
    for (let i = received.size - 1; i >= received.size - count; i--)
      ranges.push({ first: received.start(i), last: received.end(i) - 1 })
    writeAck(datagram.writer, Math.max(0, Math.round((now - this.#largestAt) * 1000)), ranges)
    datagram.add(new AckCarried(this, received.end(received.size - 1)), false)
    return true
  }

  /** An ACK left. */
  onReported(isOnlyAck: boolean): void {
    this.#unreported = 0
    this.dueAt = Number.POSITIVE_INFINITY
    this.#onlyAcks = isOnlyAck ? this.#onlyAcks + 1 : 0
  }

  /** The remote has an ACK of everything below `end`: it need not be told again (RFC 9000 §13.2.4). */
  onAckAcked(end: number): void {
    const received = this.#received
    while (received.size > 1 && received.end(0) <= end) received.removeAt(0)
  }
}

class AckCarried implements Carried {
  readonly #acks: Acks
  readonly #end: number

  constructor(acks: Acks, end: number) {
    this.#acks = acks
    this.#end = end
  }

  acked(): void {
    this.#acks.onAckAcked(this.#end)
  }

  lost(): void {}
}

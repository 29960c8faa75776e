import type { MessageFrame } from '../wire/frames.ts'
import type { TransportEvent, Verdict } from './events.ts'
import type { Fifo } from './fifo.ts'
import type { PieceBudget, ReceiveWindow } from './flow.ts'
import { MESSAGE_BYTES_MAX, MESSAGE_GAPS_MAX, PARTIAL_MESSAGES_MAX } from './limits.ts'
import { RangeSet } from './ranges.ts'

interface PartialMessage {
  readonly payload: Uint8Array
  readonly received: RangeSet
  missingBytes: number
}

/**
 * Receives messages: puts fragments together, delivers each message once. A message is charged to
 * the connection's window whole when it begins and given back when it is complete, so that partial
 * messages never wait for each other's credit.
 */
export class IncomingMessages {
  readonly #window: ReceiveWindow
  readonly #budget: PieceBudget
  readonly #events: Fifo<TransportEvent>
  readonly #partial = new Map<number, PartialMessage>()
  readonly #completed = new RangeSet()

  constructor(window: ReceiveWindow, budget: PieceBudget, events: Fifo<TransportEvent>) {
    this.#window = window
    this.#budget = budget
    this.#events = events
  }

  receive(frame: MessageFrame): Verdict {
    const { message, total, data } = frame
    if (total > MESSAGE_BYTES_MAX) return 'violation'
    if (this.#completed.has(message)) return 'accepted'
    const known = this.#partial.get(message)
    if (known !== undefined) return this.#continue(message, known, frame)
    const wouldGap =
      this.#completed.size >= MESSAGE_GAPS_MAX && !this.#completed.touches(message, message + 1)
    if (wouldGap) return 'refused'
    if (data.length === total) {
      if (!this.#window.charge(total)) return 'violation'
      this.#complete(message, data)
      return 'accepted'
    }
    if (this.#partial.size >= PARTIAL_MESSAGES_MAX) return 'refused'
    if (!this.#window.charge(total)) return 'violation'
    const payload = new Uint8Array(total)
    const partial = { payload, received: new RangeSet(), missingBytes: total }
    this.#partial.set(message, partial)
    return this.#continue(message, partial, frame)
  }

  #continue(message: number, partial: PartialMessage, frame: MessageFrame): Verdict {
    const { payload, received } = partial
    const { offset, data } = frame
    if (frame.total !== payload.length) return 'violation'
    const end = offset + data.length
    const before = received.size
    // What continues the first piece is always taken: the budget can delay a message, never stop it.
    if (this.#budget.isFull && before > 0 && offset > 0 && !received.touches(offset, end))
      return 'refused'
    partial.missingBytes -= received.add(offset, end)
    this.#budget.used += received.size - before
    payload.set(data, offset)
    if (partial.missingBytes > 0) return 'accepted'
    this.#budget.used -= received.size
    this.#partial.delete(message)
    this.#complete(message, payload)
    return 'accepted'
  }

  #complete(message: number, payload: Uint8Array): void {
    this.#completed.add(message, message + 1)
    this.#window.consume(payload.length)
    this.#events.push({ type: 'message', payload })
  }
}

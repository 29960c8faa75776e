import { writeFrame } from '../wire/frames.ts'
import { varintSize } from '../wire/writer.ts'
import { Fifo } from './fifo.ts'
import { DATAGRAM_QUEUE_MAX } from './limits.ts'
import type { OutgoingDatagram } from './outgoing-datagram.ts'

/** Unreliable datagrams waiting to be sent: few, because late ones are worth little. */
export class DatagramQueue {
  readonly #queue = new Fifo<Uint8Array>()

  get size(): number {
    return this.#queue.size
  }

  /** False when the payload does not fit into `plaintextBytes`, or too many wait. */
  push(payload: Uint8Array, plaintextBytes: number): boolean {
    if (this.#queue.size >= DATAGRAM_QUEUE_MAX || frameSize(payload) > plaintextBytes) return false
    this.#queue.push(payload)
    return true
  }

  /** What no longer fits into any datagram of the path is dropped. */
  fill(datagram: OutgoingDatagram, plaintextBytes: number): void {
    for (;;) {
      const data = this.#queue.peek()
      if (data === undefined) return
      const size = frameSize(data)
      if (size > datagram.room && size <= plaintextBytes) return
      this.#queue.shift()
      if (size > plaintextBytes) continue
      writeFrame(datagram.writer, { type: 'datagram', data })
      datagram.add(undefined, true)
    }
  }
}

function frameSize(data: Uint8Array): number {
  return 1 + varintSize(data.length) + data.length
}

import { writeFrame } from '../wire/frames.ts'
import type { Carried } from './carried.ts'
import type { ReceiveWindow } from './flow.ts'
import { CONTROL_BYTES } from './limits.ts'
import type { OutgoingDatagram } from './outgoing-datagram.ts'

/** Tells the remote how much it may send on the whole connection, and again if that is lost. */
export class WindowUpdate implements Carried {
  readonly #window: ReceiveWindow
  #isLost = false

  constructor(window: ReceiveWindow) {
    this.#window = window
  }

  get isDue(): boolean {
    return this.#isLost || this.#window.isUpdateDue
  }

  fill(datagram: OutgoingDatagram, now: number, rttMs: number): void {
    if (!this.isDue || datagram.room < CONTROL_BYTES) return
    this.#isLost = false
    this.#window.update(now, rttMs)
    writeFrame(datagram.writer, { type: 'maxData', bytes: this.#window.limit })
    datagram.add(this, true)
  }

  acked(): void {}

  lost(): void {
    this.#isLost = true
  }
}

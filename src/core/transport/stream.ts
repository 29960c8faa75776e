import { Assembler } from './assembler.ts'
import { type PieceBudget, ReceiveWindow, SendCredit } from './flow.ts'
import { STREAM_WINDOW, STREAM_WINDOW_MAX } from './limits.ts'
import { SendBuffer } from './send-buffer.ts'
import { SendProgress } from './send-progress.ts'

/**
 * The state of one stream: our direction, theirs, and what has to be announced. `Streams` and
 * `OutgoingStreams` decide what happens to it.
 */
export class Stream {
  readonly id: number

  readonly buffer = new SendBuffer()
  readonly progress = new SendProgress()
  readonly credit = new SendCredit(STREAM_WINDOW)
  /** The application wrote its last byte. */
  isFinished = false
  /** The end has to be sent, again or for the first time. */
  isFinDue = false
  isFinAcked = false
  resetCode: number | undefined
  isResetDue = false
  isResetAcked = false
  /** Bytes that the application may still write by the last `streamWritable`. */
  allowance = 0
  /** Counted as having unacknowledged data. */
  isOutstanding = false

  readonly assembler: Assembler
  readonly window = new ReceiveWindow(STREAM_WINDOW, STREAM_WINDOW_MAX)
  finalSize: number | undefined
  /** Nothing more comes from the remote, and the application knows. */
  isEnded = false
  /** What still comes is dropped. */
  isDiscarded = false
  stopCode: number | undefined
  isStopDue = false
  isWindowDue = false

  constructor(id: number, budget: PieceBudget) {
    this.id = id
    this.assembler = new Assembler(budget)
  }

  get unsentBytes(): number {
    return this.progress.length - this.progress.sent
  }

  get hasAnnouncement(): boolean {
    return this.isResetDue || this.isStopDue || this.isWindowDue
  }

  /** The remote has all of our direction, or knows that it is given up. */
  get isSent(): boolean {
    return this.isResetAcked || (this.isFinAcked && this.progress.isAcked)
  }

  /** Both directions are over and all credit is returned. */
  get isOver(): boolean {
    return this.isSent && this.isEnded && this.window.consumed === this.finalSize
  }
}

import { UsageError } from '../errors.ts'
import { type StreamFrame, type TransportFrame, writeFrame } from '../wire/frames.ts'
import type { Carried } from './carried.ts'
import type { TransportEvent, Verdict } from './events.ts'
import type { Fifo } from './fifo.ts'
import type { PieceBudget, ReceiveWindow, SendCredit } from './flow.ts'
import { CONTROL_BYTES, STREAMS_MAX } from './limits.ts'
import type { OutgoingDatagram } from './outgoing-datagram.ts'
import { OutgoingStreams } from './outgoing-streams.ts'
import { Stream } from './stream.ts'

type IncomingStreamFrame = Extract<
  TransportFrame,
  { readonly type: 'stream' | 'resetStream' | 'stopSending' | 'maxStream' | 'maxStreams' }
>

/** The remote is told of a higher limit once this many of its streams have ended. */
const LIMIT_STEP = STREAMS_MAX / 4

/**
 * The streams of one session: opens, receives and retires them. The initiator's streams are even, the
 * responder's odd; using one opens all lower ones of the same side (RFC 9000 §2.1, §3.2).
 */
export class Streams {
  readonly out: OutgoingStreams
  readonly #connection: ReceiveWindow
  readonly #budget: PieceBudget
  readonly #events: Fifo<TransportEvent>
  readonly #open = new Map<number, Stream>()
  /** What our stream numbers leave when divided by two. */
  readonly #parity: number
  #openedByUs = 0
  #openedByRemote = 0
  #endedByRemote = 0
  #remoteLimit = STREAMS_MAX
  #isLimitDue = false

  constructor(
    isInitiator: boolean,
    credit: SendCredit,
    connection: ReceiveWindow,
    budget: PieceBudget,
    events: Fifo<TransportEvent>,
  ) {
    this.#parity = isInitiator ? 0 : 1
    this.#connection = connection
    this.#budget = budget
    this.#events = events
    this.out = new OutgoingStreams(this.#parity, credit, events, (stream) => this.#retire(stream))
  }

  get openCount(): number {
    return this.#open.size
  }

  get canSend(): boolean {
    return this.#isLimitDue || this.out.canSend
  }

  /** Window updates, stream limits, resets and stops. */
  fillControl(datagram: OutgoingDatagram, now: number, rttMs: number): void {
    if (this.#isLimitDue && datagram.room >= CONTROL_BYTES) {
      this.#isLimitDue = false
      this.#remoteLimit = this.#endedByRemote + STREAMS_MAX
      writeFrame(datagram.writer, { type: 'maxStreams', count: this.#remoteLimit })
      const carried: Carried = {
        acked: () => {},
        lost: () => {
          this.#isLimitDue = true
        },
      }
      datagram.add(carried, true)
    }
    this.out.fillAnnouncements(datagram, now, rttMs)
  }

  open(): number {
    const id = 2 * this.#openedByUs++ + this.#parity
    this.#begin(id)
    return id
  }

  write(id: number, data: Uint8Array): void {
    const stream = this.#ours('write', id)
    if (stream === undefined || stream.resetCode !== undefined) return
    if (stream.isFinished)
      throw new UsageError('EFINISHED', 'stream', 'one not finished', String(id))
    this.out.write(stream, data)
  }

  finish(id: number): void {
    const stream = this.#ours('finish', id)
    if (stream === undefined || stream.isFinished || stream.resetCode !== undefined) return
    this.out.finish(stream)
  }

  /** Gives up both directions. */
  reset(id: number, code: number): void {
    const stream = this.#ours('reset', id)
    if (stream === undefined) return
    this.out.reset(stream, code)
    if (!stream.isDiscarded) this.#discard(stream, code)
    this.out.touch(stream)
    this.#retire(stream)
  }

  consume(id: number, bytes: number): void {
    const stream = this.#ours('consume', id)
    if (stream === undefined || stream.isDiscarded) return
    const given = stream.assembler.offset - stream.window.consumed
    if (!Number.isInteger(bytes) || bytes < 0 || bytes > given)
      throw new UsageError('ERANGE', 'bytes', `at most the ${given} not consumed`, String(bytes))
    this.#return(stream, bytes)
    if (stream.finalSize === undefined && stream.window.isUpdateDue) {
      stream.isWindowDue = true
      this.out.touch(stream)
    }
    this.#retire(stream)
  }

  handle(frame: IncomingStreamFrame): Verdict {
    switch (frame.type) {
      case 'stream':
        return this.#receive(frame)
      case 'resetStream':
        return this.#receiveReset(frame.stream, frame.code, frame.finalSize)
      case 'stopSending':
        return this.#receiveStop(frame.stream, frame.code)
      case 'maxStream':
        return this.#receiveMaxStream(frame.stream, frame.bytes)
      case 'maxStreams':
        this.out.allowStreams(frame.count)
        return 'accepted'
    }
  }

  #receive(frame: StreamFrame): Verdict {
    const stream = this.#find(frame.stream)
    if (stream === undefined) return 'violation'
    if (stream === 'retired' || stream.isEnded) return 'accepted'
    const end = frame.offset + frame.data.length
    if (
      stream.finalSize !== undefined &&
      (frame.fin ? end !== stream.finalSize : end > stream.finalSize)
    )
      return 'violation'
    if (frame.fin && end < stream.window.received) return 'violation'
    if (!this.#charge(stream, end)) return 'violation'
    if (frame.fin) stream.finalSize = end
    if (stream.isDiscarded) {
      this.#return(stream, stream.window.received - stream.window.consumed)
      if (stream.finalSize !== undefined) this.#end(stream)
      return 'accepted'
    }
    const isTaken = stream.assembler.insert(frame.offset, frame.data)
    for (let data = stream.assembler.read(); data !== undefined; data = stream.assembler.read())
      this.#events.push({ type: 'streamData', stream: stream.id, data })
    if (stream.assembler.offset === stream.finalSize) {
      this.#events.push({ type: 'streamEnded', stream: stream.id })
      this.#end(stream)
    }
    return isTaken ? 'accepted' : 'refused'
  }

  #receiveReset(id: number, code: number, finalSize: number): Verdict {
    const stream = this.#find(id)
    if (stream === undefined) return 'violation'
    if (stream === 'retired' || stream.isEnded) return 'accepted'
    if (stream.finalSize !== undefined && stream.finalSize !== finalSize) return 'violation'
    if (finalSize < stream.window.received || !this.#charge(stream, finalSize)) return 'violation'
    stream.finalSize = finalSize
    stream.assembler.clear()
    this.#return(stream, finalSize - stream.window.consumed)
    if (!stream.isDiscarded) this.#events.push({ type: 'streamReset', stream: id, code })
    stream.isDiscarded = true
    this.#end(stream)
    return 'accepted'
  }

  #receiveStop(id: number, code: number): Verdict {
    const stream = this.#find(id)
    if (stream === undefined) return 'violation'
    if (stream === 'retired' || stream.resetCode !== undefined || stream.isSent) return 'accepted'
    this.out.reset(stream, code)
    this.#events.push({ type: 'streamStopped', stream: id, code })
    return 'accepted'
  }

  #receiveMaxStream(id: number, bytes: number): Verdict {
    const stream = this.#find(id)
    if (stream === undefined) return 'violation'
    if (stream !== 'retired' && stream.credit.raise(bytes)) this.out.touch(stream)
    return 'accepted'
  }

  /** A stream by the application's number; undefined when it is over. */
  #ours(what: string, id: number): Stream | undefined {
    const stream = this.#open.get(id)
    if (stream !== undefined) return stream
    const index = Math.floor(id / 2)
    const opened = id % 2 === this.#parity ? this.#openedByUs : this.#openedByRemote
    if (!Number.isSafeInteger(id) || id < 0 || index >= opened)
      throw new UsageError('ENOSTREAM', 'stream', `an open one to ${what}`, String(id))
    return undefined
  }

  /** A stream by the remote's number, opened if need be; undefined when it has no right to it. */
  #find(id: number): Stream | 'retired' | undefined {
    const stream = this.#open.get(id)
    if (stream !== undefined) return stream
    const index = Math.floor(id / 2)
    if (id % 2 === this.#parity) return index < this.#openedByUs ? 'retired' : undefined
    if (index < this.#openedByRemote) return 'retired'
    if (index >= this.#remoteLimit) return undefined
    while (this.#openedByRemote <= index) {
      const opened = 2 * this.#openedByRemote++ + 1 - this.#parity
      this.#events.push({ type: 'streamOpened', stream: opened })
      this.#begin(opened)
    }
    return this.#open.get(id)
  }

  #begin(id: number): void {
    const stream = new Stream(id, this.#budget)
    this.#open.set(id, stream)
    this.out.tellWritable(stream)
  }

  /** Charges what goes beyond the highest offset so far; false when there is no credit for it. */
  #charge(stream: Stream, end: number): boolean {
    const fresh = end - stream.window.received
    return fresh <= 0 || (stream.window.charge(fresh) && this.#connection.charge(fresh))
  }

  #return(stream: Stream, bytes: number): void {
    stream.window.consume(bytes)
    this.#connection.consume(bytes)
  }

  #discard(stream: Stream, code: number): void {
    stream.isDiscarded = true
    stream.assembler.clear()
    this.#return(stream, stream.window.received - stream.window.consumed)
    if (stream.isEnded) return
    if (stream.finalSize !== undefined) {
      this.#end(stream)
      return
    }
    stream.stopCode = code
    stream.isStopDue = true
  }

  #end(stream: Stream): void {
    stream.isEnded = true
    stream.isStopDue = false
    stream.isWindowDue = false
    this.#retire(stream)
  }

  #retire(stream: Stream): void {
    if (!stream.isOver || !this.#open.delete(stream.id)) return
    if (stream.id % 2 === this.#parity) return
    this.#endedByRemote++
    if (this.#endedByRemote + STREAMS_MAX - this.#remoteLimit >= LIMIT_STEP) this.#isLimitDue = true
  }
}

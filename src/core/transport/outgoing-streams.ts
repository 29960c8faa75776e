import { writeFrame, writeStreamHeader } from '../wire/frames.ts'
import { varintSize } from '../wire/writer.ts'
import type { Carried } from './carried.ts'
import type { TransportEvent } from './events.ts'
import type { Fifo } from './fifo.ts'
import type { SendCredit } from './flow.ts'
import { FRAGMENT_BYTES_MIN, STREAM_BACKLOG_BYTES, STREAM_RESERVE, STREAMS_MAX } from './limits.ts'
import type { OutgoingDatagram } from './outgoing-datagram.ts'
import type { Stream } from './stream.ts'

/** Most that RESET_STREAM, the largest announcement, takes. */
const ANNOUNCEMENT_BYTES = 25

/**
 * Sends what streams have to send: new data in turns of one datagram, lost data before it, and the
 * announcements of resets, stops and windows. Streams beyond the remote's limit wait.
 */
export class OutgoingStreams {
  readonly #credit: SendCredit
  readonly #events: Fifo<TransportEvent>
  readonly #onSettled: (stream: Stream) => void
  readonly #ready = new Set<Stream>()
  readonly #damaged = new Set<Stream>()
  readonly #announcing = new Set<Stream>()
  readonly #waiting = new Set<Stream>()
  readonly #parity: number
  #streamsAllowed = STREAMS_MAX
  /** Streams with data or an end that the remote has not acknowledged. */
  unackedCount = 0
  unsentBytes = 0

  constructor(
    parity: number,
    credit: SendCredit,
    events: Fifo<TransportEvent>,
    onSettled: (stream: Stream) => void,
  ) {
    this.#parity = parity
    this.#credit = credit
    this.#events = events
    this.#onSettled = onSettled
  }

  get canSend(): boolean {
    if (this.#damaged.size > 0 || this.#announcing.size > 0) return true
    return this.#ready.size > 0 && this.#credit.available > STREAM_RESERVE
  }

  write(stream: Stream, data: Uint8Array): void {
    if (data.length === 0) return
    stream.buffer.append(data)
    stream.progress.length += data.length
    stream.allowance = Math.max(0, stream.allowance - data.length)
    this.unsentBytes += data.length
    this.touch(stream)
  }

  finish(stream: Stream): void {
    stream.isFinished = true
    stream.isFinDue = true
    this.touch(stream)
  }

  /** Gives up our direction, unless the remote has all of it. */
  reset(stream: Stream, code: number): void {
    if (stream.resetCode !== undefined || stream.isSent) return
    this.unsentBytes -= stream.unsentBytes
    stream.resetCode = code
    stream.isResetDue = true
    stream.buffer.clear()
    this.#ready.delete(stream)
    this.#damaged.delete(stream)
    this.touch(stream)
  }

  /** Tells of the room in a stream's backlog once it grew enough to be worth it. */
  tellWritable(stream: Stream): void {
    if (stream.isFinished || stream.resetCode !== undefined) return
    const room = STREAM_BACKLOG_BYTES - stream.unsentBytes
    if (room - stream.allowance < STREAM_BACKLOG_BYTES / 2) return
    stream.allowance = room
    this.#events.push({ type: 'streamWritable', stream: stream.id, bytes: room })
  }

  /** The remote lets us open more streams. */
  allowStreams(count: number): void {
    if (count <= this.#streamsAllowed) return
    this.#streamsAllowed = count
    for (const stream of this.#waiting) {
      if (!this.#isAllowed(stream)) continue
      this.#waiting.delete(stream)
      this.touch(stream)
    }
  }

  /** Schedules whatever a stream has to send. */
  touch(stream: Stream): void {
    const { progress } = stream
    const isOpen = stream.resetCode === undefined
    const isOutstanding = isOpen && (!progress.isAcked || (stream.isFinished && !stream.isFinAcked))
    if (isOutstanding !== stream.isOutstanding) this.unackedCount += isOutstanding ? 1 : -1
    stream.isOutstanding = isOutstanding
    if (!this.#isAllowed(stream)) {
      this.#waiting.add(stream)
      return
    }
    if (stream.hasAnnouncement) this.#announcing.add(stream)
    if (!isOpen) return
    if (progress.hasLost || (stream.isFinDue && stream.unsentBytes === 0)) this.#damaged.add(stream)
    if (stream.unsentBytes > 0 && stream.credit.available > 0) this.#ready.add(stream)
  }

  fillAnnouncements(datagram: OutgoingDatagram, now: number, rttMs: number): void {
    for (const stream of this.#announcing) {
      if (stream.isResetDue && datagram.room >= ANNOUNCEMENT_BYTES) {
        const { id, resetCode: code = 0, progress } = stream
        writeFrame(datagram.writer, {
          type: 'resetStream',
          stream: id,
          code,
          finalSize: progress.sent,
        })
        datagram.add(new Announcement(this, stream, 'reset'), true)
        stream.isResetDue = false
      }
      if (stream.isStopDue && datagram.room >= ANNOUNCEMENT_BYTES) {
        const { id, stopCode: code = 0 } = stream
        writeFrame(datagram.writer, { type: 'stopSending', stream: id, code })
        datagram.add(new Announcement(this, stream, 'stop'), true)
        stream.isStopDue = false
      }
      if (stream.isWindowDue && datagram.room >= ANNOUNCEMENT_BYTES) {
        stream.window.update(now, rttMs)
        const bytes = stream.window.limit
        writeFrame(datagram.writer, { type: 'maxStream', stream: stream.id, bytes })
        datagram.add(new Announcement(this, stream, 'window'), true)
        stream.isWindowDue = false
      }
      if (stream.hasAnnouncement) return
      this.#announcing.delete(stream)
    }
  }

  fillDamaged(datagram: OutgoingDatagram): void {
    for (const stream of this.#damaged) {
      const { progress } = stream
      while (progress.hasLost)
        if (!this.#write(datagram, stream, progress.lostStart, progress.lostEnd)) return
      if (stream.isFinDue && stream.unsentBytes === 0) {
        if (!this.#write(datagram, stream, progress.length, progress.length)) return
      }
      this.#damaged.delete(stream)
    }
  }

  fillNew(datagram: OutgoingDatagram): void {
    for (let turns = this.#ready.size; turns > 0 && datagram.room > 0; turns--) {
      const [stream] = this.#ready
      const connectionBytes = this.#credit.available - STREAM_RESERVE
      if (stream === undefined || connectionBytes <= 0) return
      const { progress, credit } = stream
      const bytes = Math.min(stream.unsentBytes, credit.available, connectionBytes)
      if (bytes > 0 && !this.#write(datagram, stream, progress.sent, progress.sent + bytes)) return
      this.#ready.delete(stream)
      if (stream.unsentBytes > 0 && credit.available > 0) this.#ready.add(stream)
      this.tellWritable(stream)
    }
  }

  onPartAcked(stream: Stream, start: number, end: number, fin: boolean): void {
    stream.progress.onAcked(start, end)
    if (stream.resetCode !== undefined) return
    stream.buffer.release(stream.progress.acked)
    if (fin) {
      stream.isFinAcked = true
      stream.isFinDue = false
    }
    if (!stream.progress.hasLost && !stream.isFinDue) this.#damaged.delete(stream)
    if (stream.progress.isAcked) this.touch(stream)
    if (stream.isSent) this.#onSettled(stream)
  }

  onPartLost(stream: Stream, start: number, end: number, fin: boolean): void {
    if (stream.resetCode !== undefined) return
    stream.progress.onLost(start, end)
    if (fin && !stream.isFinAcked) stream.isFinDue = true
    this.touch(stream)
  }

  onAnnouncementAcked(stream: Stream, what: 'reset' | 'stop' | 'window'): void {
    if (what !== 'reset') return
    stream.isResetAcked = true
    this.#onSettled(stream)
  }

  onAnnouncementLost(stream: Stream, what: 'reset' | 'stop' | 'window'): void {
    if (what === 'reset') stream.isResetDue = !stream.isResetAcked
    else if (stream.isEnded || stream.finalSize !== undefined) return
    else if (what === 'stop') stream.isStopDue = true
    else stream.isWindowDue = true
    this.touch(stream)
  }

  #isAllowed(stream: Stream): boolean {
    if (stream.id % 2 !== this.#parity) return true
    return (stream.id - this.#parity) / 2 < this.#streamsAllowed
  }

  /** Writes one frame of the bytes [start, end) or as many as fit; false when none does. */
  #write(datagram: OutgoingDatagram, stream: Stream, start: number, end: number): boolean {
    const { progress, credit } = stream
    const wanted = end - start
    const room = datagram.room - 1 - varintSize(stream.id) - (start > 0 ? varintSize(start) : 0)
    const length = Math.min(wanted, room - (wanted === 0 ? 1 : 0))
    if (length < 0 || (length < wanted && length < FRAGMENT_BYTES_MIN)) return false
    const hasLength = length + varintSize(length) <= room
    const fin = stream.isFinished && start + length === progress.length
    const { writer } = datagram
    writeStreamHeader(writer, stream.id, start, hasLength ? length : undefined, fin)
    stream.buffer.copyTo(writer, start, start + length)
    if (!hasLength) datagram.close()
    datagram.add(new StreamPart(this, stream, start, start + length, fin), true)
    const fresh = Math.max(0, start + length - progress.sent)
    this.unsentBytes -= fresh
    this.#credit.used += fresh
    credit.used += fresh
    progress.onSent(start, start + length)
    if (fin) stream.isFinDue = false
    return true
  }
}

class StreamPart implements Carried {
  readonly #streams: OutgoingStreams
  readonly #stream: Stream
  readonly #start: number
  readonly #end: number
  readonly #fin: boolean

  constructor(streams: OutgoingStreams, stream: Stream, start: number, end: number, fin: boolean) {
    this.#streams = streams
    this.#stream = stream
    this.#start = start
    this.#end = end
    this.#fin = fin
  }

  acked(): void {
    this.#streams.onPartAcked(this.#stream, this.#start, this.#end, this.#fin)
  }

  lost(): void {
    this.#streams.onPartLost(this.#stream, this.#start, this.#end, this.#fin)
  }
}

class Announcement implements Carried {
  readonly #streams: OutgoingStreams
  readonly #stream: Stream
  readonly #what: 'reset' | 'stop' | 'window'

  constructor(streams: OutgoingStreams, stream: Stream, what: 'reset' | 'stop' | 'window') {
    this.#streams = streams
    this.#stream = stream
    this.#what = what
  }

  acked(): void {
    this.#streams.onAnnouncementAcked(this.#stream, this.#what)
  }

  lost(): void {
    this.#streams.onAnnouncementLost(this.#stream, this.#what)
  }
}

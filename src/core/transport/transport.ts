/**
 * The transport inside one session: recovery shaped after QUIC (RFC 9000, 9002), and three services on
 * it: ordered streams, reliable unordered messages, unreliable datagrams. Decides what the plaintext
 * of the next datagram is and which path it takes. It neither encrypts nor knows addresses: the
 * session seals what `next` yields and gives `receive` what it opened, replays already left out.
 */
import { MALFORMED, UsageError } from '../errors.ts'
import type { Deadline, Instant } from '../io.ts'
import {
  type AckFrame,
  decodeFrames,
  type Frame,
  isAckEliciting,
  type SessionFrame,
  writeFrame,
} from '../wire/frames.ts'
import { varintSize } from '../wire/writer.ts'
import { Acks } from './acks.ts'
import type { Carried } from './carried.ts'
import type { TransportEvent, Verdict } from './events.ts'
import { Fifo } from './fifo.ts'
import { PieceBudget, ReceiveWindow, SendCredit } from './flow.ts'
import { IncomingMessages } from './incoming-messages.ts'
import {
  CONNECTION_WINDOW,
  CONNECTION_WINDOW_MAX,
  DATAGRAM_BYTES_MIN,
  DATAGRAM_QUEUE_MAX,
  INITIAL_RTT_MS,
  MESSAGE_BYTES_MAX,
  PATHS_MAX,
  PIECES_MAX,
  SEAL_BYTES,
} from './limits.ts'
import { OutgoingDatagram } from './outgoing-datagram.ts'
import { OutgoingMessages } from './outgoing-messages.ts'
import { Path } from './path.ts'
import { Streams } from './streams.ts'

export type { TransportEvent } from './events.ts'

export interface TransportOptions {
  /** Whether our streams are the even ones. */
  readonly isInitiator: boolean
}

export interface PathOptions {
  /** UDP payload that the path carries, seal included. */
  readonly datagramBytes: number
  /** A round trip already measured on this path, by the handshake or a challenge. */
  readonly rttMs?: number
}

/** The next datagram's plaintext. `frames` is valid until the following call of `next`. */
export interface NextDatagram {
  readonly path: number
  readonly number: number
  /** The largest of our numbers that the remote has acknowledged, −1 for none. */
  readonly largestAcked: number
  readonly frames: Uint8Array
}

/** Room that any frame of the session but RELAY and RELAYED, or any update of a window, fits into. */
const CONTROL_BYTES = 32
/** Classes of data that take turns in being first in a datagram. */
const TURNS = 3

export class Transport {
  readonly #events = new Fifo<TransportEvent>()
  readonly #paths = new Map<number, Path>()
  readonly #acks = new Acks()
  readonly #credit = new SendCredit(CONNECTION_WINDOW)
  readonly #window = new ReceiveWindow(CONNECTION_WINDOW, CONNECTION_WINDOW_MAX)
  readonly #outgoing: OutgoingMessages
  readonly #incoming: IncomingMessages
  readonly #streams: Streams
  readonly #datagrams = new Fifo<Uint8Array>()
  readonly #windowCarried: Carried
  readonly #limitCarried: Carried
  #active: Path | undefined
  /** Where the last datagram that asked for an ACK came from: that way works. */
  #ackPath: Path | undefined
  /** Frames pushed to any path; an upper bound. */
  #hasPushed = false
  #isPingDue = false
  #isWindowLost = false
  #turn = 0
  #releaseAt: number | undefined
  #scratch: OutgoingDatagram | undefined
  #nextNumber = 0
  #largestAcked = -1
  #lostOnRemovedPaths = 0
  lastReceivedAt: number | undefined
  datagramsSent = 0
  datagramsReceived = 0

  constructor(options: TransportOptions) {
    const budget = new PieceBudget(PIECES_MAX)
    this.#outgoing = new OutgoingMessages(this.#credit, this.#events)
    this.#incoming = new IncomingMessages(this.#window, budget, this.#events)
    this.#streams = new Streams(
      options.isInitiator,
      this.#credit,
      this.#window,
      budget,
      this.#events,
    )
    this.#windowCarried = { acked: () => {}, lost: () => this.#loseWindow() }
    this.#limitCarried = { acked: () => {}, lost: () => this.#streams.onLimitLost() }
  }

  /** Queues a message; returns its number. The payload is kept, not copied, until acknowledged. */
  sendMessage(payload: Uint8Array): number {
    if (payload.length < 1 || payload.length > MESSAGE_BYTES_MAX)
      throw new UsageError(
        'ETOOBIG',
        'payload',
        `1 to ${MESSAGE_BYTES_MAX} bytes`,
        String(payload.length),
      )
    return this.#outgoing.send(payload)
  }

  /** Queues one unreliable datagram; false when it does not fit into one, or too many wait. */
  sendDatagram(payload: Uint8Array): boolean {
    if (this.#active === undefined || this.#datagrams.size >= DATAGRAM_QUEUE_MAX) return false
    if (datagramFrameSize(payload) > this.#active.plaintextBytes) return false
    this.#datagrams.push(payload)
    return true
  }

  openStream(): number {
    return this.#streams.open()
  }

  /** Queues bytes, which are kept, not copied, until acknowledged. Ignored once the stream broke. */
  writeStream(stream: number, data: Uint8Array): void {
    this.#streams.write(stream, data)
  }

  finishStream(stream: number): void {
    this.#streams.finish(stream)
  }

  /** Gives up both directions of a stream. */
  resetStream(stream: number, code: number): void {
    this.#streams.reset(stream, code)
  }

  /** Tells that the application took bytes that `streamData` gave. */
  consumeStream(stream: number, bytes: number): void {
    this.#streams.consume(stream, bytes)
  }

  /** Makes the next datagram on the active path ask for an acknowledgement. */
  ping(): void {
    this.#isPingDue = true
  }

  /** Sends a frame once, on exactly that path, whatever is in flight there. Not repeated when lost. */
  pushFrame(path: number, frame: SessionFrame): void {
    this.#paths.get(path)?.push(frame)
    this.#hasPushed = true
  }

  /** Adds a path, or gives a known one another size. */
  addPath(path: number, options: PathOptions): void {
    const { datagramBytes, rttMs } = options
    if (
      !Number.isInteger(datagramBytes) ||
      datagramBytes < DATAGRAM_BYTES_MIN ||
      datagramBytes > 1500
    )
      throw new UsageError(
        'ERANGE',
        'datagramBytes',
        `${DATAGRAM_BYTES_MIN} to 1500`,
        String(datagramBytes),
      )
    const known = this.#paths.get(path)
    if (known !== undefined) {
      known.resize(datagramBytes)
      return
    }
    if (this.#paths.size >= PATHS_MAX)
      throw new UsageError('EPATHS', 'path', `at most ${PATHS_MAX} paths`, String(path))
    this.#paths.set(path, new Path(path, datagramBytes, rttMs))
  }

  /** Forgets a path; what was in flight on it goes out again elsewhere. */
  removePath(path: number): void {
    const removed = this.#paths.get(path)
    if (removed === undefined) return
    this.#paths.delete(path)
    if (this.#active === removed) this.#active = undefined
    if (this.#ackPath === removed) this.#ackPath = undefined
    removed.recovery.abandon()
    this.#lostOnRemovedPaths += removed.recovery.lostDatagrams
  }

  /** Sends from here on by this path; what is in flight on others is still waited for. */
  setActivePath(path: number): void {
    const active = this.#paths.get(path)
    if (active === undefined)
      throw new UsageError('ENOPATH', 'path', 'one that was added', String(path))
    this.#active = active
  }

  /** Forgets the backoff of a long silence and probes at once. */
  wake(): void {
    this.#active?.recovery.wake()
  }

  /**
   * Takes an opened datagram. False when it is malformed or breaks the protocol: the session should
   * close. `frames` is kept by events and by data that waits: it must not change.
   */
  receive(path: number, number: number, frames: Uint8Array, now: number): boolean {
    const decoded = decodeFrames(frames)
    if (decoded === MALFORMED) return false
    this.lastReceivedAt = now
    this.datagramsReceived++
    let isEliciting = false
    let isRefused = false
    for (const frame of decoded) {
      const verdict = this.#handle(path, frame, now)
      if (verdict === 'violation') return false
      if (verdict === 'refused') isRefused = true
      if (isAckEliciting(frame)) isEliciting = true
    }
    if (isRefused) return true
    if (isEliciting) this.#ackPath = this.#paths.get(path) ?? this.#ackPath
    this.#acks.onReceived(number, isEliciting, now)
    return true
  }

  /** The plaintext of the next datagram; undefined when nothing may be sent at this time. */
  next(now: number): NextDatagram | undefined {
    this.#releaseAt = undefined
    const next = this.#nextPushed(now) ?? this.#nextData(now) ?? this.#nextAck(now)
    if (next === undefined && this.bytesInFlight === 0) this.#scratch = undefined
    return next
  }

  /** When `onDeadline` is due, and why. Changes with every other call. */
  deadline(): Deadline | undefined {
    let at = Number.POSITIVE_INFINITY
    let reason = ''
    const ackAt = this.#pathForAcks() === undefined ? undefined : this.#acks.dueAt
    if (ackAt !== undefined) {
      at = ackAt
      reason = 'ack'
    }
    if (this.#releaseAt !== undefined && this.#releaseAt < at) {
      at = this.#releaseAt
      reason = 'pacing'
    }
    for (const path of this.#paths.values()) {
      const timerAt = path.recovery.timerAt()
      if (timerAt === undefined || timerAt >= at) continue
      at = timerAt
      reason = 'recovery'
    }
    return reason === '' ? undefined : { at: at as Instant, reason }
  }

  /** Runs the timers that are due; `next` then yields what they ask to send. */
  onDeadline(now: number): void {
    for (const path of this.#paths.values()) {
      if (!path.recovery.onTimer(now)) continue
      if (path === this.#active) path.recovery.onTimeout()
      else path.recovery.abandon()
    }
  }

  poll(): TransportEvent | undefined {
    return this.#events.shift()
  }

  /** Smoothed round-trip time of a path, by default the active one; a guess until measured. */
  rttMs(path?: number): number {
    return this.#path(path)?.rtt.smoothedMs ?? INITIAL_RTT_MS
  }

  isRttMeasured(path?: number): boolean {
    return this.#path(path)?.rtt.firstSampleAt !== undefined
  }

  congestionWindowBytes(path?: number): number {
    return this.#path(path)?.windowBytes ?? 0
  }

  get bytesInFlight(): number {
    let bytes = 0
    for (const path of this.#paths.values()) bytes += path.recovery.bytesInFlight
    return bytes
  }

  /** Application data is queued or on its way. */
  get hasUnacked(): boolean {
    return this.#outgoing.unackedCount > 0 || this.#streams.out.unackedCount > 0
  }

  /** Probe timeouts of the active path since the remote acknowledged anything there. */
  get ptoCount(): number {
    return this.#active?.recovery.timeouts ?? 0
  }

  /** Bytes of messages and streams that were never sent. */
  get backlogBytes(): number {
    return this.#outgoing.unsentBytes + this.#streams.out.unsentBytes
  }

  get largestAcked(): number {
    return this.#largestAcked
  }

  get openStreams(): number {
    return this.#streams.openCount
  }

  get datagramsLost(): number {
    let lost = this.#lostOnRemovedPaths
    for (const path of this.#paths.values()) lost += path.recovery.lostDatagrams
    return lost
  }

  #handle(path: number, frame: Frame, now: number): Verdict {
    switch (frame.type) {
      case 'ping':
        return 'accepted'
      case 'ack':
        return this.#onAck(frame, now)
      case 'message':
        return this.#incoming.receive(frame)
      case 'stream':
        return this.#streams.receive(frame)
      case 'datagram':
        this.#events.push({ type: 'datagram', payload: frame.data })
        return 'accepted'
      case 'maxData':
        this.#credit.raise(frame.bytes)
        return 'accepted'
      case 'maxStream':
        return this.#streams.receiveMaxStream(frame.stream, frame.bytes)
      case 'maxStreams':
        this.#streams.out.allowStreams(frame.count)
        return 'accepted'
      case 'resetStream':
        return this.#streams.receiveReset(frame.stream, frame.code, frame.finalSize)
      case 'stopSending':
        return this.#streams.receiveStop(frame.stream, frame.code)
      default:
        this.#events.push({ type: 'frame', path, frame })
        return 'accepted'
    }
  }

  #onAck(ack: AckFrame, now: number): Verdict {
    const largest = ack.ranges[0]?.last ?? 0
    if (largest >= this.#nextNumber) return 'violation'
    this.#largestAcked = Math.max(this.#largestAcked, largest)
    for (const path of this.#paths.values()) path.recovery.onAck(ack, path.isIdle, now)
    return 'accepted'
  }

  /** Frames of the session go first, past the congestion window. */
  #nextPushed(now: number): NextDatagram | undefined {
    if (!this.#hasPushed) return undefined
    for (const path of this.#paths.values()) {
      if (path.peekPushed() === undefined) continue
      const datagram = this.#begin(path)
      const hasAck = this.#fillPushed(datagram, path, now)
      if (datagram.isEmpty) continue
      return this.#finish(datagram, path, hasAck, now)
    }
    this.#hasPushed = false
    return undefined
  }

  /** True when an ACK went along. */
  #fillPushed(datagram: OutgoingDatagram, path: Path, now: number): boolean {
    let hasAck = false
    for (let frame = path.peekPushed(); frame !== undefined; frame = path.peekPushed()) {
      if (frame.type === 'relay' || frame.type === 'relayed') {
        if (!datagram.isEmpty) return hasAck
        path.shiftPushed()
        if (1 + frame.prefix.length + frame.datagram.length > datagram.room) continue
        writeFrame(datagram.writer, frame)
        datagram.add(undefined, false)
        return false
      }
      if (datagram.isEmpty && this.#acks.isPending) hasAck = this.#acks.fill(datagram, now)
      if (datagram.room < CONTROL_BYTES) return hasAck
      path.shiftPushed()
      writeFrame(datagram.writer, frame)
      datagram.add(undefined, isAckEliciting(frame))
    }
    return hasAck
  }

  #nextData(now: number): NextDatagram | undefined {
    const path = this.#active
    if (path === undefined) return undefined
    const isProbe = path.recovery.probes > 0
    if (!isProbe) {
      if (!this.#canSend()) {
        path.onNothingToSend()
        return undefined
      }
      const delayMs = path.delayMs(now)
      if (delayMs !== 0) {
        this.#releaseAt = delayMs === undefined ? undefined : now + delayMs
        return undefined
      }
    }
    let datagram = this.#begin(path)
    let hasAck = this.#acks.isPending && this.#acks.fill(datagram, now)
    this.#fill(datagram, path, now)
    if (hasAck && !datagram.isEliciting) {
      // What waits may be too large to share a datagram with an ACK.
      datagram = this.#begin(path)
      hasAck = false
      this.#fill(datagram, path, now)
    }
    if (isProbe) {
      path.recovery.probes--
      if (!datagram.isEliciting) this.#fillPing(datagram)
    }
    if (datagram.isEliciting) return this.#finish(datagram, path, hasAck, now)
    path.onNothingToSend()
    return undefined
  }

  #nextAck(now: number): NextDatagram | undefined {
    const path = this.#pathForAcks()
    const dueAt = this.#acks.dueAt
    if (path === undefined || dueAt === undefined || dueAt > now) return undefined
    const datagram = this.#begin(path)
    const hasAck = this.#acks.fill(datagram, now)
    if (this.#acks.wantsPing) this.#fillPing(datagram)
    return this.#finish(datagram, path, hasAck, now)
  }

  #canSend(): boolean {
    return (
      this.#isPingDue ||
      this.#isWindowLost ||
      this.#window.isUpdateDue ||
      this.#streams.limitDue !== undefined ||
      this.#datagrams.size > 0 ||
      this.#outgoing.canSend ||
      this.#streams.out.canSend
    )
  }

  /**
   * What a datagram is filled with: window updates, lost data, then data in three classes that take
   * turns in being first: small messages with unreliable datagrams, large messages, streams.
   */
  #fill(datagram: OutgoingDatagram, path: Path, now: number): void {
    this.#fillControl(datagram, path, now)
    this.#outgoing.fillDamaged(datagram)
    this.#streams.out.fillDamaged(datagram)
    this.#turn = (this.#turn + 1) % TURNS
    for (let i = 0; i < TURNS && datagram.room > 0; i++) {
      const turn = (this.#turn + i) % TURNS
      if (turn === 0) {
        this.#fillDatagrams(datagram, path)
        this.#outgoing.fillSmall(datagram)
      } else if (turn === 1) this.#outgoing.fillLarge(datagram)
      else this.#streams.out.fillNew(datagram)
    }
    if (!this.#isPingDue) return
    if (datagram.isEliciting) this.#isPingDue = false
    else this.#fillPing(datagram)
  }

  #fillControl(datagram: OutgoingDatagram, path: Path, now: number): void {
    if ((this.#isWindowLost || this.#window.isUpdateDue) && datagram.room >= CONTROL_BYTES) {
      this.#isWindowLost = false
      this.#window.update(now, path.smoothedMs)
      writeFrame(datagram.writer, { type: 'maxData', bytes: this.#window.limit })
      datagram.add(this.#windowCarried, true)
    }
    const count = this.#streams.limitDue
    if (count !== undefined && datagram.room >= CONTROL_BYTES) {
      writeFrame(datagram.writer, { type: 'maxStreams', count })
      datagram.add(this.#limitCarried, true)
      this.#streams.onLimitSent()
    }
    this.#streams.out.fillAnnouncements(datagram, now, path.smoothedMs)
  }

  #fillDatagrams(datagram: OutgoingDatagram, path: Path): void {
    for (;;) {
      const data = this.#datagrams.peek()
      if (data === undefined) return
      const size = datagramFrameSize(data)
      if (size > datagram.room && size <= path.plaintextBytes) return
      this.#datagrams.shift()
      if (size > datagram.room) continue
      writeFrame(datagram.writer, { type: 'datagram', data })
      datagram.add(undefined, true)
    }
  }

  #fillPing(datagram: OutgoingDatagram): void {
    if (datagram.room < 1) return
    writeFrame(datagram.writer, { type: 'ping' })
    datagram.add(undefined, true)
    this.#isPingDue = false
  }

  #begin(path: Path): OutgoingDatagram {
    this.#scratch ??= new OutgoingDatagram()
    this.#scratch.begin(path.plaintextBytes)
    return this.#scratch
  }

  #finish(datagram: OutgoingDatagram, path: Path, hasAck: boolean, now: number): NextDatagram {
    const number = this.#nextNumber++
    const frames = datagram.writer.done()
    if (hasAck) this.#acks.onReported(!datagram.isEliciting)
    if (datagram.isEliciting) {
      const bytes = frames.length + SEAL_BYTES
      path.recovery.onSent(number, bytes, datagram.carried, now)
      path.onSent(bytes)
    }
    this.datagramsSent++
    return { path: path.number, number, largestAcked: this.#largestAcked, frames }
  }

  #pathForAcks(): Path | undefined {
    return this.#ackPath ?? this.#active
  }

  #path(path: number | undefined): Path | undefined {
    return path === undefined ? this.#active : this.#paths.get(path)
  }

  #loseWindow(): void {
    this.#isWindowLost = true
  }
}

/** Bytes that a DATAGRAM frame takes. */
function datagramFrameSize(data: Uint8Array): number {
  return 1 + varintSize(data.length) + data.length
}

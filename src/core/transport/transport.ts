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
import { Acks } from './acks.ts'
import type { Carried } from './carried.ts'
import { DatagramQueue } from './datagram-queue.ts'
import type { TransportEvent, Verdict } from './events.ts'
import { Fifo } from './fifo.ts'
import { PieceBudget, ReceiveWindow, SendCredit } from './flow.ts'
import { IncomingMessages } from './incoming-messages.ts'
import {
  CONNECTION_WINDOW,
  CONNECTION_WINDOW_MAX,
  INITIAL_RTT_MS,
  MESSAGE_BYTES_MAX,
  PIECES_MAX,
  PUSHED_IN_FLIGHT_MAX,
  SEAL_BYTES,
} from './limits.ts'
import { OutgoingDatagram } from './outgoing-datagram.ts'
import { OutgoingMessages } from './outgoing-messages.ts'
import type { Path, PathOptions } from './path.ts'
import { Paths } from './paths.ts'
import { type Reception, receptionOf } from './reception.ts'
import { Streams } from './streams.ts'
import { WindowUpdate } from './window-update.ts'

export type { TransportEvent } from './events.ts'
export type { PathOptions } from './path.ts'
export type { Reception } from './reception.ts'

export interface TransportOptions {
  /** Whether our streams are the even ones. */
  readonly isInitiator: boolean
  /** Where datagrams are filled. Others may share it: each is sealed before the next is begun. */
  readonly scratch?: OutgoingDatagram
}

/** The next datagram's plaintext. `frames` is valid until the next is begun. */
export interface NextDatagram {
  readonly path: number
  readonly number: number
  /** The largest of our numbers that the remote has acknowledged, −1 for none. */
  readonly largestAcked: number
  readonly frames: Uint8Array
}

/** Classes of data that take turns in being first in a datagram. */
const TURNS = 3

export class Transport {
  readonly #events = new Fifo<TransportEvent>()
  readonly #paths = new Paths()
  readonly #acks = new Acks()
  readonly #credit = new SendCredit(CONNECTION_WINDOW)
  readonly #window = new ReceiveWindow(CONNECTION_WINDOW, CONNECTION_WINDOW_MAX)
  readonly #windowUpdate = new WindowUpdate(this.#window)
  readonly #budget = new PieceBudget(PIECES_MAX)
  readonly #outgoing: OutgoingMessages
  readonly #incoming: IncomingMessages
  readonly #datagrams = new DatagramQueue()
  readonly #isInitiator: boolean
  /** Made with the first stream: most sessions have none. */
  #streams: Streams | undefined
  #hasPushed = false
  #isPingDue = false
  readonly #pingCarried: Carried = {
    acked: () => {},
    lost: () => {
      this.#isPingDue = true
    },
  }
  #turn = 0
  /** When `next` may have another datagram. */
  #releaseAt = Number.POSITIVE_INFINITY
  readonly #scratch: OutgoingDatagram
  #nextNumber = 0
  #largestAcked = -1

  constructor(options: TransportOptions) {
    this.#isInitiator = options.isInitiator
    this.#scratch = options.scratch ?? new OutgoingDatagram()
    this.#outgoing = new OutgoingMessages(this.#credit, this.#events)
    this.#incoming = new IncomingMessages(this.#window, this.#budget, this.#events)
  }

  /** Queues a message; returns its number. The payload is kept, not copied, until acknowledged. */
  sendMessage(payload: Uint8Array): number {
    const { length } = payload
    if (length < 1 || length > MESSAGE_BYTES_MAX)
      throw new UsageError('ETOOBIG', 'payload', `1 to ${MESSAGE_BYTES_MAX} bytes`, String(length))
    return this.#outgoing.send(payload)
  }

  /** Queues one unreliable datagram; false when it does not fit into one, or too many wait. */
  sendDatagram(payload: Uint8Array): boolean {
    const { active } = this.#paths
    return active !== undefined && this.#datagrams.push(payload, active.plaintextBytes)
  }

  openStream(): number {
    return this.#useStreams().open()
  }

  /** Queues bytes, which are kept, not copied, until acknowledged. Ignored once the stream broke. */
  writeStream(stream: number, data: Uint8Array): void {
    this.#useStreams().write(stream, data)
  }

  finishStream(stream: number): void {
    this.#useStreams().finish(stream)
  }

  /** Gives up both directions of a stream. */
  resetStream(stream: number, code: number): void {
    this.#useStreams().reset(stream, code)
  }

  /** Tells that the application took bytes that `streamData` gave. */
  consumeStream(stream: number, bytes: number): void {
    this.#useStreams().consume(stream, bytes)
  }

  /** Makes the next datagram on the active path ask for an acknowledgement, and others if it is lost. */
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
    this.#paths.add(path, options)
  }

  /** Forgets a path; what was in flight on it goes out again elsewhere. */
  removePath(path: number): void {
    this.#paths.remove(path)
  }

  /** Sends data by this path from here on. */
  setActivePath(path: number): void {
    this.#paths.activate(path)
  }

  /** Whether the remote receives there: until it has shown that, no acknowledgement goes that way. */
  setProved(path: number, isProved: boolean): void {
    const known = this.#paths.get(path)
    if (known !== undefined) known.isProved = isProved
  }

  /** Takes a round trip that a challenge measured, where no acknowledgement has measured one yet. */
  seedRtt(path: number, rttMs: number, now: number): void {
    const rtt = this.#paths.get(path)?.rtt
    if (rtt !== undefined && rtt.firstSampleAt === undefined) rtt.sample(rttMs, 0, now)
  }

  /** What is in flight on a path goes out again on the active one. */
  abandon(path: number): void {
    this.#paths.abandon(path)
  }

  /**
   * The plaintext of a datagram that says nothing and that nobody waits for. It takes a packet number,
   * or it could not be sealed, and leaves no other trace.
   */
  takeUntracked(bytes: number): Omit<NextDatagram, 'path'> {
    const number = this.#nextNumber++
    return { number, largestAcked: this.#largestAcked, frames: new Uint8Array(bytes) }
  }

  /** Forgets the backoff of a long silence and probes at once. */
  wake(): void {
    this.#paths.active?.recovery.wake()
  }

  /**
   * Takes an opened datagram and says what it was. After a violation the session should close.
   * `frames` is kept by events and by data that waits: it must not change.
   */
  receive(path: number, number: number, frames: Uint8Array, now: number): Reception {
    const decoded = decodeFrames(frames)
    if (decoded === MALFORMED) return 'violation'
    let isEliciting = false
    let isRefused = false
    for (const frame of decoded) {
      const verdict = this.#handle(path, frame, now)
      if (verdict === 'violation') return 'violation'
      if (verdict === 'refused') isRefused = true
      if (isAckEliciting(frame)) isEliciting = true
    }
    const reception = receptionOf(decoded)
    if (isRefused) return reception
    if (isEliciting && reception !== 'aside') this.#paths.onAsked(path)
    this.#acks.onReceived(number, isEliciting, now)
    return reception
  }

  /** The plaintext of the next datagram; undefined when nothing may be sent at this time. */
  next(now: number): NextDatagram | undefined {
    this.#releaseAt = Number.POSITIVE_INFINITY
    const next = this.#nextPushed(now) ?? this.#nextData(now) ?? this.#nextAck(now)
    // Until `next` yields nothing there may be more: a driver that stops early is called back at once.
    if (next !== undefined) this.#releaseAt = now
    return next
  }

  /** When `onDeadline` is due, and why. Any other call may change it. */
  deadline(): Deadline | undefined {
    const timerAt = this.#paths.timerAt()
    const canAck = this.#paths.forAcks !== undefined
    const ackAt = canAck ? this.#acks.dueAt : Number.POSITIVE_INFINITY
    const at = Math.min(timerAt, ackAt, this.#releaseAt)
    if (at === Number.POSITIVE_INFINITY) return undefined
    const reason = at === ackAt ? 'ack' : at === timerAt ? 'recovery' : 'send'
    return { at: at as Instant, reason }
  }

  /** Runs the timers that are due; `next` then yields what they ask to send. */
  onDeadline(now: number): void {
    this.#paths.onTimers(now)
  }

  poll(): TransportEvent | undefined {
    return this.#events.shift()
  }

  /** Smoothed round-trip time of a path, by default the active one; a guess until measured. */
  rttMs(path?: number): number {
    return this.#path(path)?.rtt.smoothedMs ?? INITIAL_RTT_MS
  }

  congestionWindowBytes(path?: number): number {
    return this.#path(path)?.windowBytes ?? 0
  }

  get bytesInFlight(): number {
    return this.#paths.bytesInFlight
  }

  /** Application data is queued or on its way. */
  get hasUnacked(): boolean {
    return this.#outgoing.unackedCount > 0 || (this.#streams?.out.unackedCount ?? 0) > 0
  }

  /** Since when the active path owes us an acknowledgement. */
  get owedSince(): number | undefined {
    return this.#paths.active?.recovery.owedSince
  }

  /** When the newest acknowledged datagram of the active path was sent. */
  get ackedSentAt(): number | undefined {
    return this.#paths.active?.recovery.ackedSentAt
  }

  /** RFC 9002 §6.2.1, of the active path and before backoff. */
  get probeTimeoutMs(): number {
    return this.#paths.active?.rtt.probeTimeoutMs ?? INITIAL_RTT_MS
  }

  /** Probe timeouts of the active path since the remote acknowledged anything there. */
  get ptoCount(): number {
    return this.#paths.active?.recovery.timeouts ?? 0
  }

  /** Bytes of messages and streams that were never sent. */
  get backlogBytes(): number {
    return this.#outgoing.unsentBytes + (this.#streams?.out.unsentBytes ?? 0)
  }

  get largestAcked(): number {
    return this.#largestAcked
  }

  get openStreams(): number {
    return this.#streams?.openCount ?? 0
  }

  #handle(path: number, frame: Frame, now: number): Verdict {
    switch (frame.type) {
      case 'ping':
        return 'accepted'
      case 'ack':
        return this.#onAck(frame, now)
      case 'message':
        return this.#incoming.receive(frame)
      case 'datagram':
        this.#events.push({ type: 'datagram', payload: frame.data })
        return 'accepted'
      case 'maxData':
        this.#credit.raise(frame.bytes)
        return 'accepted'
      case 'stream':
      case 'resetStream':
      case 'stopSending':
      case 'maxStream':
      case 'maxStreams':
        return this.#useStreams().handle(frame)
      default:
        this.#events.push({ type: 'frame', path, frame })
        return 'accepted'
    }
  }

  #onAck(ack: AckFrame, now: number): Verdict {
    const largest = ack.ranges[0]?.last ?? 0
    if (largest >= this.#nextNumber) return 'violation'
    this.#largestAcked = Math.max(this.#largestAcked, largest)
    this.#paths.onAck(ack, now)
    return 'accepted'
  }

  /** Frames of the session go first, past the congestion window. */
  #nextPushed(now: number): NextDatagram | undefined {
    if (!this.#hasPushed) return undefined
    for (const path of this.#paths.all()) {
      if (!path.hasPushed) continue
      const datagram = this.#begin(path)
      const hasAck = path.fillPushed(datagram, this.#acks, now)
      if (datagram.isEmpty) continue
      const isTracked = path.recovery.tracked < PUSHED_IN_FLIGHT_MAX
      return this.#finish(datagram, path, hasAck, isTracked, now)
    }
    this.#hasPushed = false
    return undefined
  }

  #nextData(now: number): NextDatagram | undefined {
    const path = this.#paths.active
    if (path === undefined) return undefined
    const isProbe = path.recovery.probes > 0
    if (!isProbe && !this.#mayFlow(path, now)) return undefined
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
    if (datagram.isEliciting) return this.#finish(datagram, path, hasAck, true, now)
    path.onNothingToSend()
    return undefined
  }

  #nextAck(now: number): NextDatagram | undefined {
    const path = this.#paths.forAcks
    if (path === undefined || this.#acks.dueAt > now) return undefined
    const datagram = this.#begin(path)
    const hasAck = this.#acks.fill(datagram, now)
    if (this.#acks.wantsPing) this.#fillPing(datagram)
    return this.#finish(datagram, path, hasAck, true, now)
  }

  /** Whether there is data that window and pacing let go. */
  #mayFlow(path: Path, now: number): boolean {
    if (!this.#canSend()) {
      path.onNothingToSend()
      return false
    }
    const delayMs = path.delayMs(now)
    if (delayMs !== undefined && delayMs > 0) this.#releaseAt = now + delayMs
    return delayMs === 0
  }

  #canSend(): boolean {
    return (
      this.#isPingDue ||
      this.#windowUpdate.isDue ||
      this.#datagrams.size > 0 ||
      this.#outgoing.canSend ||
      this.#streams?.canSend === true
    )
  }

  /**
   * What a datagram is filled with: window updates, lost data, then data in three classes that take
   * turns in being first: small messages with unreliable datagrams, large messages, streams.
   */
  #fill(datagram: OutgoingDatagram, path: Path, now: number): void {
    this.#windowUpdate.fill(datagram, now, path.smoothedMs)
    this.#streams?.fillControl(datagram, now, path.smoothedMs)
    this.#outgoing.fillDamaged(datagram)
    this.#streams?.out.fillDamaged(datagram)
    this.#turn = (this.#turn + 1) % TURNS
    for (let i = 0; i < TURNS && datagram.room > 0; i++) {
      const turn = (this.#turn + i) % TURNS
      if (turn === 0) {
        this.#datagrams.fill(datagram, path.plaintextBytes)
        this.#outgoing.fillSmall(datagram)
      } else if (turn === 1) this.#outgoing.fillLarge(datagram)
      else this.#streams?.out.fillNew(datagram)
    }
    if (!this.#isPingDue) return
    if (datagram.isEliciting) this.#isPingDue = false
    else this.#fillPing(datagram)
  }

  #fillPing(datagram: OutgoingDatagram): void {
    if (datagram.room < 1) return
    writeFrame(datagram.writer, { type: 'ping' })
    datagram.add(this.#pingCarried, true)
    this.#isPingDue = false
  }

  #begin(path: Path): OutgoingDatagram {
    this.#scratch.begin(path.plaintextBytes)
    return this.#scratch
  }

  #finish(
    datagram: OutgoingDatagram,
    path: Path,
    hasAck: boolean,
    isTracked: boolean,
    now: number,
  ): NextDatagram {
    const number = this.#nextNumber++
    const frames = datagram.writer.done()
    if (hasAck) this.#acks.onReported(!datagram.isEliciting)
    if (datagram.isEliciting && isTracked) {
      const bytes = frames.length + SEAL_BYTES
      path.recovery.onSent(number, bytes, datagram.carried, now)
      path.onSent(bytes)
    }
    return { path: path.number, number, largestAcked: this.#largestAcked, frames }
  }

  #path(path: number | undefined): Path | undefined {
    return path === undefined ? this.#paths.active : this.#paths.get(path)
  }

  #useStreams(): Streams {
    this.#streams ??= new Streams(
      this.#isInitiator,
      this.#credit,
      this.#window,
      this.#budget,
      this.#events,
    )
    return this.#streams
  }
}

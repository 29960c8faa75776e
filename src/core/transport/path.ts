import { isAckEliciting, PEER_PREFIX_BYTES, type SessionFrame, writeFrame } from '../wire/frames.ts'
import type { Acks } from './acks.ts'
import { Cubic } from './cubic.ts'
import { Fifo } from './fifo.ts'
import { CONTROL_BYTES, DATAGRAMS_IN_FLIGHT_MAX, SEAL_BYTES, SESSION_FRAMES_MAX } from './limits.ts'
import type { OutgoingDatagram } from './outgoing-datagram.ts'
import { type PacedPath, Pacer } from './pacer.ts'
import { Recovery } from './recovery.ts'
import { Rtt } from './rtt.ts'

export interface PathOptions {
  /** UDP payload that the path carries, seal included. */
  readonly datagramBytes: number
  /** The same for datagrams that carry another inside RELAY or RELAYED; by default no more. */
  readonly wrapBytes?: number
  /** False until the remote has shown that it receives there; by default true. */
  readonly isProved?: boolean
  /** A round trip already measured on this path, by the handshake or a challenge. */
  readonly rttMs?: number
}

/** What one path has of its own: round-trip time, congestion control, losses, frames pushed to it. */
export class Path implements PacedPath {
  readonly number: number
  readonly rtt = new Rtt()
  readonly cubic: Cubic
  readonly recovery: Recovery
  readonly #pacer = new Pacer()
  /** The remote has shown that it receives here: acknowledgements may come this way. */
  isProved: boolean
  #datagramBytes: number
  readonly #wrapBytes: number
  #pushed: Fifo<SessionFrame> | undefined
  /** Neither window nor pacing held sending back last time. */
  #isIdle = true

  constructor(number: number, options: PathOptions) {
    const { datagramBytes, wrapBytes = datagramBytes, isProved = true, rttMs } = options
    this.number = number
    this.isProved = isProved
    this.#datagramBytes = datagramBytes
    this.#wrapBytes = wrapBytes
    this.cubic = new Cubic(datagramBytes)
    this.recovery = new Recovery(this.rtt, this.cubic)
    if (rttMs !== undefined) this.rtt.seed(rttMs)
  }

  get datagramBytes(): number {
    return this.#datagramBytes
  }

  get plaintextBytes(): number {
    return this.#datagramBytes - SEAL_BYTES
  }

  /** Plaintext that a RELAY or RELAYED frame may fill. */
  get wrapPlaintextBytes(): number {
    return Math.max(this.#datagramBytes, this.#wrapBytes) - SEAL_BYTES
  }

  get windowBytes(): number {
    return this.cubic.windowBytes
  }

  get smoothedMs(): number {
    return this.rtt.smoothedMs
  }

  get isSlowStart(): boolean {
    return this.cubic.isSlowStart
  }

  get isIdle(): boolean {
    return this.#isIdle
  }

  resize(datagramBytes: number): void {
    this.#datagramBytes = datagramBytes
    this.cubic.resize(datagramBytes)
  }

  get hasWindow(): boolean {
    const { bytesInFlight, tracked } = this.recovery
    return (
      bytesInFlight + this.#datagramBytes <= this.cubic.windowBytes &&
      tracked < DATAGRAMS_IN_FLIGHT_MAX
    )
  }

  /** Notes that there was nothing to send. */
  onNothingToSend(): void {
    this.#isIdle = this.hasWindow
  }

  /** Milliseconds until a datagram may leave: 0, or undefined for when something is acknowledged. */
  delayMs(now: number): number | undefined {
    this.#isIdle = false
    return this.hasWindow ? this.#pacer.delayMs(this, now) : undefined
  }

  onSent(bytes: number): void {
    this.#pacer.onSent(bytes)
  }

  /** Frames beyond the bound are dropped: the session repeats what matters. */
  push(frame: SessionFrame): void {
    this.#pushed ??= new Fifo()
    if (this.#pushed.size < SESSION_FRAMES_MAX) this.#pushed.push(frame)
  }

  get hasPushed(): boolean {
    return this.#pushed !== undefined && this.#pushed.size > 0
  }

  /** Fills a datagram with pushed frames, an ACK in front if one waits; true when it went along. */
  fillPushed(datagram: OutgoingDatagram, acks: Acks, now: number): boolean {
    let hasAck = false
    for (let frame = this.#pushed?.peek(); frame !== undefined; frame = this.#pushed?.peek()) {
      if (frame.type === 'relay' || frame.type === 'relayed') {
        if (!datagram.isEmpty) return hasAck
        datagram.begin(this.wrapPlaintextBytes)
        this.#pushed?.shift()
        // What another path brought may be too large for this one.
        if (1 + PEER_PREFIX_BYTES + frame.datagram.length > datagram.room) continue
        writeFrame(datagram.writer, frame)
        datagram.add(undefined, false)
        return false
      }
      if (datagram.isEmpty && this.isProved && acks.isPending) hasAck = acks.fill(datagram, now)
      if (datagram.room < CONTROL_BYTES) return hasAck
      this.#pushed?.shift()
      writeFrame(datagram.writer, frame)
      datagram.add(undefined, isAckEliciting(frame))
    }
    return hasAck
  }
}

import type { AckFrame } from '../wire/frames.ts'
import type { Carried } from './carried.ts'
import type { Cubic } from './cubic.ts'
import {
  GRANULARITY_MS,
  PACKET_THRESHOLD,
  PERSISTENT_CONGESTION_TIMEOUTS,
  PROBES,
  TIME_THRESHOLD,
} from './limits.ts'
import type { Rtt } from './rtt.ts'

const IN_FLIGHT = 0
const ACKED = 1
const LOST = 2

interface SentDatagram {
  readonly number: number
  /** Counts the datagrams of this path alone: numbers are shared by all paths. */
  readonly order: number
  readonly sentAt: number
  readonly bytes: number
  readonly carried: readonly Carried[]
  state: typeof IN_FLIGHT | typeof ACKED | typeof LOST
}

/**
 * Loss detection of one path (RFC 9002 §6 and appendix A). Remembers the ack-eliciting datagrams in
 * flight, oldest first, finds what was acknowledged or lost, and keeps the loss and probe timers.
 * Acknowledgements cost constant time per datagram on average, plus a binary search per range.
 */
export class Recovery {
  readonly #rtt: Rtt
  readonly #cubic: Cubic
  #sent: SentDatagram[] = []
  #head = 0
  #nextOrder = 0
  #largestAckedOrder = -1
  /** Losses of datagrams older than this belong to a reduction already made. */
  #reducedBefore = 0
  #lossAt: number | undefined
  #lastSentAt = 0
  bytesInFlight = 0
  /** Probe timeouts since something was acknowledged. */
  timeouts = 0
  /** When the newest datagram that was acknowledged had been sent: the path worked then. */
  ackedSentAt: number | undefined
  /** Datagrams to send whatever the congestion window says. */
  probes = 0

  constructor(rtt: Rtt, cubic: Cubic) {
    this.#rtt = rtt
    this.#cubic = cubic
  }

  onSent(number: number, bytes: number, carried: readonly Carried[], now: number): void {
    const order = this.#nextOrder++
    this.#sent.push({ number, order, sentAt: now, bytes, carried, state: IN_FLIGHT })
    this.bytesInFlight += bytes
    this.#lastSentAt = now
  }

  /** `isIdle`: the window was not what held sending back. True when anything is newly acknowledged. */
  onAck(ack: AckFrame, isIdle: boolean, now: number): boolean {
    if (this.bytesInFlight === 0) return false
    let newest: SentDatagram | undefined
    for (const range of ack.ranges) {
      if (range.last < this.#oldestNumber()) break
      newest = this.#ackRange(range.first, range.last, newest, ack, isIdle, now)
    }
    if (newest === undefined) return false
    this.timeouts = 0
    this.probes = 0
    if (newest.order > this.#largestAckedOrder) {
      this.#largestAckedOrder = newest.order
      this.ackedSentAt = newest.sentAt
    }
    this.#detectLost(now)
    return true
  }

  /**
   * Since when an acknowledgement is owed: the first datagram left then of which neither it nor a
   * later one was acknowledged. Unlike `timeouts`, which all that is sent puts off, its age rises
   * under traffic.
   */
  get owedSince(): number | undefined {
    for (let i = this.#head; i < this.#sent.length; i++) {
      const datagram = this.#sent[i]
      if (datagram === undefined) return undefined
      if (datagram.state === IN_FLIGHT && datagram.order > this.#largestAckedOrder) {
        return datagram.sentAt
      }
    }
    return undefined
  }

  /** Datagrams remembered. */
  get tracked(): number {
    return this.#sent.length - this.#head
  }

  /** When to call `onTimer`; undefined with nothing in flight. */
  timerAt(): number | undefined {
    if (this.bytesInFlight === 0) return undefined
    return this.#lossAt ?? this.#lastSentAt + this.#rtt.backoffMs(this.timeouts)
  }

  /** Declares losses that are due; true when instead the probe timer has run out. */
  onTimer(now: number): boolean {
    const at = this.timerAt()
    if (at === undefined || at > now) return false
    if (this.#lossAt === undefined) return true
    this.#detectLost(now)
    return false
  }

  /** The probe timer ran out: repeats what may be lost, past the congestion window. */
  onTimeout(): void {
    this.timeouts++
    this.#probe(PROBES)
  }

  /** Forgets the backoff and probes at once: for a remote that may be there again. */
  wake(): void {
    this.timeouts = 0
    this.#probe(1)
  }

  #probe(count: number): void {
    this.probes = count
    let repeated = 0
    for (let i = this.#head; i < this.#sent.length && repeated < count; i++) {
      const datagram = this.#sent[i]
      if (datagram?.state !== IN_FLIGHT) continue
      for (const carried of datagram.carried) carried.lost()
      repeated++
    }
  }

  /** Gives up all that is in flight, without blame on the path's capacity. */
  abandon(): void {
    const abandoned = this.#sent
    const from = this.#head
    this.#sent = []
    this.#head = 0
    this.bytesInFlight = 0
    this.#lossAt = undefined
    this.timeouts = 0
    this.probes = 0
    for (let i = from; i < abandoned.length; i++) {
      const datagram = abandoned[i]
      if (datagram?.state !== IN_FLIGHT) continue
      for (const carried of datagram.carried) carried.lost()
    }
  }

  #ackRange(
    first: number,
    last: number,
    newestSoFar: SentDatagram | undefined,
    ack: AckFrame,
    isIdle: boolean,
    now: number,
  ): SentDatagram | undefined {
    let newest = newestSoFar
    const end = this.#indexOf(last + 1)
    // Newest first: the round-trip time is known before the window grows by it.
    for (let i = end - 1; i >= this.#head; i--) {
      const datagram = this.#sent[i]
      if (datagram === undefined || datagram.number < first) break
      if (datagram.state !== IN_FLIGHT) continue
      if (newest === undefined) {
        newest = datagram
        this.#sampleRtt(datagram, ack, now)
      }
      datagram.state = ACKED
      this.bytesInFlight -= datagram.bytes
      if (datagram.order >= this.#reducedBefore)
        this.#cubic.onAcked(datagram.bytes, now, this.#rtt.smoothedMs, isIdle)
      for (const carried of datagram.carried) carried.acked()
    }
    return newest
  }

  /**
   * RFC 9002 §5.1: a sample needs the largest number of the ACK to be this datagram's. Where an
   * ACK-only datagram, which is not remembered, was larger, the sample is late by the delay of the
   * acknowledgement: good enough for a path that has none.
   */
  #sampleRtt(datagram: SentDatagram, ack: AckFrame, now: number): void {
    const isExact = ack.ranges[0]?.last === datagram.number
    if (!isExact && this.#rtt.firstSampleAt !== undefined) return
    const latestMs = now - datagram.sentAt
    this.#rtt.sample(latestMs, isExact ? ack.delayUs / 1000 : 0, now)
    this.#cubic.onRtt(datagram.order, this.#nextOrder, latestMs)
  }

  /** RFC 9002 §6.1: lost is what lies three datagrams or 9/8 of a round trip behind one acknowledged. */
  #detectLost(now: number): void {
    const { latestMs, smoothedMs } = this.#rtt
    const delayMs = Math.max(TIME_THRESHOLD * Math.max(latestMs, smoothedMs), GRANULARITY_MS)
    let mustReduce = false
    let runFrom: number | undefined
    let longestRunMs = 0
    this.#lossAt = undefined
    for (let i = this.#head; i < this.#sent.length; i++) {
      const datagram = this.#sent[i]
      if (datagram === undefined || datagram.order > this.#largestAckedOrder) break
      if (datagram.state !== IN_FLIGHT) {
        if (datagram.state === ACKED) runFrom = undefined
        continue
      }
      const isFarBehind = datagram.order <= this.#largestAckedOrder - PACKET_THRESHOLD
      if (!isFarBehind && datagram.sentAt + delayMs > now) {
        this.#lossAt = datagram.sentAt + delayMs
        break
      }
      this.#lose(datagram)
      if (datagram.order >= this.#reducedBefore) mustReduce = true
      if (datagram.sentAt >= (this.#rtt.firstSampleAt ?? Number.POSITIVE_INFINITY)) {
        runFrom ??= datagram.sentAt
        longestRunMs = Math.max(longestRunMs, datagram.sentAt - runFrom)
      }
    }
    if (mustReduce) {
      this.#cubic.onCongestion()
      this.#reducedBefore = this.#nextOrder
    }
    if (longestRunMs > PERSISTENT_CONGESTION_TIMEOUTS * this.#rtt.probeTimeoutMs)
      this.#cubic.onPersistentCongestion()
    this.#forgetSettled()
  }

  #lose(datagram: SentDatagram): void {
    datagram.state = LOST
    this.bytesInFlight -= datagram.bytes
    for (const carried of datagram.carried) carried.lost()
  }

  #forgetSettled(): void {
    const sent = this.#sent
    while (this.#head < sent.length && sent[this.#head]?.state !== IN_FLIGHT) this.#head++
    if (this.#head === sent.length) {
      sent.length = 0
      this.#head = 0
    } else if (this.#head >= 64 && this.#head * 2 >= sent.length) {
      sent.splice(0, this.#head)
      this.#head = 0
    }
  }

  #oldestNumber(): number {
    return this.#sent[this.#head]?.number ?? Number.POSITIVE_INFINITY
  }

  /** Index of the first datagram whose number is not below `number`. */
  #indexOf(number: number): number {
    let low = this.#head
    let high = this.#sent.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#sent[middle]?.number ?? 0) < number) low = middle + 1
      else high = middle
    }
    return low
  }
}

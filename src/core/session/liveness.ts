import type { Deadline, Instant } from '../io.ts'

/**
 * How long a session may be silent: when to ping, and when the remote counts as lost. It decides
 * nothing about paths.
 *
 * Pings keep NAT mappings open, and one side's ping serves both. After a flow of data stops, a few come
 * sooner: a side that only received has nothing unacknowledged by which it would notice that its NAT
 * forgot it.
 */
/** Below 20 s, the shortest mapping lifetime of the NAT lab (natlab.md §3). */
export const KEEPALIVE_MS = 15_000
/** transport.md §5.9. */
const KEEPALIVE_MIN_MS = 10_000
const KEEPALIVE_MAX_MS = 120_000
/** The responder waits so much longer, that the initiator's ping may come first. */
const LAG_SHARE = 0.2
const FLOW_LAG_SHARE = 0.1
/** Whoever pings after a flow does so in the last quarter of the time, and serves both sides. */
const FLOW_HEARD_SHARE = 0.75
/** Two keepalives unanswered, and a few probes. */
const LOST_SLACK_MS = 2_000
/** Data that came for so long without a gap as long is a flow. Guess: above a question and its answer. */
const FLOW_MS = 1_000
/** So long after a flow's last datagram, something should have been heard again. Guesses. */
const AFTER_FLOW_MS: readonly number[] = [1_000, 3_000, 7_000]
/** After one whose gaps are shorter than this, the first of these: others would draw a ping a datagram. */
const DENSE_MS = 500
const AFTER_DENSE_MS: readonly number[] = [DENSE_MS, ...AFTER_FLOW_MS.slice(1)]

export class Liveness {
  readonly #isInitiator: boolean
  #keepaliveMs = KEEPALIVE_MS
  #isDormant = false
  #lastReceivedAt: Instant
  #pingedAt: Instant
  /** Silence counts from here: when the session was last roused. */
  #rousedAt: Instant
  #flowSince: Instant
  #denseSince: Instant
  #dataAt: Instant
  #afterMs = AFTER_FLOW_MS
  #flowPings = AFTER_FLOW_MS.length

  constructor(isInitiator: boolean, now: Instant) {
    this.#isInitiator = isInitiator
    this.#lastReceivedAt = now
    this.#pingedAt = now
    this.#rousedAt = now
    this.#flowSince = now
    this.#denseSince = now
    this.#dataAt = now
  }

  get isDormant(): boolean {
    return this.#isDormant
  }

  get keepaliveMs(): number {
    return this.#keepaliveMs
  }

  set keepaliveMs(keepaliveMs: number) {
    this.#keepaliveMs = Math.min(KEEPALIVE_MAX_MS, Math.max(KEEPALIVE_MIN_MS, keepaliveMs))
  }

  setDormant(isDormant: boolean, now: Instant): void {
    if (this.#isDormant && !isDormant) this.rouse(now)
    this.#isDormant = isDormant
  }

  /** Something is to be said: silence counts again, from here. */
  rouse(now: Instant): void {
    if (!this.#isDormant) return
    this.#isDormant = false
    this.#rousedAt = now
    this.#pingedAt = now
  }

  heard(now: Instant): void {
    this.#lastReceivedAt = now
  }

  /** Data for the application came. */
  heardData(now: Instant): void {
    this.rouse(now)
    const gapMs = now - this.#dataAt
    if (gapMs >= FLOW_MS) this.#flowSince = now
    if (gapMs >= DENSE_MS) this.#denseSince = now
    this.#dataAt = now
    const isFlow = now - this.#flowSince >= FLOW_MS
    this.#afterMs = now - this.#denseSince >= FLOW_MS ? AFTER_DENSE_MS : AFTER_FLOW_MS
    this.#flowPings = isFlow ? 0 : AFTER_FLOW_MS.length
  }

  /** The host slept: what it missed is forgiven, by half. */
  wake(now: Instant): void {
    this.#lastReceivedAt = Math.max(
      this.#lastReceivedAt,
      now - lostMs(this.#keepaliveMs) / 2,
    ) as Instant
  }

  /** Whether to ping. */
  takePing(now: Instant): boolean {
    if (this.#isDormant) return false
    if (now >= this.#keepaliveAt()) {
      this.#pingedAt = now
      return true
    }
    const flowPingAt = this.#flowPingAt()
    if (flowPingAt === undefined || now < flowPingAt) return false
    const dueMs = this.#afterMs[this.#flowPings++] ?? 0
    return this.#lastReceivedAt < this.#dataAt + FLOW_HEARD_SHARE * dueMs
  }

  /** `owes`: something that we sent is unacknowledged. */
  isLost(now: Instant, owes: boolean): boolean {
    return (owes || !this.#isDormant) && now >= this.#lostAt()
  }

  deadline(owes: boolean): Deadline | undefined {
    const lost: Deadline = { at: this.#lostAt(), reason: 'lost' }
    if (this.#isDormant) return owes ? lost : undefined
    const pingAt = Math.min(this.#keepaliveAt(), this.#flowPingAt() ?? Number.POSITIVE_INFINITY)
    return pingAt < lost.at ? { at: pingAt as Instant, reason: 'keepalive' } : lost
  }

  #keepaliveAt(): number {
    const lagShare = this.#isInitiator ? 0 : LAG_SHARE
    return Math.max(this.#lastReceivedAt, this.#pingedAt) + this.#keepaliveMs * (1 + lagShare)
  }

  #flowPingAt(): number | undefined {
    const dueMs = this.#afterMs[this.#flowPings]
    const lagShare = this.#isInitiator ? 0 : FLOW_LAG_SHARE
    return dueMs && this.#dataAt + dueMs * (1 + lagShare)
  }

  #lostAt(): Instant {
    return (Math.max(this.#lastReceivedAt, this.#rousedAt) + lostMs(this.#keepaliveMs)) as Instant
  }
}

function lostMs(keepaliveMs: number): number {
  return 2 * keepaliveMs + LOST_SLACK_MS
}

/** After so much silence the remote counts as lost, unless its NAT asks for another keepalive. */
export const LOST_MS = lostMs(KEEPALIVE_MS)

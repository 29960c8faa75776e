import { TimerQueue } from '../collections/timer-queue.ts'
import type { Random } from '../crypto.ts'
import type { Deadline, Instant, PeerId } from '../io.ts'
import type { ReconcileScope } from './reconcile/reconciler.ts'

/**
 * When packets are compared with which neighbour: at once with the first that we meet or meet again,
 * then with one at a time, as often as peers come and go. Decides that alone; how sets are compared
 * is `reconcile/`, what they hold `cache/`.
 */

/** New contacts compared at once, and the time in which no more are. Guess: two agree, one differs. */
const AT_ONCE = 3
const AT_ONCE_MS = 2_000
/** After a new contact, so that it has told what it keeps. */
const GREET_MS = 20
/** gossip §5.3: packets survive when they are copied five times within a stay. */
const STAY_PARTS = 5
const PERIOD_MIN_MS = 1_000
/** DESIGN §8: a stay of half an hour asks for less than six minutes. */
const PERIOD_MAX_MS = 300_000
/** After packets came: what this neighbour missed another may have. Guess. */
const BUSY_MS = 5_000
/** A neighbour was busy or silent: another is tried after this. Guess. */
const AGAIN_MS = 200

export interface RepairHost {
  /** Neighbours in contact and awake. */
  partners(): readonly PeerId[]
  /** What we have in common with one of them. */
  scopes(peer: PeerId): readonly ReconcileScope[]
  begin(peer: PeerId, scope: ReconcileScope, now: Instant): void
  /** How long peers stay, as far as was seen. */
  meanStayMs(): number | undefined
}

export class Repair {
  readonly #random: Random
  readonly #host: RepairHost
  readonly #greeted = new TimerQueue<PeerId>()
  /** Scopes yet to be compared with a neighbour, one after the other. */
  readonly #waiting = new Map<PeerId, ReconcileScope[]>()
  #greetings: Instant[] = []
  #nextAt: Instant

  constructor(options: { random: Random; host: RepairHost }, now: Instant) {
    this.#random = options.random
    this.#host = options.host
    this.#nextAt = (now + BUSY_MS) as Instant
  }

  /** A neighbour is in contact, for the first time or again, and it is for us to begin. */
  met(peer: PeerId, now: Instant): void {
    this.#greetings = this.#greetings.filter((at) => at > now - AT_ONCE_MS)
    if (this.#greetings.length >= AT_ONCE) return this.changed(now)
    this.#greetings.push(now)
    this.#greeted.set(peer, now + GREET_MS, 'reconcile')
  }

  gone(peer: PeerId): void {
    this.#greeted.clear(peer)
    this.#waiting.delete(peer)
  }

  /** A comparison with this neighbour is over. */
  ended(peer: PeerId, now: Instant): void {
    const scopes = this.#waiting.get(peer)
    const next = scopes?.shift()
    if (next === undefined) this.#waiting.delete(peer)
    else this.#host.begin(peer, next, now)
  }

  /** Something came that others may lack, or have more of. */
  changed(now: Instant): void {
    this.#nextAt = Math.min(this.#nextAt, now + BUSY_MS) as Instant
  }

  /** A comparison came to nothing: with another neighbour, soon. */
  failed(now: Instant): void {
    this.#nextAt = Math.min(this.#nextAt, now + AGAIN_MS) as Instant
  }

  deadline(): Deadline {
    const first = this.#greeted.earliest()
    if (first !== undefined && first.at < this.#nextAt)
      return { at: first.at as Instant, reason: first.reason }
    return { at: this.#nextAt, reason: 'reconcile' }
  }

  onDeadline(now: Instant): void {
    for (;;) {
      const peer = this.#greeted.takeDue(now)
      if (peer === undefined) break
      this.#compare(peer, now)
    }
    if (this.#nextAt > now) return
    this.#nextAt = (now + this.#periodMs()) as Instant
    const partners = [...this.#host.partners()]
    while (partners.length > 0) {
      const [peer] = partners.splice(Math.floor(this.#draw() * partners.length), 1)
      if (peer !== undefined && this.#compare(peer, now)) return
    }
  }

  /** False: there is nothing to compare with it. */
  #compare(peer: PeerId, now: Instant): boolean {
    if (this.#waiting.has(peer)) return true
    const [first, ...others] = this.#host.scopes(peer)
    if (first === undefined) return false
    this.#waiting.set(peer, others)
    this.#host.begin(peer, first, now)
    return true
  }

  #periodMs(): number {
    const stayMs = this.#host.meanStayMs() ?? STAY_PARTS * PERIOD_MAX_MS
    const periodMs = Math.min(PERIOD_MAX_MS, Math.max(PERIOD_MIN_MS, stayMs / STAY_PARTS))
    return periodMs * (0.8 + 0.4 * this.#draw())
  }

  /** In [0, 1). */
  #draw(): number {
    const [a = 0, b = 0] = this.#random.bytes(2)
    return (256 * a + b) / 65_536
  }
}

import type { Deadline, Instant } from '../io.ts'

/**
 * When neighbours are told anew what we follow, and its places are looked for: at once, and then at most
 * every so often, for what we follow changes many times in a row. What that is, is not its business.
 */
/**
 * Guess: members come one by one, each of them a mailbox. Who hears of one this late compares the later, and
 * members of a subcluster are given what is published in it whether they told or not.
 */
const GAP_MS = 100

export interface InterestHost {
  now(): Instant
  tell(): void
}

export class Interest {
  readonly #host: InterestHost
  #at: Instant | undefined
  #nextAt = 0 as Instant

  constructor(host: InterestHost) {
    this.#host = host
  }

  /** Never due before now: a deadline that has long passed looks as if we had slept. */
  changed(): void {
    this.#at ??= Math.max(this.#host.now(), this.#nextAt) as Instant
  }

  deadline(): Deadline | undefined {
    return this.#at === undefined ? undefined : { at: this.#at, reason: 'interest' }
  }

  onDeadline(now: Instant): void {
    if (this.#at === undefined || now < this.#at) return
    this.#at = undefined
    this.#nextAt = (now + GAP_MS) as Instant
    this.#host.tell()
  }
}

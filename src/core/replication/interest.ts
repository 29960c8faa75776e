import type { Deadline, Instant } from '../io.ts'

/**
 * When neighbours are told anew what we follow, and its places are looked for: at once, and then at most
 * every so often, for what we follow changes many times in a row. What that is, is not its business.
 */
/**
 * Guess: members come one by one, each of them a mailbox. Who hears of one this late compares the later, and
 * members of a subcluster are given what is published in it whether they told or not.
 */
const GAP_MS = 1_000

export class Interest {
  readonly #tell: () => void
  #isChanged = false
  #nextAt: Instant

  constructor(tell: () => void, now: Instant) {
    this.#tell = tell
    this.#nextAt = now
  }

  changed(): void {
    this.#isChanged = true
  }

  deadline(): Deadline | undefined {
    return this.#isChanged ? { at: this.#nextAt, reason: 'interest' } : undefined
  }

  onDeadline(now: Instant): void {
    if (!this.#isChanged || now < this.#nextAt) return
    this.#isChanged = false
    this.#nextAt = (now + GAP_MS) as Instant
    this.#tell()
  }
}

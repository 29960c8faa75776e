import { BoundedMap } from '../collections/bounded-map.ts'
import { TokenBucket } from '../collections/token-bucket.ts'
import type { Instant } from '../io.ts'

/**
 * What all traversals of a peer together may send to ports that nobody has answered from. Whatever
 * remotes say, no more than this leaves; that the host is theirs is the witnesses' business.
 */
/** Guess: two birthday traversals and a prediction at once. */
const KNOCKS_BURST = 4_096
/** Guess: 50 bytes each, so 6 kB/s in the long run, if everyone around is hostile. */
const KNOCKS_PER_S = 128
/** transport.md §5.5: at most three in ten minutes. */
const SPRAYS_PER_HOST = 3
const SPRAY_WINDOW_MS = 600_000
const HOSTS_MAX = 512

export class SprayBudget {
  readonly #knocks: TokenBucket
  /** When each host was last sprayed, oldest first. */
  readonly #begun = new BoundedMap<string, readonly Instant[]>(HOSTS_MAX)

  constructor(now: Instant) {
    this.#knocks = new TokenBucket(KNOCKS_PER_S, KNOCKS_BURST, now)
  }

  takeKnock(now: Instant): boolean {
    return this.#knocks.take(1, now)
  }

  /** Whether one more traversal may spray this host. */
  begin(host: string, now: Instant): boolean {
    const recent = (this.#begun.get(host) ?? []).filter((at) => now - at < SPRAY_WINDOW_MS)
    if (recent.length >= SPRAYS_PER_HOST) return false
    this.#begun.set(host, [...recent, now])
    return true
  }

  /** The last one found its path: whoever asked for it is there, and it does not count. */
  found(host: string): void {
    const recent = this.#begun.get(host)
    if (recent !== undefined) this.#begun.set(host, recent.slice(0, -1))
  }
}

import { BoundedMap } from '../collections/bounded-map.ts'
import type { Instant, PeerId } from '../io.ts'

/**
 * How long peers stay, learned from our sessions with them: what is kept on peers that leave has to be
 * copied in time. It does not decide what is copied.
 *
 * The times of all sessions, those that go on included, over the number of departures: the likeliest
 * mean of stays that end at random, however few were seen to end. A session that ends without its remote
 * having left adds its time alone.
 */
/** Guess: as if one departure after an hour had been seen before anything was. */
const PRIOR_MS = 3_600_000
/** Older departures count half as much with each so many. Guess. */
const MEMORY_DEPARTURES = 256
/** As many as there can be sessions. */
const PEERS_MAX = 1024

export class SessionLengths {
  readonly #since = new BoundedMap<PeerId, Instant>(PEERS_MAX)
  #endedMs = 0
  #departures = 0

  began(peer: PeerId, now: Instant): void {
    if (!this.#since.has(peer)) this.#since.set(peer, now)
  }

  /** `hasLeft`: it said good-bye or fell silent; not so when it restarted, or is not needed any more. */
  ended(peer: PeerId, hasLeft: boolean, now: Instant): void {
    const since = this.#since.get(peer)
    if (since === undefined) return
    this.#since.delete(peer)
    this.#endedMs += Math.max(0, now - since)
    if (!hasLeft) return
    this.#departures++
    if (this.#departures < 2 * MEMORY_DEPARTURES) return
    this.#departures /= 2
    this.#endedMs /= 2
  }

  meanMs(now: Instant): number {
    let totalMs = this.#endedMs
    for (const since of this.#since.values()) totalMs += Math.max(0, now - since)
    return (PRIOR_MS + totalMs) / (1 + this.#departures)
  }
}

import { BoundedMap } from '../collections/bounded-map.ts'
import { TokenBucket } from '../collections/token-bucket.ts'
import type { PeerId } from '../io.ts'
import { prefixOf } from '../session/route.ts'
import type { Session } from '../session/session.ts'
import { fromHex } from '../wire/bytes.ts'

/**
 * What this peer carries for others. It sees who talks to whom and how much, never what: the
 * datagrams inside are sealed end to end. A stranger's flood is dropped here, at the price of a
 * bucket.
 */
/** transport.md §5.6: 1 Mbit/s sustained, 4 Mbit of burst for one remote. */
const PER_PEER_BYTES_PER_S = 125_000
const PER_PEER_BURST_BYTES = 500_000
/** transport.md §5.6: 20 Mbit/s for all remotes together. */
const TOTAL_BYTES_PER_S = 2_500_000
const SOURCES_MAX = 1024

export class Relay {
  readonly #isWilling: boolean
  readonly #total: TokenBucket
  readonly #sources = new BoundedMap<PeerId, TokenBucket>(SOURCES_MAX)

  constructor(isWilling: boolean, now: number) {
    this.#isWilling = isWilling
    this.#total = new TokenBucket(TOTAL_BYTES_PER_S, TOTAL_BYTES_PER_S, now)
  }

  /** Passes a datagram on to the session of its target; false when it does not. */
  carry(from: Session, to: Session | undefined, datagram: Uint8Array, now: number): boolean {
    if (!this.#isWilling || to === undefined || to === from) return false
    if (!this.#mayCarry(from.peer, datagram.length, now)) return false
    return to.relay({ type: 'relayed', prefix: prefixBytes(from.peer), datagram })
  }

  #mayCarry(from: PeerId, bytes: number, now: number): boolean {
    let bucket = this.#sources.get(from)
    if (bucket === undefined) {
      bucket = new TokenBucket(PER_PEER_BYTES_PER_S, PER_PEER_BURST_BYTES, now)
      this.#sources.set(from, bucket)
    }
    return bucket.take(bytes, now) && this.#total.take(bytes, now)
  }
}

function prefixBytes(peer: PeerId): Uint8Array {
  return fromHex(prefixOf(peer)) ?? new Uint8Array(8)
}

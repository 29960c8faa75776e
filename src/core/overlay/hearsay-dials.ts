import type { PeerId } from '../io.ts'
import type { KnownPeer } from './known-peers.ts'

/** How many dials are under way on the word of neighbours, who may have made up whom they named. */
/** Half of the handshakes that may be under way, and a network's worth on the word of one neighbour. */
const DIALS_MAX = 256
const DIALS_PER_TELLER_MAX = 64

export class HearsayDials {
  /** By the peer that is dialled, who told of it. */
  readonly #tellers = new Map<PeerId, PeerId>()
  readonly #isDialing: (peer: PeerId) => boolean

  constructor(isDialing: (peer: PeerId) => boolean) {
    this.#isDialing = isDialing
  }

  /** Whether one more may begin, which is counted then. */
  begin(known: KnownPeer): boolean {
    if (known.teller === undefined) return true
    let ofTeller = 0
    for (const [peer, teller] of this.#tellers) {
      if (!this.#isDialing(peer)) this.#tellers.delete(peer)
      else if (teller === known.teller) ofTeller++
    }
    if (this.#tellers.size >= DIALS_MAX || ofTeller >= DIALS_PER_TELLER_MAX) return false
    this.#tellers.set(known.peer, known.teller)
    return true
  }
}

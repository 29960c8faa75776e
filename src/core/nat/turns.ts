import type { PeerId } from '../io.ts'

/** One traversal at a time may take sockets by the hundred; the others wait in order. */
const WAITING_MAX = 64

export class Turns {
  #holder: PeerId | undefined
  readonly #waiting = new Set<PeerId>()

  /** Whether it is the peer's turn. Otherwise it waits, unless too many do. */
  take(peer: PeerId): boolean {
    this.#holder ??= peer
    if (this.#holder === peer) return true
    if (this.#waiting.size < WAITING_MAX) this.#waiting.add(peer)
    return false
  }

  /** Gives up its turn or its place. Returns whose turn it became thereby. */
  release(peer: PeerId): PeerId | undefined {
    this.#waiting.delete(peer)
    if (this.#holder !== peer) return undefined
    this.#holder = this.#waiting.values().next().value
    if (this.#holder !== undefined) this.#waiting.delete(this.#holder)
    return this.#holder
  }
}

import type { Instant, LocalAddress, PeerId } from '../io.ts'

/**
 * Peers that we know of, whether or not we have a session with them: where they may be reached, which
 * neighbours said they know them, and when to try again.
 */
export interface KnownPeer {
  readonly peer: PeerId
  addresses: readonly LocalAddress[]
  /** Neighbours that have a session with it: they can relay a first datagram. */
  readonly via: Set<PeerId>
  /** Named by the app or met in an earlier run: tried for ever, more and more rarely. */
  isKept: boolean
  failures: number
  retryAt: Instant | undefined
}

export const KNOWN_MAX = 1024
export const ADDRESSES_MAX = 8
const VIA_MAX = 4

export class KnownPeers {
  readonly #peers = new Map<PeerId, KnownPeer>()

  get size(): number {
    return this.#peers.size
  }

  get(peer: PeerId): KnownPeer | undefined {
    return this.#peers.get(peer)
  }

  values(): IterableIterator<KnownPeer> {
    return this.#peers.values()
  }

  /** Undefined when the table is full of peers that matter more. */
  ensure(peer: PeerId): KnownPeer | undefined {
    const known = this.#peers.get(peer)
    if (known !== undefined) return known
    if (this.#peers.size >= KNOWN_MAX && !this.#dropOne()) return undefined
    const fresh: KnownPeer = {
      peer,
      addresses: [],
      via: new Set(),
      isKept: false,
      failures: 0,
      retryAt: undefined,
    }
    this.#peers.set(peer, fresh)
    return fresh
  }

  addAddresses(known: KnownPeer, addresses: readonly LocalAddress[]): void {
    const merged = [...addresses]
    for (const address of known.addresses) {
      if (!merged.some((other) => isSameAddress(other, address))) merged.push(address)
    }
    known.addresses = merged.slice(0, ADDRESSES_MAX)
  }

  addVia(known: KnownPeer, neighbour: PeerId): void {
    if (known.via.size < VIA_MAX) known.via.add(neighbour)
  }

  /** A neighbour is gone: it relays to nobody. */
  dropVia(neighbour: PeerId): void {
    for (const known of this.#peers.values()) known.via.delete(neighbour)
  }

  #dropOne(): boolean {
    for (const known of this.#peers.values()) {
      if (known.isKept || known.failures === 0) continue
      this.#peers.delete(known.peer)
      return true
    }
    for (const known of this.#peers.values()) {
      if (known.isKept) continue
      this.#peers.delete(known.peer)
      return true
    }
    return false
  }
}

export function isSameAddress(a: LocalAddress, b: LocalAddress): boolean {
  return a.port === b.port && a.host === b.host
}

import type { LocalAddress, PeerId } from '../io.ts'
import { prefixOf } from '../session/route.ts'
import { distanceOf, type IdPoint, pointOf } from './id-space.ts'
import { firstBeyond } from './live-peers.ts'

/**
 * Peers that we know of, whether or not we have a session with them: where they may be reached, which
 * neighbours said they know them, and when to try again. It decides who is forgotten when there are
 * too many: first those of whom we only heard, and of these the neighbour's who told most.
 */
export interface KnownPeer {
  readonly peer: PeerId
  readonly point: IdPoint
  /** From our own id. */
  readonly distance: number
  addresses: readonly LocalAddress[]
  /** Neighbours that have a session with it, in the order we learned it: they can relay. */
  via: readonly PeerId[]
  /** The neighbour that first told of it; undefined once it was met, or when the app named it. */
  teller: PeerId | undefined
  /** The app named it, or where it is. */
  isNamed: boolean
  /** Named by the app or met in an earlier run: tried for ever, more and more rarely. */
  isKept: boolean
  failures: number
  /** When it was last heard of, met or left. */
  heardAt: number
  /** It may dial us until then: it comes new, and was told of us. */
  waitUntil: number
  /** One of the two let the other go: not dialled before, unless we are lonely. */
  restUntil: number
  /** When it is to be dialled next. */
  dialAt: number | undefined
}

export interface KnownPeersHost {
  /** It was forgotten. */
  dropped(peer: PeerId): void
  /** We have a session with it. */
  isMet(peer: PeerId): boolean
}

export const KNOWN_MAX = 1024
/** DESIGN §7 wants every table capped against Sybils: what one neighbour tells fills half at most. */
export const HEARSAY_PER_TELLER_MAX = KNOWN_MAX / 2
export const ADDRESSES_MAX = 8

export class KnownPeers {
  readonly #peers = new Map<PeerId, KnownPeer>()
  /** A relay names peers by their prefix only, and as often as it likes. */
  readonly #byPrefix = new Map<string, KnownPeer>()
  /** Peers that were never met, oldest first, by who told of them. */
  readonly #hearsay = new Map<PeerId, Set<PeerId>>()
  /** By distance from our own id. */
  readonly #nearest: KnownPeer[] = []
  readonly #self: IdPoint
  readonly #host: KnownPeersHost

  constructor(self: PeerId, host: KnownPeersHost) {
    this.#self = pointOf(self)
    this.#host = host
  }

  get size(): number {
    return this.#peers.size
  }

  get(peer: PeerId): KnownPeer | undefined {
    return this.#peers.get(peer)
  }

  withPrefix(prefix: string): KnownPeer | undefined {
    return this.#byPrefix.get(prefix)
  }

  values(): IterableIterator<KnownPeer> {
    return this.#peers.values()
  }

  /** Who was seen at an address. */
  at(address: LocalAddress): readonly KnownPeer[] {
    return this.#nearest.filter(({ addresses }) =>
      addresses.some((other) => isSameAddress(other, address)),
    )
  }

  /** By distance from our own id. A view: read it at once. */
  get nearest(): readonly KnownPeer[] {
    return this.#nearest
  }

  /** A peer that we met or that the app named. Undefined when the table is full of kept ones. */
  ensure(peer: PeerId): KnownPeer | undefined {
    const known = this.#peers.get(peer)
    if (known === undefined) return this.#hasRoom() ? this.#add(peer, undefined) : undefined
    this.#removeHearsay(known)
    known.teller = undefined
    return known
  }

  /** A peer that a neighbour told of. Undefined when that neighbour told too much. */
  hear(peer: PeerId, teller: PeerId): KnownPeer | undefined {
    const known = this.#peers.get(peer)
    if (known !== undefined) return known
    const told = this.#hearsay.get(teller)
    if (told !== undefined && told.size >= HEARSAY_PER_TELLER_MAX) return undefined
    if (this.#peers.size >= KNOWN_MAX && !this.#dropHearsay()) return undefined
    return this.#add(peer, teller)
  }

  addAddresses(known: KnownPeer, addresses: readonly LocalAddress[]): void {
    const merged = [...addresses]
    for (const address of known.addresses) {
      if (!merged.some((other) => isSameAddress(other, address))) merged.push(address)
    }
    known.addresses = merged.slice(0, ADDRESSES_MAX)
  }

  /** A neighbour is gone: it relays to nobody. */
  dropVia(neighbour: PeerId): void {
    for (const known of this.#nearest) removeVia(known, neighbour)
  }

  forget(known: KnownPeer): void {
    if (this.#peers.get(known.peer) === known) this.#remove(known)
  }

  #add(peer: PeerId, teller: PeerId | undefined): KnownPeer {
    const point = pointOf(peer)
    const known: KnownPeer = {
      peer,
      point,
      distance: distanceOf(point, this.#self),
      addresses: [],
      via: [],
      teller,
      isNamed: false,
      isKept: false,
      failures: 0,
      heardAt: 0,
      waitUntil: 0,
      restUntil: 0,
      dialAt: undefined,
    }
    this.#peers.set(peer, known)
    this.#nearest.splice(firstBeyond(this.#nearest, known.distance), 0, known)
    this.#byPrefix.set(prefixOf(peer), known)
    if (teller === undefined) return known
    const told = this.#hearsay.get(teller)
    if (told === undefined) this.#hearsay.set(teller, new Set([peer]))
    else told.add(peer)
    return known
  }

  #remove(known: KnownPeer): void {
    this.#peers.delete(known.peer)
    this.#byPrefix.delete(prefixOf(known.peer))
    this.#removeHearsay(known)
    this.#nearest.splice(this.#nearest.indexOf(known), 1)
    this.#host.dropped(known.peer)
  }

  #removeHearsay(known: KnownPeer): void {
    if (known.teller === undefined) return
    const told = this.#hearsay.get(known.teller)
    told?.delete(known.peer)
    if (told?.size === 0) this.#hearsay.delete(known.teller)
  }

  #hasRoom(): boolean {
    if (this.#peers.size < KNOWN_MAX || this.#dropHearsay()) return true
    for (const known of this.#peers.values()) {
      if (known.isKept || this.#host.isMet(known.peer)) continue
      this.#remove(known)
      return true
    }
    return false
  }

  /** The oldest hearsay of whoever told most. */
  #dropHearsay(): boolean {
    let most: Set<PeerId> | undefined
    for (const told of this.#hearsay.values()) {
      if (most === undefined || told.size > most.size) most = told
    }
    const oldest = most?.values().next().value
    const known = oldest && this.#peers.get(oldest)
    if (known === undefined) return false
    this.#remove(known)
    return true
  }
}

/** Whether it was there. */
export function removeVia(known: KnownPeer, neighbour: PeerId): boolean {
  if (!known.via.includes(neighbour)) return false
  known.via = known.via.filter((via) => via !== neighbour)
  return true
}

export function isSameAddress(a: LocalAddress, b: LocalAddress): boolean {
  return a.port === b.port && a.host === b.host
}

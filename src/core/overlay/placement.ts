import type { PeerId } from '../io.ts'
import { commonBits, distanceOf, type IdPoint, leadingBits, pointOf } from './id-space.ts'
import { type LivePeers, nearestOf } from './live-peers.ts'

/**
 * Who keeps what. In a small network everyone keeps everything; in a larger one each peer is custodian
 * of what lies within the smallest part of the id space around its own id that holds at least `CUSTODIANS`
 * peers. It decides neither whom to have sessions with nor what is done with what is kept.
 */
export interface Placement {
  /** An estimate, ourselves included. */
  readonly networkSize: number
  readonly isSmall: boolean
  /** Whether we are among the custodians of a location (hex of 32 bytes). */
  isOurs(location: string): boolean
  /** Who keeps it: exact where we are custodians too, by the estimated size of the network elsewhere. */
  custodiansOf(location: string): (peer: IdPoint) => boolean
  /** The same for many of both: a peer is custodian of the locations in one of its regions. */
  regionOf(location: string): string
  regionsOf(peer: IdPoint): readonly string[]
  /** Another string whenever the regions are others. */
  readonly division: string
  /** Leading bits of our id that span what we are custodians of; 0 when small. */
  readonly ownBits: number
  /** Sessions strictly nearer to a location than we are, the nearest first. */
  nearer(location: string, count: number): readonly PeerId[]
}

/** DESIGN §8: so many peers keep a packet. */
export const CUSTODIANS = 20
/** DESIGN §7 asks for 64 at least. Guess: what 200 peers say is little enough for each to keep. */
export const SMALL_MAX = 192
/** Small again below it: the estimate varies by a quarter of itself. */
export const SMALL_AGAIN = 160
/** As many nearest sessions say how dense the ids are (relative error 1/sqrt(16)). */
const DENSITY_PEERS = 16
const SPACE = 2 ** 64

export class NetworkPlacement implements Placement {
  readonly #live: LivePeers
  /** Peers that we have sessions with or heard of, and that have not failed. */
  readonly #knownLive: () => number
  #isSmall = true
  #size = 1
  #sizeVersion = -1
  #sizeKnown = -1

  constructor(live: LivePeers, knownLive: () => number) {
    this.#live = live
    this.#knownLive = knownLive
  }

  get networkSize(): number {
    this.#update()
    return this.#size
  }

  get isSmall(): boolean {
    this.#update()
    return this.#isSmall
  }

  get ownBits(): number {
    if (this.isSmall) return 0
    return this.#live.nearest[CUSTODIANS - 2]?.bits ?? 0
  }

  isOurs(location: string): boolean {
    return this.isSmall || commonBits(pointOf(location), this.#live.self) >= this.ownBits
  }

  custodiansOf(location: string): (peer: IdPoint) => boolean {
    if (this.isSmall) return () => true
    const place = pointOf(location)
    const bits = this.bitsAt(place)
    return (peer) => commonBits(peer, place) >= bits
  }

  get division(): string {
    return this.isSmall ? 'everything' : `${this.ownBits} ${this.#usualBits}`
  }

  regionOf(location: string): string {
    const place = pointOf(location)
    return regionOf(place, this.bitsAt(place))
  }

  regionsOf(peer: IdPoint): readonly string[] {
    const usual = this.isSmall ? 0 : this.#usualBits
    const bits = this.bitsAt(peer)
    return bits === usual ? [regionOf(peer, bits)] : [regionOf(peer, bits), regionOf(peer, usual)]
  }

  /** Leading bits that a place's custodians share with it. */
  bitsAt(place: IdPoint): number {
    if (this.isSmall) return 0
    const isNear = commonBits(place, this.#live.self) >= this.ownBits
    return isNear ? this.ownBits : this.#usualBits
  }

  nearer(location: string, count: number): readonly PeerId[] {
    const place = pointOf(location)
    const own = distanceOf(place, this.#live.self)
    const nearer = this.#live.nearest.filter(({ point }) => distanceOf(point, place) < own)
    return nearestOf(nearer, place, count).map(({ peer }) => peer)
  }

  #update(): void {
    const known = this.#knownLive()
    if (this.#sizeVersion === this.#live.version && this.#sizeKnown === known) return
    this.#sizeVersion = this.#live.version
    this.#sizeKnown = known
    this.#size = this.#estimate(1 + Math.max(known, this.#live.size))
    if (this.#size > SMALL_MAX) this.#isSmall = false
    else if (this.#size < SMALL_AGAIN) this.#isSmall = true
  }

  /** What most peers' `ownBits` are in a network of this size. */
  get #usualBits(): number {
    return Math.max(0, Math.floor(Math.log2(this.networkSize / CUSTODIANS)))
  }

  /**
   * In a network that may be small, hearsay counts the peers better than density does. It is hearsay:
   * more than a small network's worth of it has to be confirmed by how near our nearest sessions are.
   */
  #estimate(known: number): number {
    const farthest = this.#live.nearest[DENSITY_PEERS - 1]
    if (known <= SMALL_MAX || farthest === undefined) return known
    const dense = (DENSITY_PEERS * SPACE) / Math.max(1, farthest.distance)
    return Math.round(Math.max(1 + this.#live.size, dense))
  }
}

/** Before anything is known of the network, and where everyone keeps everything whatever its size. */
export function smallPlacement(size: () => number): Placement {
  return {
    get networkSize() {
      return size()
    },
    isSmall: true,
    isOurs: () => true,
    custodiansOf: () => () => true,
    division: 'everything',
    regionOf: () => '',
    regionsOf: () => [''],
    ownBits: 0,
    nearer: () => [],
  }
}

/** The part of the id space in which points begin with the same bits. */
function regionOf(point: IdPoint, bits: number): string {
  const { high, low } = leadingBits(point, bits)
  return `${bits} ${high} ${low}`
}

/** Leading bits that two ids or locations share, in hex: 64 at most. */
export function sharedBits(a: string, b: string): number {
  return commonBits(pointOf(a), pointOf(b))
}

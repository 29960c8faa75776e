import { partitionPoint } from '../collections/partition-point.ts'
import { smallest } from '../collections/smallest.ts'
import type { PeerId } from '../io.ts'
import { commonBits, distanceOf, type IdPoint, POINT_BITS, pointOf } from './id-space.ts'

/**
 * The peers we have a session with at this moment, the nearest to our own id first. They have proved
 * their ids, so what is counted here cannot be made up. It decides nothing.
 */
export interface LivePeer {
  readonly peer: PeerId
  readonly point: IdPoint
  /** From our own id. */
  readonly distance: number
  /** Leading bits it shares with our own id: its distance bucket. */
  readonly bits: number
  /** Grows with every session: the lower, the older. */
  readonly order: number
}

export class LivePeers {
  readonly self: IdPoint
  readonly #byPeer = new Map<PeerId, LivePeer>()
  readonly #nearest: LivePeer[] = []
  /** By their points, so that those near a place stand side by side. */
  readonly #byPoint: LivePeer[] = []
  #sessions = 0
  #version = 0

  constructor(self: PeerId) {
    this.self = pointOf(self)
  }

  get size(): number {
    return this.#nearest.length
  }

  /** Another number whenever something changed. */
  get version(): number {
    return this.#version
  }

  /** By distance from our own id. A view: read it at once. */
  get nearest(): readonly LivePeer[] {
    return this.#nearest
  }

  has(peer: PeerId): boolean {
    return this.#byPeer.has(peer)
  }

  get(peer: PeerId): LivePeer | undefined {
    return this.#byPeer.get(peer)
  }

  add(peer: PeerId): void {
    if (this.#byPeer.has(peer)) return
    const point = pointOf(peer)
    const distance = distanceOf(point, this.self)
    const live = {
      peer,
      point,
      distance,
      bits: commonBits(point, this.self),
      order: this.#sessions++,
    }
    this.#byPeer.set(peer, live)
    this.#nearest.splice(firstBeyond(this.#nearest, distance), 0, live)
    this.#byPoint.splice(this.#indexOf(point), 0, live)
    this.#version++
  }

  delete(peer: PeerId): void {
    const live = this.#byPeer.get(peer)
    if (live === undefined) return
    this.#byPeer.delete(peer)
    this.#nearest.splice(this.#nearest.indexOf(live), 1)
    this.#byPoint.splice(this.#byPoint.indexOf(live), 1)
    this.#version++
  }

  /**
   * The nearest to a place, the nearest first. Away from it, to either side, peers share fewer and fewer
   * leading bits with it; who shares more is nearer.
   */
  near(place: IdPoint, count: number): LivePeer[] {
    const peers = this.#byPoint
    const bitsAt = (index: number): number => {
      const live = peers[index]
      return live === undefined ? -1 : commonBits(live.point, place)
    }
    let to = this.#indexOf(place)
    let from = to - 1
    let bits = POINT_BITS
    for (let i = 0; i < count && to - from <= peers.length; i++) {
      bits = Math.max(bitsAt(from), bitsAt(to))
      if (bitsAt(to) === bits) to++
      else from--
    }
    while (bitsAt(from) >= bits) from--
    while (bitsAt(to) >= bits) to++
    return nearestOf(peers.slice(from + 1, to), place, count)
  }

  /** Where the first one is that does not come before a point. */
  #indexOf(point: IdPoint): number {
    return partitionPoint(this.#byPoint, (live) => isBefore(live.point, point))
  }
}

function isBefore(a: IdPoint, b: IdPoint): boolean {
  if (a.high !== b.high) return a.high >>> 0 < b.high >>> 0
  return a.low >>> 0 < b.low >>> 0
}

/** Of any that have a point, the nearest to a place, the nearest first. */
export function nearestOf<T extends { readonly point: IdPoint }>(
  all: Iterable<T>,
  place: IdPoint,
  count: number,
): T[] {
  return smallest(all, count, ({ point }) => distanceOf(point, place))
}

/** Where the first element lies that is farther than `distance`, in a list ordered by distance. */
export function firstBeyond(
  ordered: readonly { readonly distance: number }[],
  distance: number,
): number {
  return partitionPoint(ordered, (one) => one.distance <= distance)
}

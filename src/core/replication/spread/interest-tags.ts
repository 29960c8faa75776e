import { BoundedMap } from '../../collections/bounded-map.ts'
import type { IdPoint } from '../../overlay/id-space.ts'
import type { Placement } from '../../overlay/placement.ts'
import { INTEREST_TAGS_MAX, tagPrefix } from './spread-messages.ts'

/**
 * Which tags that we follow a neighbour is told: those that everyone may know of, and of the private ones
 * those that it keeps. Peers in the same regions are told the same, so it is worked out for regions: a
 * member has hundreds of neighbours and thousands of private tags.
 */
export interface InterestHost {
  placement(): Placement
  /** Where a tag's custodians are. */
  location(tag: string): string
  /** Tags in hex, those that matter most first. The same array as before if they are the same. */
  followedOpenly(): readonly string[]
  followedPrivately(): readonly string[]
}

export interface ToldTags {
  /** As they are named to neighbours, `INTEREST_TAGS_MAX` at most. */
  readonly tags: readonly string[]
  /** Equal when they are. */
  readonly text: string
}

interface RankedTag {
  readonly rank: number
  readonly prefix: string
}

/** Guess: those of as many neighbours as there may be. Where a neighbour is, is for it to say. */
export const REGIONS_MAX = 1024
const NOTHING: ToldTags = { tags: [], text: '' }

export class InterestTags {
  readonly #host: InterestHost
  #openly: readonly string[] = []
  #privately: readonly string[] = []
  #division = ''
  readonly #regionOfTag = new Map<string, string>()
  /** Private ones, the first of each region. */
  readonly #ofRegion = new Map<string, RankedTag[]>()
  #ofRegions = new BoundedMap<string, ToldTags>(REGIONS_MAX)

  constructor(host: InterestHost) {
    this.#host = host
  }

  /** What a peer is told, by what we follow and keep now. */
  of(peer: IdPoint): ToldTags {
    const placement = this.#host.placement()
    if (placement.isSmall) return NOTHING
    this.#refresh(placement)
    const regions = placement.regionsOf(peer)
    const key = regions.join()
    let told = this.#ofRegions.get(key)
    if (told === undefined) {
      told = this.#gather(regions)
      this.#ofRegions.set(key, told)
    }
    return told
  }

  #gather(regions: readonly string[]): ToldTags {
    const kept = regions.flatMap((region) => this.#ofRegion.get(region) ?? [])
    const privately = kept.sort((a, b) => a.rank - b.rank).map(({ prefix }) => prefix)
    const tags = [...this.#openly.map(tagPrefix), ...privately].slice(0, INTEREST_TAGS_MAX)
    return { tags, text: tags.join('') }
  }

  #refresh(placement: Placement): void {
    const openly = this.#host.followedOpenly()
    const privately = this.#host.followedPrivately()
    const { division } = placement
    const isSame = openly === this.#openly && privately === this.#privately
    if (isSame && division === this.#division) return
    if (division !== this.#division || this.#regionOfTag.size > 2 * privately.length)
      this.#regionOfTag.clear()
    this.#openly = openly
    this.#privately = privately
    this.#division = division
    this.#ofRegion.clear()
    this.#ofRegions = new BoundedMap(REGIONS_MAX)
    for (const [rank, tag] of privately.entries()) this.#place(rank, tag, placement)
  }

  #place(rank: number, tag: string, placement: Placement): void {
    let region = this.#regionOfTag.get(tag)
    if (region === undefined) {
      region = placement.regionOf(this.#host.location(tag))
      this.#regionOfTag.set(tag, region)
    }
    const ranked = this.#ofRegion.get(region)
    if (ranked === undefined) this.#ofRegion.set(region, [{ rank, prefix: tagPrefix(tag) }])
    else if (ranked.length < INTEREST_TAGS_MAX) ranked.push({ rank, prefix: tagPrefix(tag) })
  }
}

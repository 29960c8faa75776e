import type { UnixMs } from '../io.ts'
import { toHex } from '../wire/bytes.ts'
import type { Subscription } from './subscription.ts'

/**
 * Which of our subscriptions a tag belongs to, on the days that a packet may still be of. Knows only
 * tags; what was forgotten has none.
 */
const DAY_S = 86_400
/** A packet's reach: 7 days of life and half a day of wrong clocks back, half a day ahead. */
const DAYS_BACK = 8
const DAYS_AHEAD = 1

interface TagsOfDays {
  /** Of yesterday to tomorrow, the latest first. */
  readonly recent: readonly string[]
  /** Of the days before. */
  readonly older: readonly string[]
}

interface Followed {
  readonly all: readonly string[]
  readonly openly: readonly string[]
  readonly privately: readonly string[]
}

export class Tags {
  readonly #subscriptions = new Map<Subscription, TagsOfDays>()
  /** Those whose tags tell who writes to whom. */
  readonly #private = new Set<Subscription>()
  readonly #byTag = new Map<string, Subscription>()
  #day: number
  /** Until something is followed or not any more. */
  #followed: Followed | undefined

  constructor(wall: UnixMs) {
    this.#day = dayOf(wall)
  }

  /** `isPrivate`: who follows its tags is nobody's business but that of those who keep its packets. */
  add(subscription: Subscription, isPrivate = false): void {
    this.#followed = undefined
    if (isPrivate) this.#private.add(subscription)
    // Upwards: a day's keys follow from the day's before, and only from those.
    const older = this.#ofDays(subscription, -DAYS_BACK, -2)
    const recent = this.#ofDays(subscription, -1, DAYS_AHEAD)
    this.#subscriptions.set(subscription, { recent, older })
    for (const tag of this.liveOf(subscription)) this.#byTag.set(tag, subscription)
  }

  remove(subscription: Subscription): void {
    for (const tag of this.liveOf(subscription)) this.#byTag.delete(tag)
    this.#followed = undefined
    this.#subscriptions.delete(subscription)
    this.#private.delete(subscription)
  }

  /** Keys were forgotten, or a day has passed. True: there are other tags than before. */
  refresh(wall: UnixMs, isForced = false): boolean {
    const day = dayOf(wall)
    if (day === this.#day && !isForced) return false
    this.#day = day
    this.#byTag.clear()
    for (const subscription of [...this.#subscriptions.keys()]) this.add(subscription)
    return true
  }

  /** The subscription whose tag of that second's day this is. */
  find(tag: string, createdS: number): Subscription | undefined {
    const subscription = this.#byTag.get(tag)
    const keys = subscription?.keys.at(createdS)
    return keys !== undefined && toHex(keys.tag.publicKey) === tag ? subscription : undefined
  }

  /** The subscription with this tag, whatever its day. */
  subscriptionOf(tag: string): Subscription | undefined {
    return this.#byTag.get(tag)
  }

  /** Every tag that a live packet of a subscription may have, the latest first. */
  liveOf(subscription: Subscription): string[] {
    const { recent = [], older = [] } = this.#subscriptions.get(subscription) ?? {}
    return [...recent, ...older]
  }

  /** What we follow, the days that matter most first: the same array until it changes. */
  followed(): readonly string[] {
    return this.#lists().all
  }

  /** The same, but for what is private, or only that. */
  followedOpenly(): readonly string[] {
    return this.#lists().openly
  }

  followedPrivately(): readonly string[] {
    return this.#lists().privately
  }

  #lists(): Followed {
    this.#followed ??= {
      all: this.#live(() => true),
      openly: this.#live((each) => !this.#private.has(each)),
      privately: this.#live((each) => this.#private.has(each)),
    }
    return this.#followed
  }

  #live(isMeant: (subscription: Subscription) => boolean): string[] {
    const meant = [...this.#subscriptions].filter(([subscription]) => isMeant(subscription))
    const recent = meant.flatMap(([, tags]) => tags.recent)
    return recent.concat(meant.flatMap(([, tags]) => tags.older))
  }

  /** The days from today + `first` to today + `last`, in hex, the latest first. */
  #ofDays(subscription: Subscription, first: number, last: number): string[] {
    const tags: string[] = []
    for (let day = this.#day + first; day <= this.#day + last; day++) {
      const keys = subscription.keys.at(day * DAY_S)
      const tag = keys && toHex(keys.tag.publicKey)
      if (tag !== undefined && !tags.includes(tag)) tags.push(tag)
    }
    return tags.reverse()
  }
}

function dayOf(wall: UnixMs): number {
  return Math.floor(wall / 1000 / DAY_S)
}

import type { Crypto } from '../crypto.ts'
import { earlier } from '../deadlines.ts'
import { assert } from '../errors.ts'
import type {
  Deadline,
  DeliveryOrder,
  HistoryCursor,
  Instant,
  PacketInfo,
  PeerId,
  UnixMs,
} from '../io.ts'
import { toHex } from '../wire/bytes.ts'
import type { HeldPacket, PacketStore } from './cache/packet-store.ts'
import type { Released } from './causal.ts'
import type { Packet } from './packet.ts'
import type { OpenedPacket } from './packet-seal.ts'
import { type Arrival, type EpochSource, type Reading, Subscription } from './subscription.ts'
import { Tags } from './tags.ts'

/**
 * What is ours among the packets: which subscription each belongs to, what it says, and when it is
 * delivered. Decides nothing about what is kept or where it goes.
 */

/** Names one of our subscriptions: a subcluster or a mailbox. */
export type SubscriptionKey = string

export interface Moment {
  readonly now: Instant
  readonly wall: UnixMs
}

export interface Delivered {
  readonly subscription: SubscriptionKey
  readonly packet: PacketInfo
  readonly event: string
  readonly value: Uint8Array
}

export interface Progress extends Pick<PacketInfo, 'id' | 'author'> {
  readonly subscription: SubscriptionKey
  readonly event: string
  readonly receivedBytes: number
  readonly totalBytes: number
}

export interface SubscriptionsHost {
  deliver(delivered: Delivered): void
  progress(progress: Progress): void
  /** A packet that one of ours follows is not here; `from` brought the one that follows. */
  seek(parent: string, child: HeldPacket, from: PeerId | undefined, now: Instant): void
}

export interface SubscriptionsParts {
  readonly crypto: Crypto
  readonly self: PeerId
  readonly store: PacketStore
  readonly host: SubscriptionsHost
}

/** A packet of ours that was opened, and was authentic. */
export interface OwnPacket {
  readonly subscription: Subscription
  readonly opened: OpenedPacket
}

export class Subscriptions {
  readonly #parts: SubscriptionsParts
  readonly #byKey = new Map<SubscriptionKey, Subscription>()
  readonly #keyOf = new Map<Subscription, SubscriptionKey>()
  /** Those with packets that wait for others: few of many. */
  readonly #waiting = new Set<Subscription>()
  readonly tags: Tags

  constructor(parts: SubscriptionsParts, wall: UnixMs) {
    this.#parts = parts
    this.tags = new Tags(wall)
  }

  get(key: SubscriptionKey): Subscription | undefined {
    return this.#byKey.get(key)
  }

  /** The subscription that has this tag, on whatever day. */
  keyOfTag(tag: string): SubscriptionKey | undefined {
    const subscription = this.tags.subscriptionOf(tag)
    return subscription && this.#keyOf.get(subscription)
  }

  add(key: SubscriptionKey, keys: EpochSource, order: DeliveryOrder, isPrivate: boolean): void {
    assert(!this.#byKey.has(key), 'one subscribes once')
    const subscription = new Subscription(this.#parts.crypto, keys, order)
    this.#byKey.set(key, subscription)
    this.#keyOf.set(subscription, key)
    this.tags.add(subscription, isPrivate)
    for (const tag of this.tags.liveOf(subscription)) this.#parts.store.forgetSpent(tag)
  }

  /** Returns what was kept for it. */
  remove(key: SubscriptionKey): readonly HeldPacket[] {
    const subscription = this.#byKey.get(key)
    if (subscription === undefined) return []
    const held = this.#heldOf(subscription)
    this.#byKey.delete(key)
    this.#keyOf.delete(subscription)
    this.#waiting.delete(subscription)
    this.tags.remove(subscription)
    return held
  }

  /** A verified packet: undefined, it is none of ours; or why it is not authentic. */
  open(packet: Packet): OwnPacket | 'malformed' | 'unauthentic' | undefined {
    const tag = toHex(packet.header.tag)
    const subscription = this.tags.find(tag, packet.header.createdS)
    const opened = subscription?.open(packet)
    if (subscription === undefined || opened === undefined) return undefined
    return typeof opened === 'string' ? opened : { subscription, opened }
  }

  /** A new packet of ours, whole: delivered now or when its turn comes. */
  arrived(
    held: HeldPacket,
    { subscription, opened }: OwnPacket,
    via: PacketInfo['via'],
    from: PeerId | undefined,
    at: Moment,
  ): void {
    const { released, missing } = subscription.arrived(held, opened, via, at.now, at.wall)
    for (const parent of missing) this.#parts.host.seek(parent, held, from, at.now)
    this.#deliver(subscription, released)
  }

  /** A large packet has all its leaves. */
  whole(held: HeldPacket, at: Moment): void {
    const own = this.#reopened(held)
    if (own !== undefined) this.arrived(held, own, 'cache', undefined, at)
  }

  progressed(held: HeldPacket, receivedBytes: number): void {
    const own = this.#reopened(held)
    const key = own && this.#keyOf.get(own.subscription)
    if (own === undefined || key === undefined) return
    const { info, event } = own.subscription.infoOf(held, own.opened, 'cache')
    const totalBytes = held.packet.header.root?.payloadBytes ?? 0
    const { id, author } = info
    const received = Math.min(receivedBytes, totalBytes)
    const progress = { subscription: key, id, author, event, receivedBytes: received, totalBytes }
    this.#parts.host.progress(progress)
  }

  /** What is held under a subscription that is new, or whose packets were just loaded. */
  adopt(key: SubscriptionKey, at: Moment): void {
    const subscription = this.#byKey.get(key)
    if (subscription === undefined) return
    const { store, self } = this.#parts
    const found = this.#heldOf(subscription).flatMap((held) => {
      const opened = subscription.open(held.packet, held.duty === 'own')
      return typeof opened === 'object' ? [{ held, opened }] : []
    })
    found.sort((a, b) => a.opened.lamport - b.opened.lamport)
    for (const { held, opened } of found) {
      const isOld = held.duty === 'own'
      const author = toHex(opened.author)
      if (author === self) subscription.mine.add(held.name)
      if (!isOld) store.setDuty(held.name, 'own', author)
      if (!held.isWhole || (isOld && subscription.adopt(held, opened))) continue
      this.arrived(held, { subscription, opened }, 'cache', undefined, at)
    }
  }

  adoptAll(at: Moment): void {
    for (const key of this.#byKey.keys()) this.adopt(key, at)
  }

  /** Ours that are still kept. */
  mine(key: SubscriptionKey): HeldPacket[] {
    const mine = this.#byKey.get(key)?.mine ?? new Set()
    const held: HeldPacket[] = []
    for (const name of mine) {
      const packet = this.#parts.store.get(name)
      if (packet === undefined) mine.delete(name)
      else held.push(packet)
    }
    return held
  }

  /** Undefined: no such subscription. */
  history(
    key: SubscriptionKey,
    since: UnixMs,
    after: HistoryCursor | undefined,
    limit: number,
  ): { readonly arrivals: readonly Reading[]; readonly isLast: boolean } | undefined {
    const held = (name: string) => this.#parts.store.get(name)
    return this.#byKey.get(key)?.read(since, after, limit, held)
  }

  /** The keys of earlier days were forgotten: so is what they opened. */
  forget(key: SubscriptionKey, wall: UnixMs): void {
    const subscription = this.#byKey.get(key)
    if (subscription === undefined) return
    const before = this.tags.liveOf(subscription)
    this.tags.refresh(wall, true)
    const after = new Set(this.tags.liveOf(subscription))
    for (const tag of before.filter((each) => !after.has(each)))
      for (const { name } of this.#parts.store.withTag(tag)) {
        subscription.forget(name)
        this.#parts.store.remove(name)
      }
  }

  deadline(): Deadline | undefined {
    let first: Deadline | undefined
    for (const { order } of this.#waiting) first = earlier(first, order.deadline())
    return first
  }

  onDeadline(now: Instant): void {
    for (const subscription of [...this.#waiting])
      this.#deliver(subscription, subscription.order.onDeadline(now))
  }

  #deliver(subscription: Subscription, released: readonly Released<Arrival>[]): void {
    if (subscription.order.waitingCount > 0) this.#waiting.add(subscription)
    else this.#waiting.delete(subscription)
    const key = this.#keyOf.get(subscription)
    if (key === undefined) return
    for (const { packet: arrival, gap } of released) {
      const value = subscription.deliver(arrival, this.#parts.store.get(arrival.key))
      if (value === undefined) continue
      const { info, event } = arrival
      const packet = { ...info, gap }
      this.#parts.host.deliver({ subscription: key, packet, event, value })
    }
  }

  /** One that was opened, and its author checked, when it came. */
  #reopened(held: HeldPacket): OwnPacket | undefined {
    if (held.duty !== 'own') return undefined
    const { packet } = held
    const subscription = this.tags.find(held.tag, packet.header.createdS)
    const opened = subscription?.open(packet, true)
    return subscription !== undefined && typeof opened === 'object'
      ? { subscription, opened }
      : undefined
  }

  #heldOf(subscription: Subscription): HeldPacket[] {
    return this.tags.liveOf(subscription).flatMap((tag) => [...this.#parts.store.withTag(tag)])
  }
}

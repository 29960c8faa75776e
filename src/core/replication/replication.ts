import type { Crypto, KeyPair, Random } from '../crypto.ts'
import { earlier } from '../deadlines.ts'
import { assert, MALFORMED } from '../errors.ts'
import type {
  Deadline,
  DeliveryOrder,
  Instant,
  PacketInfo,
  PeerId,
  RejectCode,
  StoredRecord,
  UnixMs,
} from '../io.ts'
import { GOALS_MAX } from '../overlay/goals.ts'
import type { Placement } from '../overlay/placement.ts'
import type { SessionPort } from '../session/port.ts'
import { fromHex, toHex } from '../wire/bytes.ts'
import { type Duty, type HeldPacket, PacketStore } from './cache/packet-store.ts'
import { Comparing } from './comparing.ts'
import { Interest } from './interest.ts'
import { LargePackets } from './large-packets.ts'
import { decodePacket, isPacketSigned, isTimely, type Packet, packetId } from './packet.ts'
import { NAME_BYTES, nameOf, shortOf } from './packet-name.ts'
import { type OpenedPacket, sealPacket } from './packet-seal.ts'
import { Places } from './places.ts'
import { isReconcileMessage } from './reconcile/reconciler.ts'
import { Spread } from './spread/spread.ts'
import {
  type Copies,
  decodeSpreadMessage,
  KIND_HELD,
  KIND_PACKET,
  type PacketMessage,
} from './spread/spread-messages.ts'
import type { EpochSource } from './subscription.ts'
import {
  type Delivered,
  type Moment,
  type Progress,
  type SubscriptionKey,
  Subscriptions,
  type SubscriptionsHost,
} from './subscriptions.ts'

export type { Delivered, Moment, Progress } from './subscriptions.ts'

/**
 * The published packets: checks what comes, keeps what it should, passes on what is new, and delivers
 * what is ours. Decides what is accepted and with which duty; how packets travel is `spread/`, what is
 * fetched `large-packets.ts`, what is compared `comparing.ts`, what is dropped `cache/`.
 */

export interface PublishDraft {
  readonly event: string
  readonly value: Uint8Array
  readonly lifeMinutes: number
  readonly salt: Uint8Array
}

export interface ReplicationHost {
  /** Of the input that is handled. */
  now(): Instant
  placement(): Placement
  /** How long remotes stay, as far as was seen. */
  meanStayMs(): number | undefined
  /** Places whose nearest peers are worth a session. */
  setGoals(locations: readonly string[]): void
  /** Whether we and this remote know each other as members. */
  isFellow(peer: PeerId, subscription: SubscriptionKey): boolean
  deliver(delivered: Delivered): void
  /** A remote gives what it may have written itself, and we know no subscription of it yet. */
  mayBeMail(peer: PeerId, at: Moment): void
  /** A remote says that these are on its disk. */
  held(peer: PeerId, shorts: readonly string[]): void
  progress(progress: Progress): void
  store(key: string, value: Uint8Array | undefined): void
  requestSync(): void
  reject(code: RejectCode): void
}

export interface ReplicationConfig {
  readonly crypto: Crypto
  readonly random: Random
  readonly author: KeyPair & { readonly peerId: PeerId }
  readonly cacheBytes: number
  readonly host: ReplicationHost
}

/** What a driver loads at the start, in this order. */
export const STORED_PREFIXES = ['packet/', 'leaf/'] as const
/** Guess: own packets are the app's, and all in memory. One of the largest messages fits twice. */
export const OWN_BYTES_MAX = 160 * 1024 * 1024
const UPKEEP_MS = 60_000
/** research, gossip §5.5: what was pushed by another way may be just behind. */
const PARENT_WAIT_MIN_MS = 50
const PARENT_WAIT_RANGE_MS = 100
/** Whom a missing parent is asked of, beside who brought the child. */
const PARENT_HOLDERS = 3

export class Replication {
  readonly #config: ReplicationConfig
  readonly #store: PacketStore
  readonly #spread: Spread
  readonly #large: LargePackets
  readonly #comparing: Comparing
  readonly #subscriptions: Subscriptions
  readonly #interest: Interest
  readonly #places: Places
  /** Until the stored packets are loaded: what we published follows them. */
  #untilLoaded: (() => void)[] | undefined = []
  #loadedPrefixes = 0
  #upkeepAt: Instant
  #duties = ''
  /** As last told. */
  #wall: UnixMs

  constructor(config: ReplicationConfig, now: Instant, wall: UnixMs) {
    this.#config = config
    const { crypto, random, cacheBytes, host } = config
    this.#wall = wall
    this.#upkeepAt = (now + UPKEEP_MS) as Instant
    this.#store = new PacketStore({
      crypto,
      cacheBytes,
      ownBytes: OWN_BYTES_MAX,
      write: (key, value) => host.store(key, value),
      gone: (held) => this.#large.gone(held),
    })
    const store = this.#store
    const placement = () => host.placement()
    this.#places = new Places(crypto)
    const location = (tag: string) => this.#places.of(tag)
    const spreadHost = {
      placement,
      location,
      held: (name: string) => store.get(name),
      heldByShort: (short: string) => store.byShort(short),
      knowsShort: (short: string) =>
        store.byShort(short) !== undefined || store.isShortSpent(short),
      isFellow: (peer: PeerId, tag: string) => this.#isFellow(peer, tag),
      followedOpenly: () => this.#subscriptions.tags.followedOpenly(),
      followedPrivately: () => this.#subscriptions.tags.followedPrivately(),
      requestSync: () => host.requestSync(),
    }
    this.#spread = new Spread({ random, host: spreadHost }, now)
    this.#large = new LargePackets({
      store,
      spread: this.#spread,
      progress: (held, receivedBytes) => this.#subscriptions.progressed(held, receivedBytes),
      whole: (held, later) => this.#onWhole(held, later),
    })
    const comparingHost = { placement, location, meanStayMs: () => host.meanStayMs() }
    const followed = () => this.#subscriptions.tags.followed()
    const self = config.author.peerId
    const subscriptionsHost = {
      deliver: (delivered: Delivered) => host.deliver(delivered),
      progress: (progress: Progress) => host.progress(progress),
      seek: (...args: Parameters<SubscriptionsHost['seek']>) => this.#seek(...args),
    }
    const own = { crypto, self, store, host: subscriptionsHost }
    this.#subscriptions = new Subscriptions(own, wall)
    const spread = this.#spread
    const parts = { crypto, random, self, store, spread, followed, host: comparingHost }
    this.#comparing = new Comparing(parts, now)
    this.#interest = new Interest({ now: () => host.now(), tell: () => this.#tellInterest() })
  }

  get counters(): Readonly<Record<string, number>> {
    const { own, cache } = this.#store.bytes
    return {
      ...this.#spread.counters,
      ownBytes: own,
      cacheBytes: cache,
      packetsKept: this.#store.count,
    }
  }

  /** `isPrivate`: nobody but its custodians is told that we follow it. */
  subscribe(
    key: SubscriptionKey,
    keys: EpochSource,
    order: DeliveryOrder,
    at: Moment,
    isPrivate = false,
  ): void {
    this.#subscriptions.add(key, keys, order, isPrivate)
    if (this.#untilLoaded === undefined) this.#subscriptions.adopt(key, at)
    this.#interest.changed()
  }

  has(key: SubscriptionKey): boolean {
    return this.#subscriptions.get(key) !== undefined
  }

  unsubscribe(key: SubscriptionKey): void {
    for (const { name, tag } of this.#subscriptions.remove(key))
      this.#store.setDuty(name, this.#strangersDuty(tag), `tag ${tag}`)
    this.#interest.changed()
  }

  /** `onHeld` is called once: when enough others have it, or none can be waited for. */
  publish(
    key: SubscriptionKey,
    draft: PublishDraft,
    at: Moment,
    onHeld: (packet: PacketInfo | undefined) => void,
  ): void {
    this.whenLoaded(() => this.#publish(key, draft, at, onHeld))
  }

  /** What needs to know the packets of earlier runs: now, or when they are loaded. */
  whenLoaded(act: () => void): void {
    if (this.#untilLoaded === undefined) act()
    else this.#untilLoaded.push(act)
  }

  #publish(
    key: SubscriptionKey,
    draft: PublishDraft,
    at: Moment,
    onHeld: (packet: PacketInfo | undefined) => void,
  ): void {
    this.#subscriptions.tags.refresh(at.wall)
    const subscription = this.#subscriptions.get(key)
    const createdS = Math.floor(at.wall / 1000)
    const keys = subscription?.keys.at(createdS)
    if (subscription === undefined || keys === undefined) return onHeld(undefined)
    const { crypto, author } = this.#config
    const { event, lifeMinutes, salt } = draft
    const { order } = subscription
    const heads = order.heads.filter((head) => this.#store.has(head))
    const parents = heads.map((head) => fromHex(head) ?? new Uint8Array(NAME_BYTES))
    const content = { event, lamport: order.nextLamport, parents, payload: draft.value }
    const sealed = sealPacket(crypto, keys, author, { ...content, createdS, lifeMinutes, salt })
    const packet = decodePacket(sealed.bytes)
    assert(packet !== MALFORMED, 'what we seal can be read')
    const held = this.#store.add(packet, sealed.id, 'own', author.peerId, at.wall)
    // It is larger than all that we may keep of our own.
    if (held === undefined) return onHeld(undefined)
    for (const leaves of sealed.levels.toReversed())
      for (const { level, index, bytes } of leaves)
        this.#store.addLeaf(held.name, level, index, bytes)
    subscription.mine.add(held.name)
    subscription.adopt(held, { author: author.publicKey, ...content })
    const { info } = subscription.infoOf(held, { author: author.publicKey, ...content }, 'self')
    this.#comparing.changed(at.now)
    this.#spread.publish(held, at.now, () => onHeld({ ...info, gap: false }))
  }

  /** Whether a packet of ours in this subscription is still kept. */
  hasOwn(key: SubscriptionKey): boolean {
    return this.#subscriptions.mine(key).length > 0
  }

  /** Gives a remote what we wrote, and returns its short names: HELD will tell that it has them. */
  offerOwn(key: SubscriptionKey, peer: PeerId): string[] {
    const mine = this.#subscriptions.mine(key)
    this.#spread.offer(peer, mine)
    return mine.map(({ name }) => shortOf(name))
  }

  /** Nobody needs to be offered this any more. */
  taken(key: SubscriptionKey, short: string): void {
    const held = this.#store.byShort(short)
    if (held !== undefined) this.#subscriptions.get(key)?.mine.delete(held.name)
  }

  sessionUp(
    port: SessionPort,
    sendMessage: (payload: Uint8Array, onAcked?: () => void) => void,
    now: Instant,
  ): void {
    this.#spread.sessionUp(port, sendMessage)
    this.#met(port, now)
  }

  sessionLost(port: SessionPort): void {
    this.#spread.sessionLost(port)
    this.#comparing.gone(port.peer)
  }

  sessionBack(port: SessionPort, now: Instant): void {
    this.#spread.sessionBack(port)
    this.#met(port, now)
  }

  sessionGone(port: SessionPort, now: Instant): void {
    this.#spread.sessionGone(port, now)
    this.#comparing.gone(port.peer)
    this.#large.sessionGone(port.peer, now)
    this.#interest.changed()
  }

  /** `payload` is handed over. */
  message(port: SessionPort, payload: Uint8Array, at: Moment): void {
    this.#wall = at.wall
    // A clock that was set right is on another day.
    this.#subscriptions.tags.refresh(at.wall)
    const { reject } = this.#config.host
    const kind = payload[0] ?? 0
    if (isReconcileMessage(payload)) {
      const code = this.#comparing.message(port, payload, at.now)
      if (code !== undefined) reject(code)
      return
    }
    if (LargePackets.isMessage(kind)) {
      const code = this.#large.message(port.peer, payload, at.now)
      if (code !== undefined) reject(code)
      return
    }
    const message = decodeSpreadMessage(payload)
    if (message === MALFORMED) return reject('malformed')
    if (message.kind === KIND_PACKET) return this.#onPacket(port, message, at)
    this.#spread.message(port, message, at.now)
    if (message.kind === KIND_HELD) this.#config.host.held(port.peer, message.shorts)
  }

  loaded(records: readonly StoredRecord[], at: Moment): number {
    const unreadable = this.#store.load(records, at.wall)
    this.#loadedPrefixes++
    if (this.#loadedPrefixes < STORED_PREFIXES.length) return unreadable
    const waiting = this.#untilLoaded ?? []
    this.#untilLoaded = undefined
    this.#subscriptions.adoptAll(at)
    this.#large.resume(at.now)
    for (const act of waiting) act()
    return unreadable
  }

  synced(isKept: boolean): void {
    this.#spread.receipts.synced(isKept)
  }

  /** Undefined: no such subscription. */
  history(...page: Parameters<Subscriptions['history']>): ReturnType<Subscriptions['history']> {
    return this.#subscriptions.history(...page)
  }

  /** The keys of earlier days were forgotten: so is what they opened. */
  forget(key: SubscriptionKey, wall: UnixMs): void {
    this.#subscriptions.forget(key, wall)
    this.#interest.changed()
  }

  deadline(): Deadline | undefined {
    let first: Deadline = { at: this.#upkeepAt, reason: 'upkeep of packets' }
    const parts = [this.#spread, this.#large, this.#comparing, this.#subscriptions, this.#interest]
    for (const part of parts) first = earlier(first, part.deadline()) ?? first
    return first
  }

  onDeadline(at: Moment): void {
    this.#spread.onDeadline(at.now)
    this.#large.onDeadline(at.now)
    this.#comparing.onDeadline(at.now)
    this.#subscriptions.onDeadline(at.now)
    this.#interest.onDeadline(at.now)
    if (this.#upkeepAt > at.now) return
    this.#upkeepAt = (at.now + UPKEEP_MS) as Instant
    this.#store.expire(at.wall)
    this.#subscriptions.tags.refresh(at.wall)
    this.#interest.changed()
    this.#renewDuties()
  }

  /** Cheap checks before dear ones: length, time, seen, budget, signature; then what only members can. */
  #onPacket(port: SessionPort, message: PacketMessage, at: Moment): void {
    const { crypto, host } = this.#config
    const { peer } = port
    const packet = decodePacket(message.packet)
    if (packet === MALFORMED) {
      this.#spread.faulted(peer, at.now)
      return host.reject('malformed')
    }
    if (!isTimely(packet.header, at.wall)) return host.reject('expired')
    const isForeign = this.#subscriptions.keyOfTag(toHex(packet.header.tag)) === undefined
    if (isForeign && message.wantsReceipt) host.mayBeMail(peer, at)
    const id = packetId(crypto, packet.identified)
    const name = nameOf(id)
    const short = shortOf(name)
    this.#spread.seen(peer, short)
    if (this.#isKnown(name, short, port, message.wantsReceipt, at)) return
    if (!this.#spread.admits(peer, short, packet.bytes.length, at.now))
      return host.reject('rate-limited')
    if (!isPacketSigned(crypto, packet, id)) {
      this.#spread.faulted(peer, at.now)
      return host.reject('unauthentic')
    }
    const held = this.#take(packet, id, port, message.copies, at)
    this.#spread.settled(short)
    if (held === undefined) return host.reject('over-limit')
    if (message.wantsReceipt && held.duty !== 'passing')
      this.#spread.receipts.asked(short, peer, held.isWhole)
  }

  /** Held, or not to be taken again. */
  #isKnown(
    name: string,
    short: string,
    { peer }: SessionPort,
    wantsReceipt: boolean,
    { now }: Moment,
  ): boolean {
    const held = this.#store.get(name)
    if (held === undefined) return this.#store.isSpent(name)
    this.#spread.counters.packetsDuplicate++
    if (!held.isWhole) this.#large.holder(held, peer, now)
    if (wantsReceipt && held.duty !== 'passing')
      this.#spread.receipts.asked(short, peer, held.isWhole)
    return true
  }

  #take(
    packet: Packet,
    id: Uint8Array,
    port: SessionPort,
    copies: Copies,
    at: Moment,
  ): HeldPacket | undefined {
    const { peer } = port
    const own = this.#subscriptions.open(packet)
    if (typeof own === 'string') this.#config.host.reject(own)
    const isOurs = typeof own === 'object'
    const tag = toHex(packet.header.tag)
    const duty = isOurs ? 'own' : this.#strangersDuty(tag)
    const source = isOurs ? toHex(own.opened.author) : peer
    const held = this.#store.add(packet, id, duty, source, at.wall)
    if (held === undefined) return undefined
    this.#comparing.changed(at.now)
    this.#large.want(held, peer, at.now)
    if (copies !== undefined || this.#comparing.isWorthTelling(peer))
      this.#spread.forward(held, peer, copies, at.now)
    if (isOurs && held.isWhole)
      this.#subscriptions.arrived(held, own, viaOf(own.opened, port, copies), peer, at)
    return held
  }

  /** A parent that has not come is asked for: first of who brought its child. */
  #seek(parent: string, child: HeldPacket, from: PeerId | undefined, now: Instant): void {
    const jitter = (this.#config.random.bytes(1)[0] ?? 0) / 256
    const waitMs = PARENT_WAIT_MIN_MS + jitter * PARENT_WAIT_RANGE_MS
    const keepers = this.#spread.keepers(child.tag, PARENT_HOLDERS)
    const holders = from === undefined ? keepers : [from, ...keepers]
    for (const peer of holders) this.#spread.want(shortOf(parent), peer, now, waitMs)
  }

  #onWhole(held: HeldPacket, now: Instant): void {
    this.#spread.receipts.whole(shortOf(held.name))
    this.#subscriptions.whole(held, { now, wall: this.#wall })
  }

  #met(port: SessionPort, now: Instant): void {
    this.#large.met(port.peer, now)
    this.#comparing.met(port, now)
    this.#interest.changed()
  }

  #tellInterest(): void {
    this.#spread.interestChanged()
    const { isSmall } = this.#config.host.placement()
    const tags = isSmall ? [] : this.#subscriptions.tags.followed().slice(0, GOALS_MAX)
    this.#config.host.setGoals(tags.map((tag) => this.#places.of(tag)))
  }

  #strangersDuty(tag: string): Duty {
    const placement = this.#config.host.placement()
    return placement.isSmall || placement.isOurs(this.#places.of(tag)) ? 'custody' : 'passing'
  }

  /** The network grew or shrank: other packets are ours to keep. */
  #renewDuties(): void {
    const { isSmall, ownBits } = this.#config.host.placement()
    const duties = isSmall ? 'everything' : `${ownBits} bits`
    if (duties === this.#duties) return
    this.#duties = duties
    for (const { name, tag } of [...this.#store.entries()]) {
      const held = this.#store.get(name)
      if (held === undefined || held.duty === 'own') continue
      this.#store.setDuty(name, this.#strangersDuty(tag), held.source)
    }
  }

  #isFellow(peer: PeerId, tag: string): boolean {
    const key = this.#subscriptions.keyOfTag(tag)
    return key !== undefined && this.#config.host.isFellow(peer, key)
  }
}

/** How a packet came: from its author's hand, passed on by another, or out of somebody's keeping. */
function viaOf(opened: OpenedPacket, port: SessionPort, copies: Copies): PacketInfo['via'] {
  if (toHex(opened.author) === port.peer) return port.path === 'relayed' ? 'relayed' : 'direct'
  return copies === undefined ? 'cache' : 'relayed'
}

import { smallest } from '../../collections/smallest.ts'
import { TimerQueue } from '../../collections/timer-queue.ts'
import type { Random } from '../../crypto.ts'
import { earlier } from '../../deadlines.ts'
import type { Deadline, Instant, PeerId } from '../../io.ts'
import { FairBudget } from '../../overlay/fair-budget.ts'
import { pointOf } from '../../overlay/id-space.ts'
import { nearestOf } from '../../overlay/live-peers.ts'
import type { SessionPort } from '../../session/port.ts'
import type { HeldPacket } from '../cache/packet-store.ts'
import { shortOf } from '../packet-name.ts'
import { type InterestHost, InterestTags } from './interest-tags.ts'
import { isSameInterest, Link, type QueuedPacket, type ToldInterest } from './link.ts'
import { HELD_WAIT_MS, Receipts } from './receipts.ts'
import {
  type Copies,
  encodeInterest,
  encodePacketMessage,
  encodeShorts,
  KIND_HAVE,
  KIND_HELD,
  KIND_INTEREST,
  KIND_LACK,
  type KIND_PACKET,
  KIND_WANT,
  SHORTS_MAX,
  type SpreadMessage,
  tagPrefix,
} from './spread-messages.ts'
import { Wants } from './wants.ts'

/**
 * How packets get about: pushed while their copies last, announced after that, and asked for by whoever
 * lacks them. Decides to whom a packet goes and in which form. What is kept, and what is authentic, is not
 * its business. docs/spec/spread.md; the numbers are of research, gossip §5.2.
 */

/** Links that a packet of one tag goes to. */
export const DEGREE = 12
/** A publisher gives its packet itself to so many fellow members: these need not ask. Guess. */
export const FELLOWS_MAX = 64
/** Who has so few neighbours hears of packets from each of them. Guess. */
const FEW_LINKS = 6
/**
 * Copies that are pushed, of as many as there are peers that the packet is for; the others ask. In a model
 * of a thousand, half costs 0.2 duplicates a delivery and saves a fifth of the time against a quarter.
 */
const PUSHED_SHARE = 0.5
/** How long announcements gather. */
const FLUSH_MS = 5
/** Of those that are nearer to a place that is not ours. */
const NEARER = 3
/**
 * In a large network a publisher knows few of those who keep its packet, and these may be gone or keep
 * nothing. While too few say that they hold it, so many further neighbours get it, so often. Guess.
 */
const WIDER_MS = 500
const WIDER_BY = 6
/** A remote that sends what is not authentic is not listened to for this long. Guess. */
export const SHUN_MS = 600_000
const FAULTS_MAX = 3
/** What remotes may send unasked: twice what one core verifies of one, in all. Guess. */
const UNASKED = {
  sourcePerSecond: 1_000_000,
  sourceBurst: 2_000_000,
  totalPerSecond: 2_000_000,
  totalBurst: 8_000_000,
}
/** What an answer to a WANT is reckoned at. */
const WANTED_BYTES = 600
/** When the budget is spent, questions wait this long. */
const PACE_MS = 250
/** Of one remote at a time, after reconciling. */
const EXPECTED_MAX = 32_768

type OtherMessage = Exclude<SpreadMessage, { readonly kind: typeof KIND_PACKET }>

export interface SpreadHost extends InterestHost {
  held(name: string): HeldPacket | undefined
  heldByShort(short: string): HeldPacket | undefined
  /** Held, or held once and not to be taken again. */
  knowsShort(short: string): boolean
  /** Whether we and this remote know each other as members of what has this tag. */
  isFellow(peer: PeerId, tag: string): boolean
  requestSync(): void
}

export class Spread {
  readonly #host: SpreadHost
  readonly #random: Random
  readonly #links = new Map<PeerId, Link>()
  readonly #wants = new Wants()
  readonly #budget: FairBudget
  readonly receipts: Receipts
  readonly #interest: InterestTags
  readonly #faults = new Map<PeerId, number>()
  readonly counters = {
    packetsPushed: 0,
    packetsAnnounced: 0,
    packetsWanted: 0,
    packetsDuplicate: 0,
  }
  /** Packets of ours that go to more neighbours unless they are held by then. */
  readonly #widening = new TimerQueue<string>()
  #flushAt: Instant | undefined
  /** When there was a neighbour last. */
  #aloneSince: Instant

  constructor(options: { random: Random; host: SpreadHost }, now: Instant) {
    this.#host = options.host
    this.#random = options.random
    this.#interest = new InterestTags(options.host)
    this.#budget = new FairBudget(UNASKED, now)
    this.#aloneSince = now
    this.receipts = new Receipts(
      () => options.host.requestSync(),
      (peer, shorts) => this.#sendShorts(this.#links.get(peer), KIND_HELD, shorts),
    )
  }

  /** Links in contact. */
  links(): Link[] {
    return [...this.#links.values()].filter(({ isUp }) => isUp)
  }

  link(peer: PeerId): Link | undefined {
    return this.#links.get(peer)
  }

  sessionUp(
    port: SessionPort,
    sendMessage: (payload: Uint8Array, onAcked?: () => void) => void,
  ): void {
    const [a = 0, b = 0, c = 0, d = 0] = this.#random.bytes(4)
    const link = new Link(port, ((a << 24) | (b << 16) | (c << 8) | d) >>> 0, sendMessage)
    this.#links.set(port.peer, link)
    this.#tellInterest([link])
  }

  sessionLost(port: SessionPort): void {
    const link = this.#links.get(port.peer)
    if (link?.port === port) link.isUp = false
  }

  sessionBack(port: SessionPort): void {
    const link = this.#links.get(port.peer)
    if (link?.port !== port) return
    link.isUp = true
    link.pump(this.#encode, this.#giftOf)
  }

  sessionGone(port: SessionPort, now: Instant): void {
    const link = this.#links.get(port.peer)
    if (link?.port !== port) return
    link.isUp = false
    this.#links.delete(port.peer)
    this.#aloneSince = now
    this.#faults.delete(port.peer)
  }

  /** What we follow, or the size of the network, may have changed: those hear of it whom it concerns. */
  interestChanged(): void {
    this.#tellInterest([...this.#links.values()])
  }

  /** A packet of ours, stored. `onHeld` is called once, when enough others hold it, or after a while. */
  publish(held: HeldPacket, now: Instant, onHeld: () => void): void {
    const targets = this.#targets(held.tag)
    const isFellow = (link: Link) => this.#host.isFellow(link.peer, held.tag)
    const fellows = this.#choose(targets.filter(isFellow), held.tag, FELLOWS_MAX)
    const others = targets.filter((link) => !isFellow(link))
    const chosen = [...fellows, ...this.#choose(others, held.tag)]
    const copies = this.#copiesMax(targets.length) - chosen.length
    const waitsFrom = this.#links.size > 0 ? now : this.#aloneSince
    const until = Math.max(now, waitsFrom + HELD_WAIT_MS)
    this.receipts.published(shortOf(held.name), chosen.length, until, onHeld)
    for (const link of chosen) this.#push(link, held, Math.max(0, copies / chosen.length), true)
    this.#pump(chosen)
    if (!this.#host.placement().isSmall)
      this.#widening.set(held.name, now + WIDER_MS, 'give to more')
  }

  #widen(name: string, now: Instant): void {
    const held = this.#host.held(name)
    if (held === undefined || !this.receipts.isLacking(shortOf(held.name))) return
    const place = pointOf(this.#host.location(held.tag))
    const lacking = this.links().filter((link) => !link.known.has(shortOf(held.name)))
    const further = nearestOf(lacking, place, WIDER_BY)
    if (further.length === 0) return
    const copies = this.#copiesMax(this.#targets(held.tag).length) / further.length
    for (const link of further) this.#push(link, held, copies, true)
    this.#pump(further)
    this.#widening.set(name, now + WIDER_MS, 'give to more')
  }

  /** A packet that is new here goes on. */
  forward(held: HeldPacket, from: PeerId, copies: Copies, now: Instant): void {
    const short = shortOf(held.name)
    const targets = this.#targets(held.tag)
    const lacking = this.#choose(targets, held.tag).filter(
      (link) => link.peer !== from && !link.known.has(short),
    )
    const most = Math.min(copies ?? 0, this.#copiesMax(targets.length))
    const pushed = lacking.slice(0, most)
    for (const link of pushed) this.#push(link, held, most / pushed.length - 1, false)
    for (const link of lacking.slice(pushed.length)) {
      link.announce(short)
      this.counters.packetsAnnounced++
      this.#flushAt ??= (now + FLUSH_MS) as Instant
    }
    this.#pump(pushed)
  }

  /** Gives a remote these, whoever else has them, and asks for receipts. */
  offer(peer: PeerId, packets: readonly HeldPacket[]): void {
    const link = this.#links.get(peer)
    if (link === undefined) return
    for (const held of packets) this.#push(link, held, undefined, true)
    this.#pump([link])
  }

  /** So many of those that keep or follow a tag. */
  keepers(tag: string, count: number): PeerId[] {
    return this.#choose(this.#targets(tag), tag)
      .slice(0, count)
      .map(({ peer }) => peer)
  }

  message(port: SessionPort, message: OtherMessage, now: Instant): void {
    const link = this.#links.get(port.peer)
    if (link === undefined) return
    switch (message.kind) {
      case KIND_HAVE:
        return this.#onHave(link, message.shorts, now)
      case KIND_WANT:
        return this.#onWant(link, message.shorts)
      case KIND_LACK:
        for (const short of message.shorts) this.#wants.lacked(short, link.peer, now)
        return
      case KIND_HELD:
        for (const short of message.shorts) {
          link.known.add(short)
          this.receipts.held(short, link.peer, now)
        }
        return
      case KIND_INTEREST:
        link.isEverything = message.isEverything
        link.remoteLinks = message.links
        link.followed = new Set(message.tags)
    }
  }

  /**
   * A packet stands at the door. True: it may be checked, which costs us something. False: later, when
   * we ask for it; or never, if the remote is shunned.
   */
  admits(peer: PeerId, short: string, sizeBytes: number, now: Instant): boolean {
    const link = this.#links.get(peer)
    if (link === undefined || link.isShunned(now)) return false
    if (this.#wants.has(short)) return true
    if (link.expected > 0) {
      link.expected--
      return true
    }
    if (this.#budget.take(peer, sizeBytes, now)) return true
    this.#wants.heard(short, peer, now, PACE_MS)
    return false
  }

  /** The remote has this packet, whatever becomes of it here. */
  seen(peer: PeerId, short: string): void {
    this.#links.get(peer)?.known.add(short)
  }

  /** It is here, or refused for good. */
  settled(short: string): void {
    this.#wants.settle(short)
  }

  /** A remote sent what is not authentic: only it can have made that. */
  faulted(peer: PeerId, now: Instant): void {
    const link = this.#links.get(peer)
    if (link === undefined) return
    const faults = (this.#faults.get(peer) ?? 0) + 1
    this.#faults.set(peer, faults)
    if (faults < FAULTS_MAX) return
    this.#faults.delete(peer)
    link.shunnedUntil = now + SHUN_MS
  }

  /** We lack a packet that this remote has, or may have. */
  want(short: string, peer: PeerId, now: Instant, waitMs?: number): void {
    if (!this.#host.knowsShort(short)) this.#wants.heard(short, peer, now, waitMs)
  }

  give(peer: PeerId, names: readonly string[]): void {
    const link = this.#links.get(peer)
    link?.give(names)
    if (link?.isUp) link.pump(this.#encode, this.#giftOf)
  }

  expect(peer: PeerId, count: number): void {
    const link = this.#links.get(peer)
    if (link !== undefined) link.expected = Math.min(EXPECTED_MAX, link.expected + count)
  }

  deadline(): Deadline | undefined {
    let first = earlier(this.#wants.deadline(), this.receipts.deadline())
    if (this.#flushAt !== undefined)
      first = earlier(first, { at: this.#flushAt, reason: 'announce' })
    const wider = this.#widening.earliest()
    return wider ? earlier(first, { at: wider.at as Instant, reason: wider.reason }) : first
  }

  onDeadline(now: Instant): void {
    for (let name = this.#widening.takeDue(now); name !== undefined; ) {
      this.#widen(name, now)
      name = this.#widening.takeDue(now)
    }
    this.receipts.onDeadline(now)
    if (this.#flushAt !== undefined && this.#flushAt <= now) {
      this.#flushAt = undefined
      for (const link of this.#links.values())
        if (link.isUp && link.hasAnnouncements) link.flushAnnouncements()
    }
    this.#ask(now)
  }

  #ask(now: Instant): void {
    const byPeer = new Map<PeerId, string[]>()
    for (const { peer, short } of this.#wants.due(now, (each) => this.#rttMs(each))) {
      const shorts = byPeer.get(peer)
      if (shorts === undefined) byPeer.set(peer, [short])
      else shorts.push(short)
    }
    for (const [peer, shorts] of byPeer) {
      const allowed: string[] = []
      for (const short of shorts)
        if (this.#budget.take(peer, WANTED_BYTES, now)) allowed.push(short)
        else this.#wants.postpone(short, now + PACE_MS)
      this.counters.packetsWanted += allowed.length
      this.#sendShorts(this.#links.get(peer), KIND_WANT, allowed)
    }
  }

  #rttMs(peer: PeerId): number | undefined {
    const link = this.#links.get(peer)
    return link?.isUp ? link.port.rttMs : undefined
  }

  #onHave(link: Link, shorts: readonly string[], now: Instant): void {
    if (link.isShunned(now)) return
    for (const short of shorts) {
      link.known.add(short)
      this.want(short, link.peer, now)
    }
  }

  #onWant(link: Link, shorts: readonly string[]): void {
    const lacking: string[] = []
    for (const short of shorts) {
      const held = this.#host.heldByShort(short)
      if (held === undefined) lacking.push(short)
      else this.#push(link, held, undefined, false)
    }
    this.#sendShorts(link, KIND_LACK, lacking)
    this.#pump([link])
  }

  #sendShorts(
    link: Link | undefined,
    kind: Parameters<typeof encodeShorts>[0],
    shorts: readonly string[],
  ): void {
    for (let i = 0; i < shorts.length; i += SHORTS_MAX)
      link?.sendMessage(encodeShorts(kind, shorts.slice(i, i + SHORTS_MAX)))
  }

  #push(link: Link, held: HeldPacket, copies: Copies, wantsReceipt: boolean): void {
    this.counters.packetsPushed++
    link.push({ name: held.name, short: shortOf(held.name), tag: held.tag, copies, wantsReceipt })
  }

  #pump(links: readonly Link[]): void {
    for (const link of links) if (link.isUp) link.pump(this.#encode, this.#giftOf)
  }

  readonly #encode = ({ name, copies, wantsReceipt }: QueuedPacket): Uint8Array | undefined => {
    const held = this.#host.held(name)
    return held && encodePacketMessage(held.bytes, copies, wantsReceipt)
  }

  readonly #giftOf = (name: string): QueuedPacket | undefined => {
    const held = this.#host.held(name)
    if (held === undefined) return undefined
    const short = shortOf(held.name)
    const wantsReceipt = this.receipts.isAwaited(short)
    return { name, short, tag: held.tag, copies: undefined, wantsReceipt }
  }

  /** Everyone who keeps or follows a tag, and those on the way to its place. */
  #targets(tag: string): Link[] {
    const placement = this.#host.placement()
    const location = this.#host.location(tag)
    const prefix = tagPrefix(tag)
    const isUndecided = placement.isSmall
    const isCustodian = placement.custodiansOf(location)
    const targets = this.links().filter(
      (link) =>
        link.follows(prefix) ||
        (isUndecided && link.isEverything === undefined) ||
        this.#host.isFellow(link.peer, tag) ||
        isCustodian(link.point),
    )
    if (placement.isSmall || placement.isOurs(location)) return targets
    for (const peer of placement.nearer(location, NEARER)) {
      const link = this.#links.get(peer)
      if (link?.isUp && !targets.includes(link)) targets.push(link)
    }
    return targets
  }

  /** Of a packet that concerns so many neighbours, and of the network in proportion. */
  #copiesMax(targets: number): number {
    const links = Math.max(1, this.#links.size)
    const peers = Math.max(targets + 1, (this.#host.placement().networkSize * targets) / links)
    return PUSHED_SHARE * peers
  }

  /** So many of them, in an order of our own for each tag, and everyone who has few others. */
  #choose(targets: readonly Link[], tag: string, count = DEGREE): readonly Link[] {
    if (targets.length <= count) return targets
    const seed = Number.parseInt(tag.slice(0, 8), 16)
    const rank = (link: Link) => mixed(seed, link.salt) + (isAway(link) ? 2 ** 32 : 0)
    const chosen = smallest(targets, count, rank)
    const lonely = targets.filter((link) => link.remoteLinks < FEW_LINKS && !chosen.includes(link))
    return [...chosen, ...smallest(lonely, DEGREE, rank)]
  }

  #tellInterest(links: readonly Link[]): void {
    const { isSmall } = this.#host.placement()
    const isFew = this.#links.size < FEW_LINKS
    for (const link of links) {
      const { tags, text } = this.#interest.of(link.point)
      const interest: ToldInterest = { isEverything: isSmall, isFew, tags: text }
      if (isSameInterest(interest, link.toldInterest)) continue
      link.toldInterest = interest
      link.sendMessage(encodeInterest(isSmall, this.#links.size, tags))
    }
  }
}

/** It sleeps, or may have left without a word: others come first. */
function isAway({ port }: Link): boolean {
  return port.isDormant || port.isSilent
}

/** Scatters: nobody can aim who does not know the salt. */
function mixed(seed: number, salt: number): number {
  let h = Math.imul(seed ^ salt, 0x9e3779b1)
  h = Math.imul(h ^ (h >>> 15), 0x85ebca6b)
  return (h ^ (h >>> 13)) >>> 0
}

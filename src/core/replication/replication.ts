import { BoundedMap } from '../collections/bounded-map.ts'
import type { Crypto, KeyPair } from '../crypto.ts'
import { earlier } from '../deadlines.ts'
import { assert, MALFORMED } from '../errors.ts'
import type {
  Deadline,
  Handle,
  Instant,
  PacketId,
  PacketInfo,
  PeerId,
  RejectCode,
  UnixMs,
} from '../io.ts'
import { fromHex, toHex } from '../wire/bytes.ts'
import { CausalOrder, type CausalPacket, type Released } from './causal.ts'
import { LeafAssembly } from './leaf-assembly.ts'
import { decodePacket, isPacketSigned, isTimely, type Packet, packetId } from './packet.ts'
import {
  type OpenedPacket,
  openBlob,
  openPacket,
  PARENT_BYTES,
  type PacketKeys,
  type SealedPacket,
  sealPacket,
} from './packet-seal.ts'
import { SeenSet } from './seen.ts'

/**
 * The published packets of the subclusters we are in: writes ours, checks, opens, orders and delivers
 * the others'. Decides what is accepted; to whom a packet goes is `Spread`'s.
 */

/** Guess: the packets of a busy day. A packet older than all of these could be delivered twice. */
export const SEEN_PACKETS_MIN = 16_384
/** Guess: large messages on their way in at once, and what they may come to. */
export const ASSEMBLIES_MAX = 64
export const ASSEMBLIES_BYTES_MAX = 128 * 1024 * 1024
/** Guess: the sender is gone, and nothing else asks for leaves. */
export const ASSEMBLY_IDLE_MS = 10 * 60_000
/** A packet's reach touches at most ten days. */
const TAGGED_DAYS_MAX = 12
const DAY_S = 86_400
/** How a LEAF names its root. */
export const ROOT_NAME_BYTES = 8

/** Where our packets go. The mesh of members is one; an overlay of custodians can be another. */
export interface Spread {
  /** `onHeld` is called once: when another member has the packet whole, or none can be waited for. */
  spread(
    subcluster: Handle,
    packet: SealedPacket,
    expiresAt: UnixMs,
    now: Instant,
    onHeld: () => void,
  ): void
}

/** Packet keys by the second of creation. */
export interface EpochSource {
  at(createdS: number): PacketKeys
}

export interface Origin {
  readonly peer: PeerId
  readonly isRelayed: boolean
}

export interface Delivered {
  readonly subcluster: Handle
  readonly packet: PacketInfo
  readonly event: string
  readonly value: Uint8Array
}

export interface PublishDraft {
  readonly event: string
  readonly value: Uint8Array
  readonly lifeMinutes: number
  readonly salt: Uint8Array
}

interface Arrival extends CausalPacket {
  readonly info: Omit<PacketInfo, 'gap'>
  readonly event: string
  readonly value: Uint8Array
}

interface Subscription {
  readonly subcluster: Handle
  readonly keys: EpochSource
  readonly seen: SeenSet
  readonly order: CausalOrder<Arrival>
}

interface Assembly {
  readonly subscription: Subscription
  readonly keys: PacketKeys
  readonly packet: Packet
  readonly opened: OpenedPacket
  readonly info: Omit<PacketInfo, 'gap'>
  readonly leaves: LeafAssembly
  readonly payloadBytes: number
  readonly idleAt: number
}

export interface ReplicationConfig {
  readonly crypto: Crypto
  readonly author: KeyPair
  readonly spread: Spread
  readonly deliver: (delivered: Delivered) => void
  readonly reject: (code: RejectCode) => void
}

export class Replication {
  readonly #config: ReplicationConfig
  readonly #subscriptions = new Map<Handle, Subscription>()
  #tagsOfDay = new BoundedMap<number, Map<string, Subscription>>(TAGGED_DAYS_MAX)
  /** By the root's name; the one idle longest first. */
  readonly #assemblies = new Map<string, Assembly>()
  #assembliesBytes = 0

  constructor(config: ReplicationConfig) {
    this.#config = config
  }

  get assembliesBytes(): number {
    return this.#assembliesBytes
  }

  subscribe(subcluster: Handle, keys: EpochSource): void {
    const seen = new SeenSet(SEEN_PACKETS_MIN)
    this.#subscriptions.set(subcluster, { subcluster, keys, seen, order: new CausalOrder() })
    this.#tagsOfDay = new BoundedMap(TAGGED_DAYS_MAX)
  }

  unsubscribe(subcluster: Handle): void {
    this.#subscriptions.delete(subcluster)
    this.#tagsOfDay = new BoundedMap(TAGGED_DAYS_MAX)
    for (const [name, assembly] of [...this.#assemblies])
      if (assembly.subscription.subcluster === subcluster) this.#dropAssembly(name, assembly)
  }

  publish(
    subcluster: Handle,
    draft: PublishDraft,
    now: Instant,
    wall: UnixMs,
    onHeld: (packet: PacketInfo) => void,
  ): void {
    const subscription = this.#subscriptions.get(subcluster)
    assert(subscription !== undefined, 'one publishes to a subcluster one is in')
    const { crypto, author, spread } = this.#config
    const createdS = Math.floor(wall / 1000)
    const { event, lifeMinutes, salt } = draft
    const lamport = subscription.order.nextLamport
    const heads = [...subscription.order.heads]
    const parents = heads.map((head) => fromHex(head) ?? new Uint8Array(PARENT_BYTES))
    const content = { event, lamport, parents, payload: draft.value }
    const sealed = sealPacket(crypto, subscription.keys.at(createdS), author, {
      ...content,
      createdS,
      lifeMinutes,
      salt,
    })
    const id = toHex(sealed.id)
    subscription.seen.add(id)
    subscription.order.published({ key: parentKey(id), parents: heads, lamport, sizeBytes: 0 })
    const opened = { author: author.publicKey, ...content }
    const packet = { ...packetInfo(id, opened, createdS, lifeMinutes, 'self'), gap: false }
    const expiresAt = (1000 * (createdS + 60 * lifeMinutes)) as UnixMs
    spread.spread(subcluster, sealed, expiresAt, now, () => onHeld(packet))
  }

  /** Cheap checks before dear ones: length, time, tag, seen, signature, seal, author. */
  receivePacket(bytes: Uint8Array, origin: Origin, now: Instant, wall: UnixMs): void {
    const { crypto, reject } = this.#config
    const packet = decodePacket(bytes)
    if (packet === MALFORMED) return reject('malformed')
    if (!isTimely(packet.header, wall)) return reject('expired')
    const { createdS, lifeMinutes } = packet.header
    const subscription = this.#byTag(createdS, toHex(packet.header.tag))
    if (subscription === undefined) return reject('unknown')
    const idBytes = packetId(crypto, packet.identified)
    const id = toHex(idBytes)
    if (subscription.seen.has(id)) return
    if (!isPacketSigned(crypto, packet, idBytes)) return reject('unauthentic')
    subscription.seen.add(id)
    const keys = subscription.keys.at(createdS)
    const opened = openPacket(crypto, keys, packet)
    if (typeof opened === 'string') return reject(opened)
    const isFromAuthor = toHex(opened.author) === origin.peer
    const via = isFromAuthor && !origin.isRelayed ? 'direct' : 'relayed'
    const info = packetInfo(id, opened, createdS, lifeMinutes, via)
    if (packet.header.root === undefined)
      this.#arrived(subscription, info, opened.event, opened.payload, now)
    else this.#assemble({ subscription, keys, packet, opened, info }, packet.header.root, now)
  }

  /** `root` is the first bytes of the root's id. */
  receiveLeaf(
    root: Uint8Array,
    level: number,
    index: number,
    bytes: Uint8Array,
    now: Instant,
  ): void {
    const { crypto, reject } = this.#config
    const name = toHex(root)
    const assembly = this.#assemblies.get(name)
    if (assembly === undefined) return reject('unknown')
    const verdict = assembly.leaves.add(level, index, bytes)
    if (verdict === 'wrong') return reject('unauthentic')
    if (verdict === 'early') return reject('unknown')
    if (verdict === 'known') return
    this.#assemblies.delete(name)
    this.#assemblies.set(name, { ...assembly, idleAt: now + ASSEMBLY_IDLE_MS })
    if (verdict === 'taken') return
    this.#dropAssembly(name, assembly)
    const { subscription, keys, packet, info, opened } = assembly
    const payload = openBlob(crypto, keys, packet.header, assembly.leaves.blob())
    if (payload === undefined) return reject('unauthentic')
    this.#arrived(subscription, info, opened.event, payload, now)
  }

  deadline(): Deadline | undefined {
    const oldest = this.#assemblies.values().next().value
    let first: Deadline | undefined
    first = oldest && { at: oldest.idleAt as Instant, reason: 'leaves stopped coming' }
    for (const { order } of this.#subscriptions.values()) first = earlier(first, order.deadline())
    return first
  }

  onDeadline(now: Instant): void {
    for (const subscription of this.#subscriptions.values())
      this.#deliver(subscription, subscription.order.onDeadline(now))
    for (const [name, assembly] of [...this.#assemblies]) {
      if (assembly.idleAt > now) break
      this.#dropAssembly(name, assembly)
    }
  }

  #assemble(
    parts: Pick<Assembly, 'subscription' | 'keys' | 'packet' | 'opened' | 'info'>,
    root: NonNullable<Packet['header']['root']>,
    now: Instant,
  ): void {
    const name = parts.info.id.slice(0, 2 * ROOT_NAME_BYTES)
    if (this.#assemblies.has(name)) return this.#config.reject('over-limit')
    const leaves = new LeafAssembly(this.#config.crypto, root)
    const { payloadBytes } = root
    this.#assemblies.set(name, { ...parts, leaves, payloadBytes, idleAt: now + ASSEMBLY_IDLE_MS })
    this.#assembliesBytes += payloadBytes
    for (const [oldName, old] of [...this.#assemblies]) {
      const isWithin =
        this.#assemblies.size <= ASSEMBLIES_MAX && this.#assembliesBytes <= ASSEMBLIES_BYTES_MAX
      if (isWithin) break
      this.#config.reject('over-limit')
      this.#dropAssembly(oldName, old)
    }
  }

  #dropAssembly(name: string, assembly: Assembly): void {
    this.#assemblies.delete(name)
    this.#assembliesBytes -= assembly.payloadBytes
  }

  #arrived(
    subscription: Subscription,
    info: Omit<PacketInfo, 'gap'>,
    event: string,
    value: Uint8Array,
    now: Instant,
  ): void {
    const { lamport, previous } = info
    const sizeBytes = value.length
    const causal = { key: parentKey(info.id), parents: previous, lamport, sizeBytes }
    const arrival: Arrival = { ...causal, info, event, value }
    this.#deliver(subscription, subscription.order.arrived(arrival, now))
  }

  #deliver(subscription: Subscription, released: readonly Released<Arrival>[]): void {
    for (const { packet: arrival, gap } of released)
      this.#config.deliver({
        subcluster: subscription.subcluster,
        packet: { ...arrival.info, gap },
        event: arrival.event,
        value: arrival.value,
      })
  }

  /** Only the tag of the day of creation: a packet under another day's tag is nobody's. */
  #byTag(createdS: number, tag: string): Subscription | undefined {
    const day = Math.floor(createdS / DAY_S)
    let tags = this.#tagsOfDay.get(day)
    if (tags === undefined) {
      tags = new Map()
      for (const subscription of this.#subscriptions.values())
        tags.set(toHex(subscription.keys.at(createdS).tag.publicKey), subscription)
      this.#tagsOfDay.set(day, tags)
    }
    return tags.get(tag)
  }
}

function parentKey(id: string): string {
  return id.slice(0, 2 * PARENT_BYTES)
}

function packetInfo(
  id: string,
  opened: OpenedPacket,
  createdS: number,
  lifeMinutes: number,
  via: PacketInfo['via'],
): Omit<PacketInfo, 'gap'> {
  return {
    id: id as PacketId,
    author: toHex(opened.author) as PeerId,
    previous: opened.parents.map(toHex),
    timestamp: (createdS * 1000) as UnixMs,
    lamport: opened.lamport,
    ttlMs: lifeMinutes * 60_000,
    via,
  }
}

import type { Crypto } from '../../crypto.ts'
import type { StoredRecord, UnixMs } from '../../io.ts'
import { toHex } from '../../wire/bytes.ts'
import { LeafAssembly, type LeafVerdict } from '../leaf-assembly.ts'
import { CLOCK_SLACK_S, type Packet, packetId } from '../packet.ts'
import { nameOf, shortOf } from '../packet-name.ts'
import { Chain } from './chain.ts'
import { FairShelf, LEAF_OVERHEAD_BYTES } from './fair-shelf.ts'
import { Held, overAtMinute } from './held.ts'
import type { Duty, HeldPacket } from './held-packet.ts'
import {
  decodeLeafKey,
  decodeStored,
  encodeStored,
  LEAF_PREFIX,
  leafKey,
  PACKET_PREFIX,
  packetKey,
  type StoredLeaf,
  type StoredPacket,
} from './stored-packet.ts'
import { Tombstones } from './tombstones.ts'

export type { Duty, HeldPacket } from './held-packet.ts'

/**
 * All packets that are kept, ours and strangers', in memory and on disk. Decides what stays within its
 * two budgets and for how long: docs/spec/cache.md. What is worth taking, and for whom, is decided by
 * whoever adds; nothing is verified here but leaves.
 */

const SLOT_OF_TAG = 2
const MINUTE_MS = 60_000
/** A packet is taken, and so kept, for as long as some right clock may find it alive. */
const SLACK_MINUTES = CLOCK_SLACK_S / 60
/** Guess: a clock that is wrong by 12 hours meets one that is wrong the other way. */
const SPENT_MINUTES = 24 * 60
/** A large message must not be most of what is kept for strangers, nor all that we have ourselves. */
const CACHE_ROOTS_MAX = 4
const OWN_ROOTS_MAX = 2
const CACHE_RANKS: readonly Duty[] = ['passing', 'custody']

export interface PacketStoreConfig {
  readonly crypto: Crypto
  readonly cacheBytes: number
  readonly ownBytes: number
  readonly write: (key: string, value: Uint8Array | undefined) => void
  /** A packet was evicted, expired or removed. */
  readonly gone?: (held: HeldPacket) => void
}

/** `unwanted`: not held, or it had to go to make room for its own leaf. */
export type StoreVerdict = LeafVerdict | 'unwanted'

export class PacketStore {
  readonly #config: PacketStoreConfig
  readonly #own: FairShelf
  readonly #cache: FairShelf
  readonly #byName = new Map<string, Held>()
  readonly #byShort = new Map<string, Held>()
  readonly #byTag = new Map<string, Chain<Held>>()
  readonly #spent = new Tombstones()
  /** As last told. */
  #nowMinute = 0

  constructor(config: PacketStoreConfig) {
    this.#config = config
    this.#own = new FairShelf(config.ownBytes, 1, () => 0)
    this.#cache = new FairShelf(config.cacheBytes, CACHE_RANKS.length, (held) =>
      CACHE_RANKS.indexOf(held.duty),
    )
  }

  /** What is charged, overhead included. */
  get bytes(): { readonly own: number; readonly cache: number } {
    return { own: this.#own.bytes, cache: this.#cache.bytes }
  }

  get count(): number {
    return this.#byName.size
  }

  get spentCount(): number {
    return this.#spent.size
  }

  has(name: string): boolean {
    return this.#byName.has(name)
  }

  /** Held once: not taken again. */
  isSpent(name: string): boolean {
    return this.#spent.has(name)
  }

  /** By 16 hex digits. */
  isShortSpent(short: string): boolean {
    return this.#spent.hasShort(short)
  }

  get(name: string): HeldPacket | undefined {
    return this.#byName.get(name)
  }

  /** By 16 hex digits. Of several with the same, the first that came. */
  byShort(short: string): HeldPacket | undefined {
    return this.#byShort.get(short)
  }

  /** In the order in which they came. */
  withTag(tag: string): readonly HeldPacket[] {
    return [...(this.#byTag.get(tag) ?? [])]
  }

  /** Held and spent alike: what reconciliation compares. */
  *entries(): Iterable<{ readonly name: string; readonly tag: string; readonly isHeld: boolean }> {
    for (const { name, tag } of this.#byName.values()) yield { name, tag, isHeld: true }
    for (const { name, tag } of this.#spent) yield { name, tag, isHeld: false }
  }

  /** Whether the leaves of a root whose payload is so large are kept. */
  takesLeaves(payloadBytes: number, duty: Duty): boolean {
    if (duty === 'own') return payloadBytes <= this.#own.budgetBytes / OWN_ROOTS_MAX
    return payloadBytes <= this.#cache.budgetBytes / CACHE_ROOTS_MAX
  }

  /**
   * Keeps a copy. `source`: whose share it counts against, the peer whose link brought it, or for `own`
   * its author. Others may have to go for it. Undefined when it is spent or larger than the budget.
   */
  add(
    packet: Packet,
    id: Uint8Array,
    duty: Duty,
    source: string,
    wall: UnixMs,
  ): HeldPacket | undefined {
    this.#tell(wall)
    const name = nameOf(id)
    const present = this.#byName.get(name)
    if (present !== undefined) return present
    const held = this.#place(name, packet, id, duty, source)
    if (held !== undefined) this.#config.write(packetKey(name), encodeStored(duty, held.bytes))
    return held
  }

  /** Why it is kept, or whose share it counts against, has changed. */
  setDuty(name: string, duty: Duty, source: string): void {
    const held = this.#byName.get(name)
    if (held === undefined || (held.duty === duty && held.source === source)) return
    const isOtherDuty = held.duty !== duty
    this.#shelfOf(held.duty).remove(held)
    held.duty = duty
    held.source = source
    this.#fitLeaves(held)
    const shelf = this.#shelfOf(duty)
    const charge = shelf.chargeOf(held)
    if (charge <= shelf.budgetBytes) this.#makeRoom(shelf, charge, undefined)
    shelf.add(held)
    if (charge > shelf.budgetBytes) this.#drop(held)
    else if (isOtherDuty) this.#config.write(packetKey(name), encodeStored(duty, held.bytes))
  }

  /** Checks the leaf and writes it to disk. */
  addLeaf(name: string, level: number, index: number, bytes: Uint8Array): StoreVerdict {
    const held = this.#byName.get(name)
    if (held?.leaves === undefined) return 'unwanted'
    const verdict = this.#takeLeaf(held, level, index, bytes)
    const isTaken = verdict === 'taken' || verdict === 'complete'
    const leaf = held.leaves?.get(level, index)
    if (isTaken && leaf !== undefined) this.#config.write(leafKey(name, level, index), leaf)
    return verdict
  }

  /** Deliberately forgotten: gone from disk, and not taken again. */
  remove(name: string): void {
    const held = this.#byName.get(name)
    if (held !== undefined) this.#drop(held)
  }

  /** What was not kept for strangers may come back now that it is for us. */
  forgetSpent(tag: string): void {
    this.#spent.forgetTag(tag)
  }

  /** Drops what no right clock finds alive any more; returns it. */
  expire(wall: UnixMs): readonly HeldPacket[] {
    this.#tell(wall)
    const expired: Held[] = []
    for (const shelf of [this.#own, this.#cache])
      for (;;) {
        const first = shelf.soonest
        if (first === undefined || first.overAtMinute + SLACK_MINUTES > this.#nowMinute) break
        this.#drop(first)
        expired.push(first)
      }
    this.#spent.expire(this.#nowMinute)
    return expired
  }

  /** When `expire` next has something to do. */
  nextExpiry(): UnixMs | undefined {
    const minutes = [this.#own.soonest, this.#cache.soonest]
      .filter((held) => held !== undefined)
      .map((held) => held.overAtMinute + SLACK_MINUTES)
    if (this.#spent.soonestMinute !== undefined) minutes.push(this.#spent.soonestMinute)
    return minutes.length === 0 ? undefined : ((MINUTE_MS * Math.min(...minutes)) as UnixMs)
  }

  /**
   * Takes what was on disk: packets, then leaves, in one call or in two; in any order within a call.
   * Signatures were verified before it was written. What is malformed, over, or of no packet is deleted.
   * Who brought a packet is not known any more: it counts against a share of its tag. Returns how many
   * records could not be read.
   */
  load(records: readonly StoredRecord[], wall: UnixMs): number {
    this.#tell(wall)
    const packets: StoredPacket[] = []
    const leaves: (StoredLeaf & { readonly record: StoredRecord })[] = []
    let unreadable = 0
    for (const record of records) {
      const packet = record.key.startsWith(PACKET_PREFIX) ? decodeStored(record) : undefined
      const leaf = record.key.startsWith(LEAF_PREFIX) ? decodeLeafKey(record.key) : undefined
      if (packet !== undefined) packets.push(packet)
      else if (leaf !== undefined) leaves.push({ ...leaf, record })
      else {
        unreadable++
        this.#config.write(record.key, undefined)
      }
    }
    packets.sort((a, b) => a.packet.header.createdS - b.packet.header.createdS || order(a, b))
    for (const stored of packets) if (!this.#loadPacket(stored)) unreadable++
    leaves.sort((a, b) => b.level - a.level || a.index - b.index || order(a, b))
    for (const { name, level, index, record } of leaves) {
      const held = this.#byName.get(name)
      const verdict = held && this.#takeLeaf(held, level, index, record.value)
      if (verdict === 'taken' || verdict === 'complete' || verdict === 'known') continue
      if (verdict === 'wrong') unreadable++
      this.#config.write(record.key, undefined)
    }
    return unreadable
  }

  /** Whether the record could be read. */
  #loadPacket({ name, duty, packet }: StoredPacket): boolean {
    if (this.#byName.has(name)) return true
    const id = packetId(this.#config.crypto, packet.identified)
    const isReadable = nameOf(id) === name
    const isOver = overAtMinute(packet) + SLACK_MINUTES <= this.#nowMinute
    const source = `tag ${toHex(packet.header.tag)}`
    const isTaken =
      isReadable && !isOver && this.#place(name, packet, id, duty, source) !== undefined
    if (!isTaken) this.#config.write(packetKey(name), undefined)
    return isReadable
  }

  #place(
    name: string,
    packet: Packet,
    id: Uint8Array,
    duty: Duty,
    source: string,
  ): Held | undefined {
    if (this.#spent.has(name)) return undefined
    const tag = toHex(packet.header.tag)
    const peers = this.#byTag.get(tag) ?? new Chain<Held>(SLOT_OF_TAG)
    // The same text for all of a tag: it is held once.
    const held = new Held(name, peers.first?.tag ?? tag, packet, id, duty, source)
    this.#fitLeaves(held)
    const shelf = this.#shelfOf(duty)
    const charge = shelf.chargeOf(held)
    if (charge > shelf.budgetBytes) return undefined
    this.#makeRoom(shelf, charge, undefined)
    shelf.add(held)
    this.#byName.set(name, held)
    const short = shortOf(name)
    if (!this.#byShort.has(short)) this.#byShort.set(short, held)
    peers.push(held)
    this.#byTag.set(held.tag, peers)
    return held
  }

  /** Has leaves if its duty allows for them; lets go of those that it has and may not. */
  #fitLeaves(held: Held): void {
    if (!held.isRoot) return
    const { root } = held.packet.header
    if (root !== undefined && this.takesLeaves(root.payloadBytes, held.duty)) {
      held.leaves ??= new LeafAssembly(this.#config.crypto, root)
      return
    }
    this.#deleteLeaves(held)
    held.leaves = undefined
    held.leavesCharge = 0
  }

  #takeLeaf(held: Held, level: number, index: number, bytes: Uint8Array): StoreVerdict {
    const verdict = held.leaves?.add(level, index, bytes) ?? 'unwanted'
    if (verdict !== 'taken' && verdict !== 'complete') return verdict
    const shelf = this.#shelfOf(held.duty)
    const charge = bytes.length + LEAF_OVERHEAD_BYTES
    this.#makeRoom(shelf, charge, held)
    if (this.#byName.get(held.name) !== held) return 'unwanted'
    shelf.addLeaf(held, charge)
    return verdict
  }

  #makeRoom(shelf: FairShelf, bytes: number, kept: Held | undefined): void {
    for (;;) {
      const victim = shelf.victim(bytes, kept, this.#nowMinute)
      if (victim === undefined) return
      this.#drop(victim)
      if (victim === kept) return
    }
  }

  #drop(held: Held): void {
    const { name, tag } = held
    this.#shelfOf(held.duty).remove(held)
    this.#byName.delete(name)
    const short = shortOf(name)
    if (this.#byShort.get(short) === held) this.#byShort.delete(short)
    const ofTag = this.#byTag.get(tag)
    ofTag?.remove(held)
    if (ofTag?.isEmpty === true) this.#byTag.delete(tag)
    this.#spent.add(name, tag, held.overAtMinute + SLACK_MINUTES + SPENT_MINUTES)
    // The packet first: leaves without it are dropped on loading, and it does not come back.
    this.#config.write(packetKey(name), undefined)
    this.#deleteLeaves(held)
    this.#config.gone?.(held)
  }

  #deleteLeaves(held: Held): void {
    for (const { level, index } of held.leaves?.leaves() ?? [])
      this.#config.write(leafKey(held.name, level, index), undefined)
  }

  #shelfOf(duty: Duty): FairShelf {
    return duty === 'own' ? this.#own : this.#cache
  }

  #tell(wall: UnixMs): void {
    this.#nowMinute = Math.floor(wall / MINUTE_MS)
  }
}

function order(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0
}

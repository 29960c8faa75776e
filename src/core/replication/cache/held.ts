import { assert, MALFORMED } from '../../errors.ts'
import { concat } from '../../wire/bytes.ts'
import type { LeafAssembly } from '../leaf-assembly.ts'
import { decodePacket, type Packet } from '../packet.ts'
import type { TagShare } from './fair-queue.ts'
import type { Duty, HeldPacket } from './held-packet.ts'
import type { Dated } from './minute-buckets.ts'

/**
 * A packet in the store, as the store sees it: its bytes, its place in every chain and what it costs.
 * Holds one buffer and no views, since each view of bytes costs as much as a small packet.
 */

/** Chains a packet is in: of its share, of its minute, of its tag. */
const CHAINS = 3

export class Held implements HeldPacket, Dated<Held> {
  readonly name: string
  readonly tag: string
  readonly overAtMinute: number
  readonly links: (Held | undefined)[] = new Array(2 * CHAINS).fill(undefined)
  duty: Duty
  /** Whose share it counts against. */
  source: string
  share: TagShare | undefined
  leaves: LeafAssembly | undefined
  /** What its leaves cost. */
  leavesCharge = 0
  /** What it costs, leaves included. */
  charge = 0
  /** The packet, then its id. */
  readonly #copy: Uint8Array

  constructor(
    name: string,
    tag: string,
    packet: Packet,
    id: Uint8Array,
    duty: Duty,
    source: string,
  ) {
    this.name = name
    this.tag = tag
    this.duty = duty
    this.source = source
    this.overAtMinute = overAtMinute(packet)
    this.#copy = concat(packet.bytes, id)
  }

  get bytes(): Uint8Array {
    return this.#copy.subarray(0, this.sizeBytes)
  }

  get sizeBytes(): number {
    return this.#copy.length - 32
  }

  get id(): Uint8Array {
    return this.#copy.subarray(this.sizeBytes)
  }

  get packet(): Packet {
    const packet = decodePacket(this.bytes)
    assert(packet !== MALFORMED, 'what is held was decoded before')
    return packet
  }

  get isRoot(): boolean {
    return ((this.#copy[0] ?? 0) & 0x0f) === 1
  }

  get isWhole(): boolean {
    return this.leaves === undefined ? !this.isRoot : this.leaves.isComplete
  }
}

/** The first whole minute after its life. */
export function overAtMinute({ header }: Packet): number {
  return Math.floor(header.createdS / 60) + header.lifeMinutes + 1
}

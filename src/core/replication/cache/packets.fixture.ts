import { sodiumNative } from '../../../crypto/sodium-native.ts'
import { assert, MALFORMED } from '../../errors.ts'
import type { UnixMs } from '../../io.ts'
import { SeededRandom } from '../../seeded.fixture.ts'
import { concat, toHex } from '../../wire/bytes.ts'
import { growTree, type Leaf, type RootTree } from '../leaf-tree.ts'
import { decodePacket, encodeHeader, type Packet, packetId } from '../packet.ts'
import { nameOf } from '../packet-name.ts'
import { PacketStore, type PacketStoreConfig } from './packet-store.ts'

/**
 * Packets as the store gets them, thousands a second: well formed, of any tag, size and time, and signed
 * by nobody, since the store verifies no signature.
 */
const crypto = sodiumNative()
const WALL_S = 1_769_818_834
export const WALL = (WALL_S * 1000) as UnixMs

export interface MadePacket {
  readonly packet: Packet
  readonly id: Uint8Array
  readonly name: string
  readonly tag: string
  readonly leaves: readonly Leaf[]
}

export interface PacketWish {
  readonly tag?: number
  readonly sizeBytes?: number
  readonly createdS?: number
  readonly lifeMinutes?: number
  /** Makes it a root. */
  readonly payloadBytes?: number
  /** Makes it this root, whose leaves the caller has. */
  readonly root?: RootTree
}

/** Each one differs, by `number`. */
export function madePacket(number: number, wish: PacketWish = {}): MadePacket {
  const { tag = 0, createdS = WALL_S, lifeMinutes = 60, payloadBytes } = wish
  const tagBytes = new Uint8Array(32)
  new DataView(tagBytes.buffer).setUint32(0, tag)
  const salt = new Uint8Array(12)
  new DataView(salt.buffer).setUint32(0, number)
  const grown =
    payloadBytes === undefined
      ? undefined
      : growTree(crypto, new SeededRandom(number).bytes(payloadBytes + 16))
  const root = wish.root ?? grown?.root
  const header = encodeHeader({ createdS, lifeMinutes, tag: tagBytes, salt, root })
  const least = header.length + 180
  const sizeBytes = Math.ceil(Math.max(wish.sizeBytes ?? 496, least) / 16) * 16
  const bytes = concat(header, new Uint8Array(sizeBytes - header.length))
  const packet = decodePacket(bytes)
  assert(packet !== MALFORMED, 'the fixture makes well-formed packets')
  const id = packetId(crypto, packet.identified)
  // The topmost level first: what a leaf is vouched for by comes before it.
  const leaves = (grown?.levels ?? []).toReversed().flat()
  return { packet, id, name: nameOf(id), tag: toHex(tagBytes), leaves }
}

/** A store and the disk that it writes to. */
export class StoreBench {
  readonly disk = new Map<string, Uint8Array>()
  /** Every write, the first first. */
  readonly log: { readonly key: string; readonly value: Uint8Array | undefined }[] = []
  readonly gone: string[] = []
  readonly store: PacketStore

  constructor(config: Partial<PacketStoreConfig> = {}) {
    this.store = new PacketStore({
      crypto,
      cacheBytes: 1_000_000,
      ownBytes: 1_000_000,
      write: (key, value) => {
        this.log.push({ key, value })
        if (value === undefined) this.disk.delete(key)
        else this.disk.set(key, value)
      },
      gone: ({ name }) => this.gone.push(name),
      ...config,
    })
  }
}

import type { Crypto } from '../crypto.ts'
import { assert, MALFORMED, type Malformed } from '../errors.ts'
import type { UnixMs } from '../io.ts'
import { ascii, concat } from '../wire/bytes.ts'
import { Reader } from '../wire/reader.ts'
import { varintSize, Writer } from '../wire/writer.ts'
import { PAYLOAD_BYTES_MAX, type RootTree, treeShape } from './leaf-tree.ts'

/**
 * The published packet as any stranger sees it: its layout, its id, its signature and its time.
 * Decides whether a packet is well formed, timely and signed by the key that is its tag. What it
 * says, and who wrote it, is `packet-seal.ts`'s, for members alone. Layout: docs/spec/packet.md.
 */

/** With its kind, a MESSAGE frame's head and the seal it fits into one datagram of 1200 bytes. */
export const PACKET_BYTES_MAX = 1168
/** Every packet's length is a multiple of this: it blurs the length of what it says. */
export const PACKET_BYTES_STEP = 16
export const LIFE_MINUTES_MAX = 7 * 24 * 60
export const TAG_BYTES = 32
export const SALT_BYTES = 12
export const SIGNATURE_BYTES = 64
export const AEAD_TAG_BYTES = 16
/** How wrong a clock may be. Guess: a laptop set to the wrong half of the day still takes part. */
export const CLOCK_SLACK_S = 12 * 60 * 60

const VERSION = 1
const FIXED_HEADER_BYTES = 1 + 4 + 2 + TAG_BYTES + SALT_BYTES
/** Author, author's signature, Lamport time, and the counts of parents, event and payload. */
const PLAIN_BYTES_MIN = 32 + SIGNATURE_BYTES + 4
const SIGNATURE_LABEL = ascii('latica packet')

export interface PacketHeader {
  readonly createdS: number
  readonly lifeMinutes: number
  readonly tag: Uint8Array
  readonly salt: Uint8Array
  /** Undefined: the payload is inside the packet. */
  readonly root: RootTree | undefined
}

export interface Packet {
  readonly bytes: Uint8Array
  readonly header: PacketHeader
  /** Everything before the ciphertext: what the seal authenticates beside it. */
  readonly headerBytes: Uint8Array
  readonly ciphertext: Uint8Array
  /** Everything before the signature: what the id is the hash of. */
  readonly identified: Uint8Array
  readonly signature: Uint8Array
}

export function encodeHeader(header: PacketHeader): Uint8Array {
  assert(header.tag.length === TAG_BYTES, 'a tag has 32 bytes')
  assert(header.salt.length === SALT_BYTES, 'a salt has 12 bytes')
  const root = header.root
  const writer = new Writer(headerSize(root))
  writer.u8((VERSION << 4) | (root === undefined ? 0 : 1))
  writer.u32(header.createdS).u16(header.lifeMinutes).put(header.tag).put(header.salt)
  if (root !== undefined) writer.varint(root.payloadBytes).u8(root.depth).block(root.hashes)
  return writer.done()
}

export function headerSize(root: RootTree | undefined): number {
  if (root === undefined) return FIXED_HEADER_BYTES
  const hashesBytes = root.hashes.length
  const treeBytes = varintSize(root.payloadBytes) + 1 + varintSize(hashesBytes) + hashesBytes
  return FIXED_HEADER_BYTES + treeBytes
}

/** Views of `bytes`; nothing is hashed or verified. */
export function decodePacket(bytes: Uint8Array): Packet | Malformed {
  if (bytes.length > PACKET_BYTES_MAX || bytes.length % PACKET_BYTES_STEP !== 0) return MALFORMED
  const reader = new Reader(bytes)
  const kind = reader.u8()
  if (kind >> 4 !== VERSION || (kind & 0x0f) > 1) return MALFORMED
  const createdS = reader.u32()
  const lifeMinutes = reader.u16()
  const tag = reader.take(TAG_BYTES)
  const salt = reader.take(SALT_BYTES)
  if (lifeMinutes < 1 || lifeMinutes > LIFE_MINUTES_MAX) return MALFORMED
  const root = (kind & 0x0f) === 1 ? decodeRoot(reader) : undefined
  if (root === MALFORMED) return MALFORMED
  const headerBytes = bytes.subarray(0, reader.offset)
  const cipherBytes = reader.remaining - SIGNATURE_BYTES
  if (cipherBytes < PLAIN_BYTES_MIN + AEAD_TAG_BYTES) return MALFORMED
  const ciphertext = reader.take(cipherBytes)
  const identified = bytes.subarray(0, reader.offset)
  const signature = reader.take(SIGNATURE_BYTES)
  const header = { createdS, lifeMinutes, tag, salt, root }
  return reader.end({ bytes, header, headerBytes, ciphertext, identified, signature })
}

/** The tree's shape follows from the payload's size, so that no count is anybody's to choose. */
function decodeRoot(reader: Reader): RootTree | Malformed {
  const payloadBytes = reader.varint()
  const depth = reader.u8()
  const hashes = reader.block(PACKET_BYTES_MAX)
  if (reader.failed || payloadBytes > PAYLOAD_BYTES_MAX) return MALFORMED
  const shape = treeShape(payloadBytes)
  if (depth !== shape.length || hashes.length !== 32 * (shape[depth - 1] ?? 0)) return MALFORMED
  return { payloadBytes, depth, hashes }
}

export function packetId(crypto: Crypto, identified: Uint8Array): Uint8Array {
  return crypto.hash(32, [identified])
}

/** What the tag key signs. */
export function signedMessage(id: Uint8Array): Uint8Array {
  return concat(SIGNATURE_LABEL, id)
}

export function isPacketSigned(crypto: Crypto, packet: Packet, id: Uint8Array): boolean {
  return crypto.verify(packet.header.tag, signedMessage(id), packet.signature)
}

/** Whether a packet's life touches the present, whoever's clock is wrong by at most the slack. */
export function isTimely(header: PacketHeader, wall: UnixMs): boolean {
  const nowS = Math.floor(wall / 1000)
  const endS = header.createdS + header.lifeMinutes * 60
  return header.createdS <= nowS + CLOCK_SLACK_S && nowS <= endS + CLOCK_SLACK_S
}

export interface VerifiedPacket {
  readonly id: Uint8Array
  readonly packet: Packet
}

/** All that a stranger can check: cheap checks first, the signature last. */
export function verifyPacket(
  crypto: Crypto,
  bytes: Uint8Array,
  wall: UnixMs,
): VerifiedPacket | 'malformed' | 'expired' | 'unauthentic' {
  const packet = decodePacket(bytes)
  if (packet === MALFORMED) return 'malformed'
  if (!isTimely(packet.header, wall)) return 'expired'
  const id = packetId(crypto, packet.identified)
  return isPacketSigned(crypto, packet, id) ? { id, packet } : 'unauthentic'
}

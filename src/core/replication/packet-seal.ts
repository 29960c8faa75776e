import type { Crypto, KeyPair } from '../crypto.ts'
import { assert } from '../errors.ts'
import { ascii, concat, fromUtf8, utf8 } from '../wire/bytes.ts'
import { Reader } from '../wire/reader.ts'
import { varintSize, Writer } from '../wire/writer.ts'
import { growTree, type Leaf, type RootTree } from './leaf-tree.ts'
import {
  AEAD_TAG_BYTES,
  encodeHeader,
  headerSize,
  PACKET_BYTES_MAX,
  PACKET_BYTES_STEP,
  type Packet,
  type PacketHeader,
  packetId,
  SIGNATURE_BYTES,
  signedMessage,
} from './packet.ts'
import { NAME_BYTES } from './packet-name.ts'

/**
 * What members alone do with a packet: write it, and open one that a stranger's checks have passed.
 * Decides who wrote it and what it says; not whether it is timely, known or next.
 */

/** What holding the shared key gives for one epoch. */
export interface PacketKeys {
  /** Ed25519; the public half is the tag. */
  readonly tag: KeyPair
  readonly sealKey: Uint8Array
}

export interface PacketContent {
  readonly event: string
  readonly lamport: number
  /** First 16 bytes of the ids of the packets that this one follows. */
  readonly parents: readonly Uint8Array[]
  readonly payload: Uint8Array
}

export interface PacketDraft extends PacketContent {
  readonly createdS: number
  readonly lifeMinutes: number
  /** 12 random bytes. */
  readonly salt: Uint8Array
}

export interface SealedPacket {
  readonly id: Uint8Array
  readonly bytes: Uint8Array
  /** By level, the lowest first; none when the payload is inside the packet. */
  readonly levels: readonly (readonly Leaf[])[]
}

/** `payload` is empty in a root, whose payload `openBlob` gives. */
export interface OpenedPacket extends PacketContent {
  readonly author: Uint8Array
}

export const PARENTS_MAX = 4
export const EVENT_BYTES_MAX = 255
/** Far from overflow: a member who lies cannot push the others' clocks past what they can count. */
export const LAMPORT_MAX = 2 ** 48
const AUTHOR_BYTES = 32
const AUTHOR_LABEL = ascii('latica author')
const BLOB_LABEL = ascii('latica blob')
const NOTHING = new Uint8Array(0)

export function sealPacket(
  crypto: Crypto,
  keys: PacketKeys,
  author: KeyPair,
  draft: PacketDraft,
): SealedPacket {
  const inner = encodeContent(draft, draft.payload)
  if (packetSize(undefined, inner.length) <= PACKET_BYTES_MAX)
    return { ...sealBytes(crypto, keys, author, draft, undefined, inner), levels: [] }
  const nonce = packetNonce(draft.salt, draft.createdS)
  const key = blobKey(crypto, keys, draft.salt)
  const { root, levels } = growTree(crypto, crypto.xseal(key, nonce, draft.payload, NOTHING))
  const rootInner = encodeContent(draft, NOTHING)
  return { ...sealBytes(crypto, keys, author, draft, root, rootInner), levels }
}

function sealBytes(
  crypto: Crypto,
  keys: PacketKeys,
  author: KeyPair,
  draft: PacketDraft,
  root: RootTree | undefined,
  inner: Uint8Array,
): { readonly id: Uint8Array; readonly bytes: Uint8Array } {
  const { createdS, lifeMinutes, salt } = draft
  const header = encodeHeader({ createdS, lifeMinutes, tag: keys.tag.publicKey, salt, root })
  const size = packetSize(root, inner.length)
  assert(size <= PACKET_BYTES_MAX, 'a packet fits into a datagram')
  const plain = new Writer(size - header.length - AEAD_TAG_BYTES - SIGNATURE_BYTES)
  const message = authorMessage(crypto, header, author.publicKey, inner)
  plain.put(author.publicKey).put(crypto.sign(author.privateKey, message)).put(inner)
  const nonce = packetNonce(salt, createdS)
  const identified = concat(header, crypto.xseal(keys.sealKey, nonce, plain.buffer, header))
  const id = packetId(crypto, identified)
  const signature = crypto.sign(keys.tag.privateKey, signedMessage(id))
  return { id, bytes: concat(identified, signature) }
}

function packetSize(root: RootTree | undefined, innerBytes: number): number {
  const bare = headerSize(root) + AUTHOR_BYTES + SIGNATURE_BYTES + innerBytes
  const size = bare + AEAD_TAG_BYTES + SIGNATURE_BYTES
  return Math.ceil(size / PACKET_BYTES_STEP) * PACKET_BYTES_STEP
}

function encodeContent(content: PacketContent, payload: Uint8Array): Uint8Array {
  const event = utf8(content.event)
  assert(event.length <= EVENT_BYTES_MAX, 'an event name has at most 255 bytes')
  assert(content.parents.length <= PARENTS_MAX, 'a packet has at most four parents')
  assert(content.lamport <= LAMPORT_MAX, 'Lamport time is within its limit')
  const parentsBytes = content.parents.length * NAME_BYTES
  const blocksBytes =
    varintSize(event.length) + event.length + varintSize(payload.length) + payload.length
  const writer = new Writer(varintSize(content.lamport) + 1 + parentsBytes + blocksBytes)
  writer.varint(content.lamport).u8(content.parents.length)
  for (const parent of content.parents) {
    assert(parent.length === NAME_BYTES, 'a parent is named by 16 bytes')
    writer.put(parent)
  }
  return writer.block(event).block(payload).done()
}

/**
 * The seal first, then the shape, then the author's signature, unless the packet `isTrusted`: it was
 * opened before. `packet` has passed `isPacketSigned`.
 */
export function openPacket(
  crypto: Crypto,
  keys: PacketKeys,
  packet: Packet,
  isTrusted = false,
): OpenedPacket | 'malformed' | 'unauthentic' {
  const { salt, createdS, root } = packet.header
  const nonce = packetNonce(salt, createdS)
  const plain = crypto.xopen(keys.sealKey, nonce, packet.ciphertext, packet.headerBytes)
  if (plain === undefined) return 'unauthentic'
  const reader = new Reader(plain)
  const author = reader.take(AUTHOR_BYTES)
  const signature = reader.take(SIGNATURE_BYTES)
  const innerStart = reader.offset
  const content = decodeContent(reader)
  if (content === undefined || (root !== undefined && content.payload.length > 0))
    return 'malformed'
  const inner = plain.subarray(innerStart, reader.offset)
  if (!isPadding(reader.rest())) return 'malformed'
  if (isTrusted) return { author, ...content }
  const message = authorMessage(crypto, packet.headerBytes, author, inner)
  return crypto.verify(author, message, signature) ? { author, ...content } : 'unauthentic'
}

function decodeContent(reader: Reader): PacketContent | undefined {
  const lamport = reader.varint()
  const parentCount = reader.u8()
  if (parentCount > PARENTS_MAX || lamport > LAMPORT_MAX) return undefined
  const parents: Uint8Array[] = []
  for (let i = 0; i < parentCount; i++) parents.push(reader.take(NAME_BYTES))
  const event = fromUtf8(reader.block(EVENT_BYTES_MAX))
  const payload = reader.block(PACKET_BYTES_MAX)
  return reader.failed || event === undefined ? undefined : { event, lamport, parents, payload }
}

function isPadding(bytes: Uint8Array): boolean {
  return bytes.length < PACKET_BYTES_STEP && bytes.every((byte) => byte === 0)
}

/** The payload of a root, from the blob that its leaves make. Undefined: not what was sealed. */
export function openBlob(
  crypto: Crypto,
  keys: PacketKeys,
  header: PacketHeader,
  blob: Uint8Array,
): Uint8Array | undefined {
  const nonce = packetNonce(header.salt, header.createdS)
  return crypto.xopen(blobKey(crypto, keys, header.salt), nonce, blob, NOTHING)
}

/** Salt and second are drawn afresh for every packet: 96 random bits within any one second. */
function packetNonce(salt: Uint8Array, createdS: number): Uint8Array {
  return new Writer(24).put(salt).u32(createdS).buffer
}

function blobKey(crypto: Crypto, keys: PacketKeys, salt: Uint8Array): Uint8Array {
  return crypto.hash(32, [BLOB_LABEL, salt], keys.sealKey)
}

/** Binds what is said to its author, tag, time and tree: a member can neither forge nor move it. */
function authorMessage(
  crypto: Crypto,
  header: Uint8Array,
  author: Uint8Array,
  inner: Uint8Array,
): Uint8Array {
  return concat(AUTHOR_LABEL, crypto.hash(32, [AUTHOR_LABEL, header, author, inner]))
}

import { sodiumNative } from '../../crypto/sodium-native.ts'
import type { KeyPair } from '../crypto.ts'
import { ascii, concat } from '../wire/bytes.ts'
import { Writer } from '../wire/writer.ts'
import { encodeHeader, type PacketHeader, packetId, signedMessage } from './packet.ts'
import type { PacketKeys } from './packet-seal.ts'

/** What a member can do by hand, written from docs/spec/packet.md and not from `packet-seal.ts`. */
const crypto = sodiumNative()

export function nonceOf(header: PacketHeader): Uint8Array {
  return new Writer(24).put(header.salt).u32(header.createdS).buffer
}

/** Any plaintext, under any header, sealed and signed with the group's keys. */
export function forge(header: PacketHeader, plain: Uint8Array, keys: PacketKeys): Uint8Array {
  const head = encodeHeader(header)
  const size = Math.ceil((head.length + plain.length + 80) / 16) * 16
  const padded = new Uint8Array(size - 80 - head.length)
  padded.set(plain)
  const identified = concat(head, crypto.xseal(keys.sealKey, nonceOf(header), padded, head))
  const id = packetId(crypto, identified)
  return concat(identified, crypto.sign(keys.tag.privateKey, signedMessage(id)))
}

/** A plaintext that its author signed for this header, whatever it holds. */
export function authored(author: KeyPair, header: PacketHeader, inner: Uint8Array): Uint8Array {
  const label = ascii('latica author')
  const digest = crypto.hash(32, [label, encodeHeader(header), author.publicKey, inner])
  return concat(author.publicKey, crypto.sign(author.privateKey, concat(label, digest)), inner)
}

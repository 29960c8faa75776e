import { MALFORMED } from '../errors.ts'
import { decodeAddress, encodeAddress } from './address.ts'
import { Reader } from './reader.ts'
import { Writer } from './writer.ts'

/**
 * Answers plain STUN Binding requests (RFC 8489 §5, §14.2), so that a browser learns its address from
 * any peer. Nothing else of STUN is spoken.
 */
const BINDING_REQUEST = 0x0001
const BINDING_SUCCESS = 0x0101
const MAGIC_COOKIE = 0x2112a442
const XOR_MAPPED_ADDRESS = 0x0020
const HEADER_BYTES = 20
const TRANSACTION_BYTES = 12

/** The two high bits of a STUN message are zero (RFC 8489 §5, RFC 7983). */
export function isStun(datagram: Uint8Array): boolean {
  return datagram.length >= HEADER_BYTES && (datagram[0] ?? 0xff) < 4
}

/**
 * The Binding response to `request` from `source`; undefined when it is no Binding request, or when
 * the answer would be longer than 1.6 times the request (IPv6 needs some attribute or padding).
 */
export function answerBinding(
  request: Uint8Array,
  source: { readonly host: string; readonly port: number },
): Uint8Array | undefined {
  const reader = new Reader(request)
  const type = reader.u16()
  const length = reader.u16()
  const cookie = reader.u32()
  const transaction = reader.take(TRANSACTION_BYTES)
  if (reader.failed || type !== BINDING_REQUEST || cookie !== MAGIC_COOKIE) return undefined
  if (length !== request.length - HEADER_BYTES) return undefined
  const address = encodeAddress(source)
  const isV4 = address.length === 7
  const valueBytes = isV4 ? 8 : 20
  const sizeBytes = HEADER_BYTES + 4 + valueBytes
  if (sizeBytes > 1.6 * request.length) return undefined
  const mask = new Writer(16).u32(MAGIC_COOKIE).put(transaction).done()
  const writer = new Writer(sizeBytes).u16(BINDING_SUCCESS).u16(4 + valueBytes)
  writer.u32(MAGIC_COOKIE).put(transaction).u16(XOR_MAPPED_ADDRESS).u16(valueBytes)
  writer
    .u8(0)
    .u8(isV4 ? 1 : 2)
    .u16(source.port ^ (MAGIC_COOKIE >>> 16))
  for (const [i, byte] of address.subarray(1, address.length - 2).entries()) {
    writer.u8(byte ^ (mask[i] ?? 0))
  }
  return writer.done()
}

/** The address inside a Binding success response; undefined for anything else. */
export function mappedAddress(
  response: Uint8Array,
): { readonly host: string; readonly port: number } | undefined {
  const reader = new Reader(response)
  if (reader.u16() !== BINDING_SUCCESS) return undefined
  reader.u16()
  const mask = response.subarray(4, HEADER_BYTES)
  reader.take(HEADER_BYTES - 4)
  if (reader.u16() !== XOR_MAPPED_ADDRESS) return undefined
  const valueBytes = reader.u16()
  reader.u8()
  const family = reader.u8() === 1 ? 4 : 6
  const port = reader.u16() ^ (MAGIC_COOKIE >>> 16)
  const masked = reader.take(valueBytes - 4)
  if (reader.failed) return undefined
  const writer = new Writer(19).u8(family)
  for (const [i, byte] of masked.entries()) writer.u8(byte ^ (mask[i] ?? 0))
  const address = decodeAddress(writer.u16(port).done())
  return address === MALFORMED ? undefined : address
}

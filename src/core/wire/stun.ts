import { MALFORMED } from '../errors.ts'
import type { LocalAddress } from '../io.ts'
import { decodeAddress, encodeAddress } from './address.ts'
import { Reader } from './reader.ts'
import { Writer } from './writer.ts'

/**
 * Plain STUN Binding (RFC 8489 §5, §14.2): asked and answered among peers, and answered to browsers, so
 * that each learns its address from any peer. Nothing else of STUN is spoken.
 */
const BINDING_REQUEST = 0x0001
const BINDING_SUCCESS = 0x0101
const MAGIC_COOKIE = 0x2112a442
const XOR_MAPPED_ADDRESS = 0x0020
const HEADER_BYTES = 20
const IPV4_VALUE_BYTES = 8
const IPV6_VALUE_BYTES = 20

const TRANSACTION_BYTES = 12

export interface BindingResponse {
  readonly transaction: Uint8Array
  /** Where the request came from, as the answerer says. */
  readonly address: LocalAddress
}

/** The two high bits of a STUN message are zero (RFC 8489 §5, RFC 7983). */
export function isStun(datagram: Uint8Array): boolean {
  return datagram.length >= HEADER_BYTES && (datagram[0] ?? 0xff) < 4
}

export function encodeBindingRequest(transaction: Uint8Array): Uint8Array {
  return new Writer(HEADER_BYTES)
    .u16(BINDING_REQUEST)
    .u16(0)
    .u32(MAGIC_COOKIE)
    .put(transaction)
    .done()
}

/** The transaction of a Binding request, with or without attributes; undefined for anything else. */
export function decodeBindingRequest(data: Uint8Array): Uint8Array | undefined {
  return readHeader(new Reader(data), BINDING_REQUEST)
}

/** A Binding success response: 32 bytes for an IPv4 address, 44 for an IPv6 one. */
export function encodeBindingResponse(transaction: Uint8Array, address: LocalAddress): Uint8Array {
  const bytes = encodeAddress(address)
  const host = bytes.subarray(1, bytes.length - 2)
  const valueBytes = 4 + host.length
  const mask = new Writer(16).u32(MAGIC_COOKIE).put(transaction).done()
  const writer = new Writer(HEADER_BYTES + 4 + valueBytes).u16(BINDING_SUCCESS).u16(4 + valueBytes)
  writer.u32(MAGIC_COOKIE).put(transaction).u16(XOR_MAPPED_ADDRESS).u16(valueBytes)
  writer
    .u8(0)
    .u8(host.length === 4 ? 1 : 2)
    .u16(address.port ^ (MAGIC_COOKIE >>> 16))
  for (const [i, byte] of host.entries()) writer.u8(byte ^ (mask[i] ?? 0))
  return writer.done()
}

/**
 * A Binding success response as `encodeBindingResponse` writes it: the mapped address and no other
 * attribute, because only peers are asked. Undefined for anything else.
 */
export function decodeBindingResponse(data: Uint8Array): BindingResponse | undefined {
  const reader = new Reader(data)
  const transaction = readHeader(reader, BINDING_SUCCESS)
  if (transaction === undefined || reader.u16() !== XOR_MAPPED_ADDRESS) return undefined
  const valueBytes = reader.u16()
  const reserved = reader.u8()
  const family = reader.u8()
  const port = reader.u16() ^ (MAGIC_COOKIE >>> 16)
  const host = reader.rest()
  const isV4 = family === 1 && valueBytes === IPV4_VALUE_BYTES
  const isV6 = family === 2 && valueBytes === IPV6_VALUE_BYTES
  if (reader.failed || reserved !== 0 || (!isV4 && !isV6)) return undefined
  if (host.length !== valueBytes - 4 || port === 0) return undefined
  const mask = data.subarray(4, HEADER_BYTES)
  const writer = new Writer(19).u8(isV4 ? 4 : 6)
  for (const [i, byte] of host.entries()) writer.u8(byte ^ (mask[i] ?? 0))
  const address = decodeAddress(writer.u16(port).done())
  return address === MALFORMED ? undefined : { transaction, address }
}

/**
 * The Binding response to `request` from `source`; undefined when it is no Binding request, or when
 * the answer would be longer than 1.6 times the request (IPv6 needs some attribute or padding).
 */
export function answerBinding(request: Uint8Array, source: LocalAddress): Uint8Array | undefined {
  const transaction = decodeBindingRequest(request)
  if (transaction === undefined) return undefined
  const response = encodeBindingResponse(transaction, source)
  return response.length > 1.6 * request.length ? undefined : response
}

/** Reads the header of a message of this type that fills its datagram: a copy of its transaction. */
function readHeader(reader: Reader, type: number): Uint8Array | undefined {
  const isType = reader.u16() === type
  const length = reader.u16()
  const cookie = reader.u32()
  const transaction = reader.take(TRANSACTION_BYTES).slice()
  if (reader.failed || !isType || cookie !== MAGIC_COOKIE) return undefined
  return length === reader.remaining ? transaction : undefined
}

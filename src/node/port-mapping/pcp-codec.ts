import { assert, MALFORMED, type Malformed } from '../../core/errors.ts'
import type { LocalAddress } from '../../core/io.ts'
import { formatHost, parseHost } from '../../core/wire/address.ts'
import { Reader } from '../../core/wire/reader.ts'
import { Writer } from '../../core/wire/writer.ts'

/**
 * PCP's MAP for UDP over IPv4 (RFC 6887 §7 and §11.1): bytes alone. The epoch of an answer (§8.5),
 * which tells that a server lost its mappings, is not read: every answer here is to a MAP, which makes
 * the mapping anew.
 */
export interface MapRequest {
  /** 12 bytes, which a server asks for again before it changes the mapping. */
  readonly nonce: Uint8Array
  readonly lifetimeS: number
  readonly inside: LocalAddress
  /** What is wished for; port 0 is any. */
  readonly suggested: LocalAddress
}

export interface MapAnswer {
  /** 0 is success (§7.4). */
  readonly result: number
  readonly lifetimeS: number
  readonly nonce: Uint8Array
  readonly insidePort: number
  readonly external: LocalAddress
}

export const NONCE_BYTES = 12
export const UNSUPP_VERSION = 1

const VERSION = 2
/** NAT-PMP's, with which its servers answer PCP (RFC 6887 §9 and appendix A). */
const NAT_PMP_VERSION = 0
const OPCODE_MAP = 1
const ANSWER_BIT = 0x80
/** IANA's protocol numbers. */
const UDP = 17
const REQUEST_BYTES = 60
/** RFC 6887 §7: longer ones are to be dropped. */
const MESSAGE_BYTES_MAX = 1_100

export function encodeMapRequest(request: MapRequest): Uint8Array {
  const { nonce, lifetimeS, inside, suggested } = request
  const writer = new Writer(REQUEST_BYTES).u8(VERSION).u8(OPCODE_MAP).u16(0).u32(lifetimeS)
  writer.put(mapped(inside.host)).put(nonce)
  writer.u8(UDP).put(new Uint8Array(3)).u16(inside.port).u16(suggested.port)
  return writer.put(mapped(suggested.host)).done()
}

export function decodeMapAnswer(data: Uint8Array): MapAnswer | Malformed {
  const reader = new Reader(data)
  const version = reader.u8()
  const opcode = reader.u8()
  if (version === NAT_PMP_VERSION && (opcode & ANSWER_BIT) !== 0)
    return reader.failed ? MALFORMED : OLD
  const isFit = data.length % 4 === 0 && data.length <= MESSAGE_BYTES_MAX
  if (version !== VERSION || opcode !== (ANSWER_BIT | OPCODE_MAP) || !isFit) return MALFORMED
  reader.u8()
  const result = reader.u8()
  const lifetimeS = reader.u32()
  reader.take(EPOCH_AND_RESERVED_BYTES)
  const nonce = reader.take(NONCE_BYTES).slice()
  const protocol = reader.u8()
  reader.take(3)
  const insidePort = reader.u16()
  const externalPort = reader.u16()
  const host = reader.take(16)
  if (reader.failed || protocol !== UDP) return MALFORMED
  const external = { host: formatHost(host), port: externalPort }
  return { result, lifetimeS, nonce, insidePort, external }
}

const EPOCH_AND_RESERVED_BYTES = 16

/** What a server that knows NAT-PMP alone answers: of this request, only that it is refused. */
const OLD: MapAnswer = {
  result: UNSUPP_VERSION,
  lifetimeS: 0,
  nonce: new Uint8Array(NONCE_BYTES),
  insidePort: 0,
  external: { host: '0.0.0.0', port: 0 },
}

/** ::ffff:0:0/96 (RFC 4291 §2.5.5.2): how PCP writes IPv4. */
function mapped(host: string): Uint8Array {
  const ipv4 = parseHost(host)
  assert(ipv4?.length === 4, 'PCP maps IPv4 here')
  const bytes = new Uint8Array(16).fill(0xff, 10, 12)
  bytes.set(ipv4, 12)
  return bytes
}

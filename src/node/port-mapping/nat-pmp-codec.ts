import { MALFORMED, type Malformed } from '../../core/errors.ts'
import { formatHost } from '../../core/wire/address.ts'
import { Reader } from '../../core/wire/reader.ts'
import { Writer } from '../../core/wire/writer.ts'

/** NAT-PMP (RFC 6886 §3): the router's address, and mappings of UDP. Bytes alone. */
export interface HostAnswer {
  /** 0 is success (§3.5). */
  readonly result: number
  readonly host: string
}

export interface PortAnswer {
  readonly result: number
  readonly insidePort: number
  readonly externalPort: number
  readonly lifetimeS: number
}

const VERSION = 0
const OP_HOST = 0
const OP_MAP_UDP = 1
const ANSWER_BIT = 0x80

export function encodeHostRequest(): Uint8Array {
  return new Writer(2).u8(VERSION).u8(OP_HOST).done()
}

/** `lifetimeS` 0 gives the mapping back, and wants `suggestedPort` 0 (§3.4). */
export function encodePortRequest(
  insidePort: number,
  suggestedPort: number,
  lifetimeS: number,
): Uint8Array {
  const writer = new Writer(12).u8(VERSION).u8(OP_MAP_UDP).u16(0)
  return writer.u16(insidePort).u16(suggestedPort).u32(lifetimeS).done()
}

export function decodeHostAnswer(data: Uint8Array): HostAnswer | Malformed {
  const [reader, result] = open(data, OP_HOST)
  // A refusal need not have the field.
  if (result !== 0) return reader.failed ? MALFORMED : { result, host: '0.0.0.0' }
  const host = reader.take(4)
  return reader.failed ? MALFORMED : reader.end({ result, host: formatHost(host) })
}

export function decodePortAnswer(data: Uint8Array): PortAnswer | Malformed {
  const [reader, result] = open(data, OP_MAP_UDP)
  const insidePort = reader.u16()
  const externalPort = reader.u16()
  const lifetimeS = reader.u32()
  return reader.end({ result, insidePort, externalPort, lifetimeS })
}

/** The reader behind version, opcode, result and the seconds since the router's tables were reset. */
function open(data: Uint8Array, opcode: number): readonly [Reader, number] {
  const reader = new Reader(data)
  const isAnswer = reader.u8() === VERSION && reader.u8() === (ANSWER_BIT | opcode)
  const result = reader.u16()
  reader.u32()
  if (!isAnswer) reader.failed = true
  return [reader, result]
}

import { MALFORMED, type Malformed } from '../errors.ts'
import { EVENT_BYTES_MAX } from '../replication/packet-seal.ts'
import { fromUtf8, utf8 } from '../wire/bytes.ts'
import { Reader } from '../wire/reader.ts'
import { varintSize, Writer } from '../wire/writer.ts'

/**
 * The messages that members exchange inside a session: docs/spec/wire.md, "Messages between sessions".
 * Decides their bytes alone. Decoded messages hold views of the payload.
 */
export const KIND_JOIN = 0x10
export const KIND_ACCEPT = 0x11
export const KIND_LEAVE = 0x12
export const KIND_EMIT = 0x20
export const KIND_LOSSY = 0x21
export const KIND_REQUEST = 0x22
export const KIND_ANSWER = 0x23
export const KIND_CANCEL = 0x24
export const KIND_PRESENCE = 0x25
/** Kinds from here on are replication's. */
export const KIND_REPLICATION_MIN = 0x30

export const MAC_BYTES = 16
/** A JOIN of more is malformed; who is in more subclusters sends several. */
export const JOIN_ENTRIES_MAX = 256
/** The most that comes before a value: kind, four varints, an event name and its length. */
export const MEMBER_HEADER_BYTES_MAX = 1 + 4 * 8 + 2 + EVENT_BYTES_MAX

/** `status` of an ANSWER. */
export const ANSWER_OK = 0
/** The value is an encoded error. */
export const ANSWER_ERROR = 1
/** The other side has too many calls open. */
export const ANSWER_BUSY = 2

/** Names a subcluster between two members: by the receiver's link and the sender's. */
export interface LinkPair {
  readonly to: number
  readonly from: number
}

export interface JoinEntry {
  readonly link: number
  readonly mac: Uint8Array
}

export type MemberMessage =
  | { readonly kind: typeof KIND_JOIN; readonly entries: readonly JoinEntry[] }
  | {
      readonly kind: typeof KIND_ACCEPT
      /** The receiver's link. */
      readonly to: number
      /** The sender's link for the same subcluster. */
      readonly link: number
      readonly mac: Uint8Array
    }
  | { readonly kind: typeof KIND_LEAVE; readonly link: number }
  | {
      readonly kind: typeof KIND_EMIT
      readonly pair: LinkPair
      readonly sequence: number
      /** How far back the message is that this one must follow; 0: none. */
      readonly back: number
      readonly event: string
      readonly value: Uint8Array
    }
  | {
      readonly kind: typeof KIND_LOSSY
      readonly pair: LinkPair
      readonly event: string
      readonly value: Uint8Array
    }
  | {
      readonly kind: typeof KIND_REQUEST
      readonly pair: LinkPair
      readonly call: number
      readonly name: string
      readonly value: Uint8Array
    }
  | {
      readonly kind: typeof KIND_ANSWER
      readonly pair: LinkPair
      readonly call: number
      readonly status: number
      readonly value: Uint8Array
    }
  | { readonly kind: typeof KIND_CANCEL; readonly pair: LinkPair; readonly call: number }
  | {
      readonly kind: typeof KIND_PRESENCE
      readonly pair: LinkPair
      readonly value: Uint8Array | undefined
    }

export function decodeMemberMessage(payload: Uint8Array): MemberMessage | Malformed {
  const reader = new Reader(payload)
  const message = readMessage(reader, reader.u8())
  return message === undefined ? MALFORMED : reader.end(message)
}

function readMessage(reader: Reader, kind: number): MemberMessage | undefined {
  switch (kind) {
    case KIND_JOIN:
      return readJoin(reader)
    case KIND_ACCEPT: {
      const to = reader.varint()
      return { kind, to, link: reader.varint(), mac: reader.take(MAC_BYTES) }
    }
    case KIND_LEAVE:
      return { kind, link: reader.varint() }
    case KIND_EMIT: {
      const pair = readPair(reader)
      const sequence = reader.varint()
      const back = reader.varint()
      const event = readName(reader)
      if (event === undefined || back > sequence) return undefined
      return { kind, pair, sequence, back, event, value: reader.rest() }
    }
    case KIND_LOSSY: {
      const pair = readPair(reader)
      const event = readName(reader)
      return event === undefined ? undefined : { kind, pair, event, value: reader.rest() }
    }
    case KIND_REQUEST: {
      const pair = readPair(reader)
      const call = reader.varint()
      const name = readName(reader)
      return name === undefined ? undefined : { kind, pair, call, name, value: reader.rest() }
    }
    case KIND_ANSWER: {
      const pair = readPair(reader)
      const call = reader.varint()
      const status = reader.u8()
      return status > ANSWER_BUSY ? undefined : { kind, pair, call, status, value: reader.rest() }
    }
    case KIND_CANCEL:
      return { kind, pair: readPair(reader), call: reader.varint() }
    case KIND_PRESENCE: {
      const pair = readPair(reader)
      const present = reader.u8()
      const value = reader.rest()
      if (present > 1 || (present === 0 && value.length > 0)) return undefined
      return { kind, pair, value: present === 1 ? value : undefined }
    }
  }
  return undefined
}

function readPair(reader: Reader): LinkPair {
  const to = reader.varint()
  return { to, from: reader.varint() }
}

function readJoin(reader: Reader): MemberMessage | undefined {
  const entries: JoinEntry[] = []
  while (reader.remaining > 0) {
    if (entries.length === JOIN_ENTRIES_MAX) return undefined
    entries.push({ link: reader.varint(), mac: reader.take(MAC_BYTES) })
  }
  return { kind: KIND_JOIN, entries }
}

function readName(reader: Reader): string | undefined {
  return fromUtf8(reader.block(EVENT_BYTES_MAX))
}

export function encodeJoin(entries: readonly JoinEntry[]): Uint8Array {
  const writer = new Writer(1 + entries.length * (8 + MAC_BYTES)).u8(KIND_JOIN)
  for (const { link, mac } of entries) writer.varint(link).put(mac)
  return writer.done()
}

export function encodeAccept(to: number, link: number, mac: Uint8Array): Uint8Array {
  const writer = new Writer(1 + 8 + 8 + MAC_BYTES).u8(KIND_ACCEPT)
  return writer.varint(to).varint(link).put(mac).done()
}

export function encodeLeave(link: number): Uint8Array {
  return new Writer(9).u8(KIND_LEAVE).varint(link).done()
}

export function encodeEmit(
  pair: LinkPair,
  sequence: number,
  back: number,
  event: string,
  value: Uint8Array,
): Uint8Array {
  const writer = new Writer(MEMBER_HEADER_BYTES_MAX + value.length).u8(KIND_EMIT)
  return writer
    .varint(pair.to)
    .varint(pair.from)
    .varint(sequence)
    .varint(back)
    .block(utf8(event))
    .put(value)
    .done()
}

export function encodeLossy(pair: LinkPair, event: string, value: Uint8Array): Uint8Array {
  const name = utf8(event)
  const headerBytes =
    1 + varintSize(pair.to) + varintSize(pair.from) + varintSize(name.length) + name.length
  const writer = new Writer(headerBytes + value.length).u8(KIND_LOSSY)
  return writer.varint(pair.to).varint(pair.from).block(name).put(value).done()
}

export function encodeRequest(
  pair: LinkPair,
  call: number,
  name: string,
  value: Uint8Array,
): Uint8Array {
  const writer = new Writer(MEMBER_HEADER_BYTES_MAX + value.length).u8(KIND_REQUEST)
  return writer.varint(pair.to).varint(pair.from).varint(call).block(utf8(name)).put(value).done()
}

export function encodeAnswer(
  pair: LinkPair,
  call: number,
  status: number,
  value: Uint8Array,
): Uint8Array {
  const writer = new Writer(26 + value.length).u8(KIND_ANSWER)
  return writer.varint(pair.to).varint(pair.from).varint(call).u8(status).put(value).done()
}

export function encodeCancel(pair: LinkPair, call: number): Uint8Array {
  return new Writer(25).u8(KIND_CANCEL).varint(pair.to).varint(pair.from).varint(call).done()
}

export function encodePresence(pair: LinkPair, value: Uint8Array | undefined): Uint8Array {
  const writer = new Writer(18 + (value?.length ?? 0))
    .u8(KIND_PRESENCE)
    .varint(pair.to)
    .varint(pair.from)
  if (value === undefined) return writer.u8(0).done()
  return writer.u8(1).put(value).done()
}

/** How a stream of a subcluster begins. */
export function encodeStreamHeader(pair: LinkPair, name: string): Uint8Array {
  const bytes = utf8(name)
  return new Writer(18 + bytes.length).varint(pair.to).varint(pair.from).block(bytes).done()
}

export interface StreamHeader {
  readonly pair: LinkPair
  readonly name: string
  readonly bytes: number
}

/** Undefined: more bytes are needed. */
export function decodeStreamHeader(start: Uint8Array): StreamHeader | Malformed | undefined {
  const reader = new Reader(start)
  const pair = readPair(reader)
  const lengthBytes = reader.varint()
  if (!reader.failed && lengthBytes > EVENT_BYTES_MAX) return MALFORMED
  const nameBytes = reader.take(lengthBytes)
  // A varint above 2^53 − 1 fails at any length; what is long enough to be whole is malformed.
  if (reader.failed) return start.length > 3 * 8 + EVENT_BYTES_MAX ? MALFORMED : undefined
  const name = fromUtf8(nameBytes)
  return name === undefined ? MALFORMED : { pair, name, bytes: reader.offset }
}

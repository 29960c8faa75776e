import { MALFORMED, type Malformed } from '../../errors.ts'
import { fromHex, toHex } from '../../wire/bytes.ts'
import { Reader } from '../../wire/reader.ts'
import { Writer } from '../../wire/writer.ts'
import { SHORT_BYTES } from '../packet-name.ts'

/**
 * The messages by which packets spread between neighbours: docs/spec/spread.md. Decides their bytes
 * alone. Decoded packets are views of the message.
 */
/** And every first byte above: what is in it besides saves a short text a byte. */
export const KIND_PACKET = 0x80
export const KIND_HAVE = 0x32
export const KIND_WANT = 0x33
export const KIND_LACK = 0x34
export const KIND_HELD = 0x35
export const KIND_INTEREST = 0x38

/** Packets that one message names. */
export const SHORTS_MAX = 128
/** How tags are named to neighbours: their first bytes. */
const TAG_PREFIX_BYTES = 16
/** Guess: ten days of six subclusters; what does not fit is found by reconciling. */
export const INTEREST_TAGS_MAX = 64
const RECEIPT_BIT = 0x40
/** How many more copies may be pushed: in steps of a quarter of an octave, to 46,339. */
const STEPS_OF_DOUBLING = 4
const STEP_MAX = 0x3e
/** The packet was asked for, or comes out of keeping. */
const STEP_GIVEN = 0x3f
const FLAG_EVERYTHING = 1

export type ShortsKind = typeof KIND_HAVE | typeof KIND_WANT | typeof KIND_LACK | typeof KIND_HELD

/**
 * How many more copies of a packet may be pushed beyond who gets this one, 0 to 46,339. Undefined: it was
 * not pushed here, but asked for or given out of somebody's keeping.
 */
export type Copies = number | undefined

export interface PacketMessage {
  readonly kind: typeof KIND_PACKET
  readonly copies: Copies
  /** The sender wants to be told when it is on disk. */
  readonly wantsReceipt: boolean
  readonly packet: Uint8Array
}

export type SpreadMessage =
  | PacketMessage
  | { readonly kind: ShortsKind; readonly shorts: readonly string[] }
  | {
      readonly kind: typeof KIND_INTEREST
      readonly isEverything: boolean
      /** How many neighbours the sender has, at most 255. */
      readonly links: number
      /** Hex. */
      readonly tags: readonly string[]
    }

export function decodeSpreadMessage(payload: Uint8Array): SpreadMessage | Malformed {
  const reader = new Reader(payload)
  const kind = reader.u8()
  if (kind >= KIND_PACKET) {
    const wantsReceipt = (kind & RECEIPT_BIT) !== 0
    const step = kind & STEP_GIVEN
    const copies = step === STEP_GIVEN ? undefined : copiesOf(step)
    return reader.end({ kind: KIND_PACKET, copies, wantsReceipt, packet: reader.rest() })
  }
  switch (kind) {
    case KIND_HAVE:
    case KIND_WANT:
    case KIND_LACK:
    case KIND_HELD: {
      const shorts = readNames(reader, SHORT_BYTES, SHORTS_MAX)
      return shorts === undefined || shorts.length === 0 ? MALFORMED : reader.end({ kind, shorts })
    }
    case KIND_INTEREST: {
      const flags = reader.u8()
      const links = reader.u8()
      const tags = readNames(reader, TAG_PREFIX_BYTES, INTEREST_TAGS_MAX)
      if (flags > FLAG_EVERYTHING || tags === undefined) return MALFORMED
      return reader.end({ kind, isEverything: flags === FLAG_EVERYTHING, links, tags })
    }
  }
  return MALFORMED
}

function readNames(reader: Reader, bytes: number, max: number): string[] | undefined {
  if (reader.remaining > max * bytes) return undefined
  const names: string[] = []
  while (reader.remaining >= bytes) names.push(toHex(reader.take(bytes)))
  return names
}

function copiesOf(step: number): number {
  return Math.floor(2 ** (step / STEPS_OF_DOUBLING)) - 1
}

/** Copies are rounded down, by a sixth at most. */
function stepOf(copies: number): number {
  if (copies < 1) return 0
  let step = STEPS_OF_DOUBLING
  while (step < STEP_MAX && copiesOf(step + 1) <= copies) step++
  return step
}

export function encodePacketMessage(
  packet: Uint8Array,
  copies: Copies,
  wantsReceipt: boolean,
): Uint8Array {
  const step = copies === undefined ? STEP_GIVEN : stepOf(copies)
  const head = KIND_PACKET | step | (wantsReceipt ? RECEIPT_BIT : 0)
  return new Writer(1 + packet.length).u8(head).put(packet).done()
}

/** In hex, of a tag in hex. */
export function tagPrefix(tag: string): string {
  return tag.slice(0, 2 * TAG_PREFIX_BYTES)
}

/** At most `SHORTS_MAX`, of 16 hex digits each. */
export function encodeShorts(kind: ShortsKind, shorts: readonly string[]): Uint8Array {
  const writer = new Writer(1 + SHORT_BYTES * shorts.length).u8(kind)
  for (const short of shorts) writer.put(fromHex(short) ?? new Uint8Array(SHORT_BYTES))
  return writer.done()
}

/** At most `INTEREST_TAGS_MAX` tags, as hex of their first 16 bytes. */
export function encodeInterest(
  isEverything: boolean,
  links: number,
  tags: readonly string[],
): Uint8Array {
  const writer = new Writer(3 + TAG_PREFIX_BYTES * tags.length)
    .u8(KIND_INTEREST)
    .u8(isEverything ? FLAG_EVERYTHING : 0)
    .u8(Math.min(255, links))
  for (const tag of tags) writer.put(fromHex(tag) ?? new Uint8Array(TAG_PREFIX_BYTES))
  return writer.done()
}

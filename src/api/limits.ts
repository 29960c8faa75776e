import type { UnixMs } from '../core/io.ts'
import { PAYLOAD_BYTES_MAX } from '../core/replication/leaf-tree.ts'
import { utf8 } from '../core/wire/bytes.ts'
import { describe, LimitError, mustBe } from './errors.ts'
import { encodeValue } from './values.ts'

/** 1 MiB of bytes or text (docs/spec/wire.md), and the five bytes with which CBOR begins them. */
export const VALUE_BYTES_MAX = 1_048_576 + 5
/** The most that a value may take, and what to do with a larger one. */
export interface ValueLimit {
  readonly bytesMax: number
  readonly when: string
  readonly instead: string
}
/** What goes to one peer, or to those who are here. */
export const DIRECT_LIMIT: ValueLimit = {
  bytesMax: VALUE_BYTES_MAX,
  when: 'when encoded',
  instead: 'open a stream for more',
}
export const LIVE_LIMIT: ValueLimit = {
  bytesMax: VALUE_BYTES_MAX,
  when: "when encoded and delivery is not 'durable'",
  instead: `delivery: 'durable' takes ${PAYLOAD_BYTES_MAX}`,
}
export const DURABLE_LIMIT: ValueLimit = {
  bytesMax: PAYLOAD_BYTES_MAX,
  when: "when encoded and delivery is 'durable'",
  instead: 'publish it in parts, as `latica send` does',
}
/** Event and value of a lossy message: what a datagram of 1200 bytes holds, relayed and sealed twice. */
export const LOSSY_BYTES_MAX = 1_024
/** Guess, unmeasured: presence is a state to look at, sent to everyone who joins. */
export const PRESENCE_BYTES_MAX = 16_384
export const PRESENCE_LIMIT: ValueLimit = {
  bytesMax: PRESENCE_BYTES_MAX,
  when: 'when encoded, as presence',
  instead: 'emit it',
}
/** docs/spec/wire.md: names are UTF-8 of at most 255 bytes. */
export const NAME_BYTES_MAX = 255
/** Packets live up to 7 days. */
export const TTL_MS_MAX = 7 * 24 * 3_600_000
export const REQUEST_TIMEOUT_MS = 30_000
/** Node's setTimeout holds no more (2^31 − 1 ms, 24 days). */
const TIMEOUT_MS_MAX = 2_147_483_647

/** The last moment of a Date. */
const MOMENT_MS_MAX = 8.64e15

/** A name that members use between themselves: system events alone begin with '#'. */
export function checkName(name: unknown, argument: string): string {
  const expected = `a string of 1–${NAME_BYTES_MAX} bytes that does not begin with "#"`
  mustBe(typeof name === 'string' && name !== '' && !name.startsWith('#'), argument, expected, name)
  mustBe(utf8(name).length <= NAME_BYTES_MAX, argument, expected, name)
  return name
}

/** A name to listen for: one of the system's, or one that members use. */
export function checkEvent(name: unknown, system: readonly string[]): string {
  if (typeof name === 'string' && system.includes(name)) return name
  const isReserved = typeof name === 'string' && name.startsWith('#')
  mustBe(!isReserved, 'event', `${system.join(', ')} or a name without "#"`, name)
  return checkName(name, 'event')
}

/** A name to listen for where there are none but the system's. */
export function checkSystemEvent(name: unknown, system: readonly string[]): string {
  const isKnown = typeof name === 'string' && system.includes(name)
  mustBe(isKnown, 'event', `one of ${system.join(', ')}`, name)
  return name
}

/** The bytes of a value that one message can carry. */
export function checkValue(value: unknown, argument: string, limit: ValueLimit): Uint8Array {
  const bytes = encodeValue(value, argument)
  const { bytesMax, when, instead } = limit
  if (bytes.length > bytesMax)
    throw new LimitError(
      'ETOOBIG',
      argument,
      `at most ${bytesMax} bytes ${when}`,
      `${bytes.length} bytes; ${instead}`,
    )
  return bytes
}

/** A Date, or milliseconds since 1970. */
export function checkMoment(value: unknown, argument: string): UnixMs {
  const expected = 'a Date or milliseconds since 1970'
  mustBe(typeof value === 'number' || value instanceof Date, argument, expected, value)
  const at = Number(value)
  if (!(at >= 0 && at <= MOMENT_MS_MAX))
    throw new LimitError('ERANGE', argument, expected, describe(value))
  return Math.floor(at) as UnixMs
}

export function checkMilliseconds(
  value: number | undefined,
  argument: string,
  otherwise: number,
  max = TIMEOUT_MS_MAX,
): number {
  if (value === undefined) return otherwise
  const expected = `milliseconds, 1–${max}`
  mustBe(typeof value === 'number', argument, expected, value)
  if (!(value >= 1 && value <= max)) throw new LimitError('ERANGE', argument, expected, `${value}`)
  return Math.round(value)
}

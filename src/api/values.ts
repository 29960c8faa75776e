import {
  type DecodeOptions,
  decode,
  type EncodeOptions,
  encode,
  Token,
  Tokenizer,
  Type,
} from 'cborg'
import {
  mapDecoder,
  mapEncoder,
  negativeZeroEncoder,
  TAG_BIGINT_NEG,
  TAG_BIGINT_POS,
  TAG_DATE_EPOCH,
  TAG_DATE_STRING,
  TAG_MAP,
} from 'cborg/taglib'
import { MALFORMED, type Malformed, UsageError } from '../core/errors.ts'
import { fromHex, toHex } from '../core/wire/bytes.ts'
import { describe } from './errors.ts'

/**
 * What may be sent, and how it becomes bytes: CBOR (RFC 8949) with the registered tags 0 and 1 for
 * Date, 2 and 3 for bigint, 259 for Map. It decides the types, not the sizes.
 */
export type Value =
  | null
  | undefined
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | Date
  | readonly Value[]
  | ReadonlyMap<Value, Value>
  | { readonly [key: string]: Value }

/** Arrays, objects and maps inside each other. Guess, unmeasured: far beyond what people write. */
export const VALUE_DEPTH_MAX = 64

/** The bytes of a value. A value that cannot arrive as it left throws `EBADVALUE`, naming where. */
export function encodeValue(value: unknown, argument = 'value'): Uint8Array {
  check(value, { argument, path: [], above: [] })
  try {
    return plain(encode(value, ENCODING))
  } catch (error) {
    throw new UsageError('EBADVALUE', argument, 'a value that can be sent', String(error))
  }
}

/** The value in received bytes. */
export function decodeValue(bytes: Uint8Array): Value | Malformed {
  try {
    const value: Value = decode(bytes, {
      ...DECODING,
      tokenizer: new BoundedTokenizer(plain(bytes), DECODING),
    })
    return value
  } catch {
    return MALFORMED
  }
}

/** Without Buffer's own `slice`, which shares memory where Uint8Array's copies. */
function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
}

interface Place {
  readonly argument: string
  readonly path: (string | number)[]
  readonly above: object[]
}

function check(value: unknown, place: Place): void {
  switch (typeof value) {
    case 'undefined':
    case 'boolean':
    case 'number':
    case 'bigint':
    case 'string':
      return
    case 'function':
    case 'symbol':
      refuse(place, value)
      break
    case 'object':
      if (value !== null && !(value instanceof Uint8Array) && !(value instanceof Date))
        checkContainer(value, place)
  }
}

function checkContainer(value: object, place: Place): void {
  if (place.above.includes(value)) refuse(place, 'a value that contains itself')
  if (place.above.length >= VALUE_DEPTH_MAX)
    refuse(place, `more than ${VALUE_DEPTH_MAX} levels of nesting`)
  place.above.push(value)
  if (Array.isArray(value)) for (const [index, item] of value.entries()) inside(item, index, place)
  else if (value instanceof Map)
    for (const [key, item] of value) {
      inside(key, 'key of Map', place)
      inside(item, typeof key === 'object' ? 'value of Map' : `get(${describe(key)})`, place)
    }
  else if (isPlain(value)) for (const [key, item] of Object.entries(value)) inside(item, key, place)
  else refuse(place, value)
  place.above.pop()
}

function inside(value: unknown, step: string | number, place: Place): void {
  if (typeof value !== 'object' && typeof value !== 'function' && typeof value !== 'symbol') return
  place.path.push(step)
  check(value, place)
  place.path.pop()
}

/** Objects of another realm (vm, iframe) count as plain: their prototype has none either. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === null || prototype === Object.prototype) return true
  return (
    Object.getPrototypeOf(prototype) === null &&
    Object.hasOwn(prototype as object, 'hasOwnProperty') &&
    Object.prototype.toString.call(value) === '[object Object]'
  )
}

function refuse(place: Place, got: unknown): never {
  const where = place.path.reduce<string>(
    (text, step) =>
      typeof step === 'number'
        ? `${text}[${step}]`
        : /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(step) || step.startsWith('get(')
          ? `${text}.${step}`
          : `${text}[${JSON.stringify(step)}]`,
    place.argument,
  )
  const expected =
    'null, undefined, a boolean, number, bigint, string, Uint8Array, Date, Map, array or plain object'
  throw new UsageError('EBADVALUE', where, expected, typeof got === 'string' ? got : describe(got))
}

const ENCODING: EncodeOptions = {
  // Order is part of an object and of a Map: it arrives as it left.
  mapSorter: () => 0,
  typeEncoders: {
    number: negativeZeroEncoder,
    // cborg's own bigint codec takes quadratic time: a megabyte of digits would stop the process.
    bigint: (value: bigint) => {
      const magnitude = value < 0n ? -1n - value : value
      const digits = magnitude.toString(16)
      const bytes = fromHex(digits.length % 2 === 0 ? digits : `0${digits}`) ?? new Uint8Array(0)
      const tag = value < 0n ? TAG_BIGINT_NEG : TAG_BIGINT_POS
      return [new Token(Type.tag, tag), new Token(Type.bytes, bytes)]
    },
    Date: (value: Date) => {
      const milliseconds = value.getTime()
      const seconds = milliseconds / 1000
      // Far from 1970 a float of seconds cannot hold the milliseconds: text can.
      if (Math.round(seconds * 1000) !== milliseconds && !Number.isNaN(milliseconds))
        return [new Token(Type.tag, TAG_DATE_STRING), new Token(Type.string, value.toISOString())]
      return [
        new Token(Type.tag, TAG_DATE_EPOCH),
        Number.isInteger(seconds)
          ? new Token(seconds < 0 ? Type.negint : Type.uint, seconds)
          : new Token(Type.float, seconds),
      ]
    },
    Map: mapEncoder,
  },
}

const DECODING: DecodeOptions = {
  allowIndefinite: false,
  rejectDuplicateMapKeys: true,
  tags: {
    [TAG_DATE_STRING]: (content) => {
      const text = content()
      const date = new Date(typeof text === 'string' ? text : Number.NaN)
      if (Number.isNaN(date.getTime())) throw new Error('not a date')
      return date
    },
    [TAG_DATE_EPOCH]: (content) => {
      const seconds = content()
      if (typeof seconds !== 'number') throw new Error('not a date')
      return new Date(Math.round(seconds * 1000))
    },
    [TAG_BIGINT_POS]: (content) => magnitude(content()),
    [TAG_BIGINT_NEG]: (content) => -1n - magnitude(content()),
    [TAG_MAP]: mapDecoder,
  },
}

function magnitude(bytes: unknown): bigint {
  if (!(bytes instanceof Uint8Array)) throw new Error('not a bigint')
  return bytes.length === 0 ? 0n : BigInt(`0x${toHex(bytes)}`)
}

/** Refuses nesting before the decoder recurses into it, and keeps what its TextDecoder would drop. */
class BoundedTokenizer extends Tokenizer {
  /** Items still to come in every container that is open. */
  readonly #open: number[] = []

  override next(): Token {
    const start = this.pos()
    const token = super.next()
    if (Type.equals(token.type, Type.string)) this.#keepByteOrderMark(token, start)
    const items = itemsInside(token)
    if (items > 0) {
      // A Map is two levels on the wire: its tag and its entries.
      if (this.#open.push(items) > 2 * VALUE_DEPTH_MAX) throw new Error('nested too deep')
      return token
    }
    for (let last = this.#open.length - 1; last >= 0; last--) {
      const left = (this.#open[last] ?? 0) - 1
      this.#open[last] = left
      if (left > 0) break
      this.#open.pop()
    }
    return token
  }

  /** cborg drops U+FEFF where it begins a string of more than a few characters. */
  #keepByteOrderMark(token: Token, start: number): void {
    const minor = (this.data[start] ?? 0) & 31
    const text = start + 1 + (minor < 24 ? 0 : 2 ** (minor - 24))
    const has =
      this.data[text] === 0xef && this.data[text + 1] === 0xbb && this.data[text + 2] === 0xbf
    if (has) token.value = TEXT.decode(this.data.subarray(text, this.pos()))
  }
}

const TEXT = new TextDecoder('utf-8', { ignoreBOM: true })

function itemsInside(token: Token): number {
  if (Type.equals(token.type, Type.tag)) return 1
  const count = typeof token.value === 'number' ? token.value : 0
  if (Type.equals(token.type, Type.array)) return count
  return Type.equals(token.type, Type.map) ? 2 * count : 0
}

import { UsageError } from '../core/errors.ts'
import type { FailureCode } from '../core/io.ts'

type OwnCode = FailureCode | 'EBUSY' | 'EBADKEY' | 'EBADPEERID' | 'EBADADDRESS'
/** Ours, or what the machine says when it refuses a port or a folder: EADDRINUSE, ELOCKED, … */
export type LaticaErrorCode = OwnCode | (string & {})

const TEXT: Readonly<Record<OwnCode, readonly [message: string, help: string]>> = {
  EPEERGONE: [
    'the peer is not here any more',
    "Wait for the next '#join' of this peer and use the peer it hands you.",
  ],
  EFORGOTTEN: [
    'the keys of that day were forgotten here',
    'Ask for a later day, or get a key from a member who has not forgotten that day.',
  ],
  ETIMEDOUT: [
    'no answer in time',
    'Give a longer `timeout`, or check that the other side is online and handles this name.',
  ],
  ETOOBIG: [
    'too big for this way of sending',
    'Send a smaller value, use another `delivery`, or open a stream.',
  ],
  EREMOTE: ['the other side failed', 'The message is what the handler at the other side threw.'],
  ENOHANDLER: [
    'the other side handles no such name',
    'Register it there with `subcluster.handle(name, …)`, and check the spelling.',
  ],
  EBUSY: [
    'the other side runs too many calls of ours',
    'Wait for earlier answers before asking again.',
  ],
  EABORTED: ['given up by the caller', '`error.cause` is the reason of your AbortSignal.'],
  ECLOSED: [
    'the socket or the subcluster is closed',
    'Call network() or socket.subcluster() again to go on.',
  ],
  EBADKEY: ['the keys do not fit together', 'Use a pair made by Encryption.createKeyPair().'],
  EBADPEERID: [
    'the peerId does not belong to the keys',
    'Leave `peerId` out, or derive it: await Encryption.createId(signingKeys.publicKey).',
  ],
  EBADADDRESS: ['the address leads nowhere', 'Check the spelling and that the name resolves.'],
}

/** What went wrong while an operation was under way: `code` for programs, `help` for people. */
export class LaticaError extends Error {
  readonly code: LaticaErrorCode
  readonly help: string

  constructor(code: OwnCode, message?: string, cause?: unknown)
  constructor(code: string, message: string, cause: unknown, help: string)
  constructor(code: string, message?: string, cause?: unknown, help?: string) {
    const own = TEXT[code as OwnCode]
    super(message ?? own[0], cause === undefined ? undefined : { cause })
    this.name = 'LaticaError'
    this.code = code
    this.help = help ?? own[1]
  }
}

/** A caller's argument of the right type but outside its limits. */
export class LimitError extends RangeError {
  readonly code: string
  constructor(code: string, argument: string, expected: string, got: string) {
    super(`${argument}: expected ${expected}, got ${got}`)
    this.name = 'LimitError'
    this.code = code
  }
}

/** Text that names a caller's value in an error, never longer than a line. */
export function describe(value: unknown): string {
  if (value === null || value === undefined || typeof value === 'boolean') return String(value)
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value)
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'string')
    return JSON.stringify(value.length > 80 ? `${value.slice(0, 77)}…` : value)
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'symbol') return 'a symbol'
  if (value instanceof Uint8Array) return `${value.length} bytes`
  if (Array.isArray(value)) return `an array of ${value.length}`
  const name: unknown = value.constructor?.name
  return typeof name === 'string' && name !== '' && name !== 'Object' ? `a ${name}` : 'an object'
}

export function mustBe(
  condition: boolean,
  argument: string,
  expected: string,
  got: unknown,
  code = 'EBADARG',
): asserts condition {
  if (!condition) throw new UsageError(code, argument, expected, describe(got))
}

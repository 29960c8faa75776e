import { MALFORMED, type Malformed } from '../errors.ts'
import { concat } from '../wire/bytes.ts'
import { Reader } from '../wire/reader.ts'
import { Writer } from '../wire/writer.ts'
import type { LinkPair } from './member-wire.ts'

/** What a letter says beside its value: on which session its message may have come already. Layout only. */
export const BINDING_PREFIX_BYTES = 8

export interface MailOrigin {
  /** First bytes of the session's secret. */
  readonly binding: Uint8Array
  /** As the sender of the message named it. */
  readonly pair: LinkPair
  readonly sequence: number
}

export interface Mail {
  readonly origin: MailOrigin | undefined
  readonly value: Uint8Array
}

export function encodeMail({ origin, value }: Mail): Uint8Array {
  if (origin === undefined) return concat(Uint8Array.of(0), value)
  const writer = new Writer(1 + BINDING_PREFIX_BYTES + 3 * 8).u8(1)
  writer.put(origin.binding.subarray(0, BINDING_PREFIX_BYTES))
  writer.varint(origin.pair.to).varint(origin.pair.from).varint(origin.sequence)
  return concat(writer.done(), value)
}

export function decodeMail(payload: Uint8Array): Mail | Malformed {
  const reader = new Reader(payload)
  const hasOrigin = reader.u8()
  if (hasOrigin > 1) return MALFORMED
  if (hasOrigin === 0) return reader.end({ origin: undefined, value: reader.rest() })
  const binding = reader.take(BINDING_PREFIX_BYTES)
  const to = reader.varint()
  const pair = { to, from: reader.varint() }
  const sequence = reader.varint()
  return reader.end({ origin: { binding, pair, sequence }, value: reader.rest() })
}

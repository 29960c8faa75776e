import { MALFORMED, type Malformed } from '../../errors.ts'
import { Reader } from '../../wire/reader.ts'
import { Writer } from '../../wire/writer.ts'
import { type CodedSymbols, SYMBOL_BYTES } from './coded-symbols.ts'
import { idKey, SALTED_ID_BYTES } from './salted-set.ts'

/**
 * The messages of a reconciliation: docs/spec/reconcile.md. Decides their bytes alone. Decoded messages
 * hold views of the payload.
 */
export const KIND_SYNC = 0x39
export const KIND_SYMBOLS = 0x3a
export const KIND_MORE = 0x3b
export const KIND_IDS = 0x3c
export const KIND_END = 0x3d

/** So that each fits into a datagram with its heads. */
export const MESSAGE_BYTES_MAX = 1150
export const NONCE_BYTES = 8
/** One finds a single packet at once, three more find two or three in half of all cases. */
export const FIRST_SYMBOLS = 4
export const SCOPE_TAGS_MAX = 32
/** How a scope names a tag: its first bytes. */
export const SCOPE_TAG_BYTES = 8
export const SYMBOLS_PER_MESSAGE = Math.floor((MESSAGE_BYTES_MAX - 2 - 3 * 4) / SYMBOL_BYTES)
export const IDS_PER_MESSAGE = Math.floor((MESSAGE_BYTES_MAX - 3 - 4) / SALTED_ID_BYTES)

/** Which packets are compared. */
export type ReconcileScope =
  | { readonly kind: 'everything' }
  /** Those whose location shares so many leading bits with the id of the one who began. */
  | { readonly kind: 'range'; readonly bits: number }
  /** Those with a tag that begins with one of these 8 bytes; at most 32. */
  | { readonly kind: 'tags'; readonly tags: readonly Uint8Array[] }

/** The first of two peers to speak sets it in all its messages of that reconciliation. */
export const RUN_BEGAN = 0x80

interface OfRun {
  /** 7 bits that tell the initiator's reconciliations apart, and RUN_BEGAN. */
  readonly run: number
}

export interface SyncMessage extends OfRun {
  readonly kind: typeof KIND_SYNC
  readonly scope: ReconcileScope
  readonly nonce: Uint8Array
  readonly size: number
  /** FIRST_SYMBOLS of them. */
  readonly symbols: Uint8Array
}

export interface SymbolsMessage extends OfRun {
  readonly kind: typeof KIND_SYMBOLS
  readonly size: number
  /** The end of what comes without being asked for again. */
  readonly until: number
  readonly first: number
  readonly symbols: Uint8Array
}

export interface IdsMessage extends OfRun {
  readonly kind: typeof KIND_IDS
  /** All that the sender holds; or those it lacks. */
  readonly purpose: 'all' | 'lacking'
  readonly total: number
  readonly keys: readonly number[]
}

export type EndMessage = OfRun & { readonly kind: typeof KIND_END } & (
    | { readonly result: 'equal' }
    | { readonly result: 'differed'; readonly giving: number; readonly lacking: number }
    | { readonly result: 'refused'; readonly retryS: number }
  )

export type ReconcileMessage =
  | SyncMessage
  | SymbolsMessage
  /** `until` 0: send all your ids instead. */
  | (OfRun & { readonly kind: typeof KIND_MORE; readonly until: number })
  | IdsMessage
  | EndMessage

export function isReconcileMessage(payload: Uint8Array): boolean {
  const [kind = 0] = payload
  return kind >= KIND_SYNC && kind <= KIND_END
}

export function decodeReconcileMessage(payload: Uint8Array): ReconcileMessage | Malformed {
  if (payload.length > MESSAGE_BYTES_MAX) return MALFORMED
  const reader = new Reader(payload)
  const kind = reader.u8()
  const message = readMessage(reader, kind, reader.u8())
  return message === undefined ? MALFORMED : reader.end(message)
}

function readMessage(reader: Reader, kind: number, run: number): ReconcileMessage | undefined {
  switch (kind) {
    case KIND_SYNC: {
      const scope = readScope(reader)
      if (scope === undefined) return undefined
      const nonce = reader.take(NONCE_BYTES)
      const size = reader.varint()
      return { kind, run, scope, nonce, size, symbols: reader.take(FIRST_SYMBOLS * SYMBOL_BYTES) }
    }
    case KIND_SYMBOLS: {
      const size = reader.varint()
      const until = reader.varint()
      const first = reader.varint()
      if (reader.remaining % SYMBOL_BYTES !== 0) return undefined
      return { kind, run, size, until, first, symbols: reader.rest() }
    }
    case KIND_MORE:
      return { kind, run, until: reader.varint() }
    case KIND_IDS: {
      const purpose = reader.u8()
      const total = reader.varint()
      if (purpose > 1 || reader.remaining % SALTED_ID_BYTES !== 0) return undefined
      const keys: number[] = []
      while (reader.remaining > 0) keys.push(idKey(reader.u16(), reader.u32()))
      return { kind, run, purpose: purpose === 0 ? 'all' : 'lacking', total, keys }
    }
    case KIND_END:
      return readEnd(reader, run)
    default:
      return undefined
  }
}

function readEnd(reader: Reader, run: number): EndMessage | undefined {
  const kind = KIND_END
  switch (reader.u8()) {
    case 0:
      return { kind, run, result: 'equal' }
    case 1: {
      const giving = reader.varint()
      return { kind, run, result: 'differed', giving, lacking: reader.varint() }
    }
    case 2:
      return { kind, run, result: 'refused', retryS: reader.u8() }
    default:
      return undefined
  }
}

function readScope(reader: Reader): ReconcileScope | undefined {
  switch (reader.u8()) {
    case 0:
      return { kind: 'everything' }
    case 1:
      return { kind: 'range', bits: reader.u8() }
    case 2: {
      const count = reader.u8()
      if (count === 0 || count > SCOPE_TAGS_MAX) return undefined
      const tags = Array.from({ length: count }, () => reader.take(SCOPE_TAG_BYTES))
      return { kind: 'tags', tags }
    }
    default:
      return undefined
  }
}

function begin(kind: number, run: number): Writer {
  return new Writer(MESSAGE_BYTES_MAX).u8(kind).u8(run)
}

export function encodeSync(
  run: number,
  scope: ReconcileScope,
  nonce: Uint8Array,
  size: number,
  symbols: CodedSymbols,
): Uint8Array {
  const writer = begin(KIND_SYNC, run)
  if (scope.kind === 'everything') writer.u8(0)
  else if (scope.kind === 'range') writer.u8(1).u8(scope.bits)
  else {
    writer.u8(2).u8(scope.tags.length)
    for (const tag of scope.tags) writer.put(tag.subarray(0, SCOPE_TAG_BYTES))
  }
  return writer.put(nonce).varint(size).put(symbols.toBytes()).done()
}

/** As many messages as the symbols take. */
export function encodeSymbols(run: number, size: number, symbols: CodedSymbols): Uint8Array[] {
  const bytes = symbols.toBytes()
  const messages: Uint8Array[] = []
  for (let at = 0; at < symbols.count; at += SYMBOLS_PER_MESSAGE) {
    const head = begin(KIND_SYMBOLS, run).varint(size).varint(symbols.end)
    const part = bytes.subarray(at * SYMBOL_BYTES, (at + SYMBOLS_PER_MESSAGE) * SYMBOL_BYTES)
    messages.push(
      head
        .varint(symbols.first + at)
        .put(part)
        .done(),
    )
  }
  return messages
}

export function encodeMore(run: number, until: number): Uint8Array {
  return begin(KIND_MORE, run).varint(until).done()
}

/** As many messages as the ids take, and at least one. */
export function encodeIds(
  run: number,
  purpose: IdsMessage['purpose'],
  keys: readonly number[],
): Uint8Array[] {
  const messages: Uint8Array[] = []
  for (let at = 0; at === 0 || at < keys.length; at += IDS_PER_MESSAGE) {
    const writer = begin(KIND_IDS, run).u8(purpose === 'all' ? 0 : 1)
    writer.varint(keys.length)
    for (const key of keys.slice(at, at + IDS_PER_MESSAGE))
      writer.u16(Math.floor(key / 0x100000000)).u32(key % 0x100000000)
    messages.push(writer.done())
  }
  return messages
}

export function encodeEqual(run: number): Uint8Array {
  return begin(KIND_END, run).u8(0).done()
}

export function encodeDiffered(run: number, giving: number, lacking: number): Uint8Array {
  return begin(KIND_END, run).u8(1).varint(giving).varint(lacking).done()
}

export function encodeRefused(run: number, retryS: number): Uint8Array {
  return begin(KIND_END, run).u8(2).u8(retryS).done()
}

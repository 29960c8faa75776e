import { MALFORMED } from '../errors.ts'
import type { PeerId } from '../io.ts'
import { type Address, decodeAddress, encodeAddress } from '../wire/address.ts'
import { toHex } from '../wire/bytes.ts'
import { Reader } from '../wire/reader.ts'
import { Writer } from '../wire/writer.ts'
import type { Route } from './route.ts'

/**
 * What the two sides tell each other inside the handshake (docs/spec/wire.md): who they are, which
 * run of their program speaks, and which transport state they still hold for the other.
 */
export const RUN_BYTES = 8
export const TRANSPORT_ID_BYTES = 8
const PEER_BYTES = 32
/** The larger address form; the smaller is padded with zeros, so that sizes tell nothing. */
const OBSERVED_BYTES = 19

export interface InitiatorHello {
  readonly publicKey: Uint8Array
  readonly peer: PeerId
  readonly run: string
  /** Zeros when the initiator holds no transport for the responder. */
  readonly transport: Uint8Array
}

export interface ResponderHello {
  readonly source: number
  readonly publicKey: Uint8Array | undefined
  readonly run: string
  readonly isResumed: boolean
  readonly observed: Address | undefined
}

export function encodeInitiatorHello(
  publicKey: Uint8Array,
  run: Uint8Array,
  transport?: Uint8Array,
): Uint8Array {
  const writer = new Writer(PEER_BYTES + RUN_BYTES + TRANSPORT_ID_BYTES).put(publicKey).put(run)
  if (transport !== undefined) writer.put(transport)
  return writer.done()
}

export function decodeInitiatorHello(payload: Uint8Array): InitiatorHello {
  const reader = new Reader(payload)
  const publicKey = reader.take(PEER_BYTES).slice()
  return {
    publicKey,
    peer: toHex(publicKey) as PeerId,
    run: toHex(reader.take(RUN_BYTES)),
    transport: reader.rest().slice(),
  }
}

export function encodeRespondIk(
  source: number,
  run: Uint8Array,
  isResumed: boolean,
  route: Route,
): Uint8Array {
  const writer = new Writer(4 + RUN_BYTES + 1 + OBSERVED_BYTES)
  writer
    .u32(source)
    .put(run)
    .u8(isResumed ? 1 : 0)
  return putObserved(writer, route)
}

export function decodeRespondIk(payload: Uint8Array): ResponderHello {
  const reader = new Reader(payload)
  const source = reader.u32()
  const run = toHex(reader.take(RUN_BYTES))
  const isResumed = reader.u8() === 1
  return { source, publicKey: undefined, run, isResumed, observed: takeObserved(reader) }
}

export function encodeRespondXx(
  source: number,
  publicKey: Uint8Array,
  run: Uint8Array,
  route: Route,
): Uint8Array {
  const writer = new Writer(4 + PEER_BYTES + RUN_BYTES + OBSERVED_BYTES)
  writer.u32(source).put(publicKey).put(run)
  return putObserved(writer, route)
}

export function decodeRespondXx(payload: Uint8Array): ResponderHello {
  const reader = new Reader(payload)
  const source = reader.u32()
  const publicKey = reader.take(PEER_BYTES).slice()
  const run = toHex(reader.take(RUN_BYTES))
  return { source, publicKey, run, isResumed: false, observed: takeObserved(reader) }
}

function putObserved(writer: Writer, route: Route): Uint8Array {
  if (route.kind === 'udp') writer.put(encodeAddress(route.endpoint))
  return writer.buffer
}

function takeObserved(reader: Reader): Address | undefined {
  const field = reader.take(OBSERVED_BYTES)
  const family = field[0] ?? 0
  if (family !== 4 && family !== 6) return undefined
  const address = decodeAddress(family === 4 ? field.subarray(0, 7) : field)
  return address === MALFORMED ? undefined : address
}

/**
 * Frames: what the plaintext of a sealed datagram holds (docs/spec/wire.md, "Frames"). Decides layout
 * and nothing else: what a frame means is the transport's or the session's business. Data fields of
 * decoded frames are views into the datagram.
 */
import { assert, MALFORMED, type Malformed } from '../errors.ts'
import { type Address, readAddress, writeAddress } from './address.ts'
import { Reader } from './reader.ts'
import type { Writer } from './writer.ts'

/** Longest plaintext: no path carries UDP payloads above an Ethernet frame's (RFC 8899 §5.1.2). */
export const PLAINTEXT_BYTES_MAX = 1500
/** A datagram of a few-byte messages holds about 170 frames: bounds the work one datagram asks for. */
export const FRAMES_MAX = 256
/** Ranges in one ACK. Older ones are left out: what they would say was said before. */
export const ACK_RANGES_MAX = 32
export const NONCE_BYTES = 8
export const PEER_PREFIX_BYTES = 8

/** Both ends inclusive. */
export interface NumberRange {
  readonly first: number
  readonly last: number
}

export interface AckFrame {
  readonly type: 'ack'
  readonly delayUs: number
  /** Highest first; never empty. */
  readonly ranges: readonly NumberRange[]
}
export interface StreamFrame {
  readonly type: 'stream'
  readonly stream: number
  readonly offset: number
  readonly data: Uint8Array
  /** `data` ends the stream. */
  readonly fin: boolean
}
export interface MessageFrame {
  readonly type: 'message'
  readonly message: number
  /** Bytes of the whole message. */
  readonly total: number
  readonly offset: number
  /** Never empty. */
  readonly data: Uint8Array
}

/** Frames that the transport understands. */
export type TransportFrame =
  | { readonly type: 'ping' }
  | AckFrame
  | { readonly type: 'maxData'; readonly bytes: number }
  | { readonly type: 'maxStream'; readonly stream: number; readonly bytes: number }
  | { readonly type: 'maxStreams'; readonly count: number }
  | {
      readonly type: 'resetStream'
      readonly stream: number
      readonly code: number
      readonly finalSize: number
    }
  | { readonly type: 'stopSending'; readonly stream: number; readonly code: number }
  | StreamFrame
  | MessageFrame
  | { readonly type: 'datagram'; readonly data: Uint8Array }

/** Why a relay did not pass a datagram on. */
export type RelayRefusal = 'unknown' | 'over-budget'

/** Frames that the transport carries for the session. */
export type SessionFrame =
  | { readonly type: 'close'; readonly code: number }
  | { readonly type: 'challenge'; readonly nonce: Uint8Array }
  | { readonly type: 'response'; readonly nonce: Uint8Array }
  | { readonly type: 'observed'; readonly address: Address }
  | { readonly type: 'relay'; readonly prefix: Uint8Array; readonly datagram: Uint8Array }
  | {
      readonly type: 'relayed'
      readonly prefix: Uint8Array
      readonly datagram: Uint8Array
      /** It reached the relay through another one. */
      readonly isChained: boolean
    }
  | { readonly type: 'relayRefused'; readonly prefix: Uint8Array; readonly why: RelayRefusal }

export type Frame = TransportFrame | SessionFrame

const PADDING = 0x00
const PING = 0x01
const ACK = 0x02
const CLOSE = 0x03
const CHALLENGE = 0x04
const RESPONSE = 0x05
const OBSERVED = 0x06
const MAX_DATA = 0x08
const MAX_STREAM = 0x09
const MAX_STREAMS = 0x0a
const RESET_STREAM = 0x0b
const STOP_SENDING = 0x0c
const STREAM = 0x10
const STREAM_OFFSET = 4
const STREAM_LENGTH = 2
const STREAM_FIN = 1
const MESSAGE = 0x20
const MESSAGE_LENGTH = 2
const MESSAGE_FRAGMENT = 1
const DATAGRAM = 0x24
const RELAY = 0x30
const RELAYED = 0x31
const RELAY_REFUSED = 0x32
const RELAYED_TWICE = 0x33
const REFUSALS: readonly RelayRefusal[] = ['unknown', 'over-budget']

const PING_FRAME: Frame = Object.freeze({ type: 'ping' })

/** Whether a frame asks the other side for an acknowledgement. */
export function isAckEliciting(frame: Frame): boolean {
  switch (frame.type) {
    case 'ack':
    case 'close':
    case 'relay':
    case 'relayed':
    case 'relayRefused':
      return false
    default:
      return true
  }
}

/** The frames of one plaintext, padding left out. */
export function decodeFrames(plaintext: Uint8Array): Frame[] | Malformed {
  if (plaintext.length === 0 || plaintext.length > PLAINTEXT_BYTES_MAX) return MALFORMED
  const reader = new Reader(plaintext)
  const frames: Frame[] = []
  while (reader.remaining > 0) {
    const type = reader.u8()
    if (type === PADDING) {
      if (reader.rest().some((byte) => byte !== 0)) return MALFORMED
      break
    }
    if (frames.length === FRAMES_MAX) return MALFORMED
    const frame = readFrame(reader, type)
    if (frame === MALFORMED || reader.failed) return MALFORMED
    frames.push(frame)
  }
  return frames
}

function readFrame(reader: Reader, type: number): Frame | Malformed {
  if (type >= STREAM && type < STREAM + 8) return readStream(reader, type)
  if (type >= MESSAGE && type < MESSAGE + 4) return readMessage(reader, type)
  switch (type) {
    case PING:
      return PING_FRAME
    case ACK:
      return readAck(reader)
    case MAX_DATA:
      return { type: 'maxData', bytes: reader.varint() }
    case MAX_STREAM:
      return { type: 'maxStream', stream: reader.varint(), bytes: reader.varint() }
    case MAX_STREAMS:
      return { type: 'maxStreams', count: reader.varint() }
    case RESET_STREAM:
      return {
        type: 'resetStream',
        stream: reader.varint(),
        code: reader.varint(),
        finalSize: reader.varint(),
      }
    case STOP_SENDING:
      return { type: 'stopSending', stream: reader.varint(), code: reader.varint() }
    case DATAGRAM:
      return { type: 'datagram', data: reader.block(PLAINTEXT_BYTES_MAX) }
    default:
      return readSessionFrame(reader, type)
  }
}

function readSessionFrame(reader: Reader, type: number): SessionFrame | Malformed {
  switch (type) {
    case CLOSE:
      return { type: 'close', code: reader.varint() }
    case CHALLENGE:
      return { type: 'challenge', nonce: reader.take(NONCE_BYTES) }
    case RESPONSE:
      return { type: 'response', nonce: reader.take(NONCE_BYTES) }
    case OBSERVED: {
      const address = readAddress(reader)
      return address === MALFORMED ? MALFORMED : { type: 'observed', address }
    }
    case RELAY:
      return { type: 'relay', prefix: reader.take(PEER_PREFIX_BYTES), datagram: reader.rest() }
    case RELAYED:
    case RELAYED_TWICE:
      return {
        type: 'relayed',
        prefix: reader.take(PEER_PREFIX_BYTES),
        datagram: reader.rest(),
        isChained: type === RELAYED_TWICE,
      }
    case RELAY_REFUSED:
      return readRelayRefused(reader)
    default:
      return MALFORMED
  }
}

function readRelayRefused(reader: Reader): SessionFrame | Malformed {
  const prefix = reader.take(PEER_PREFIX_BYTES)
  const why = REFUSALS[reader.u8()]
  return why === undefined ? MALFORMED : { type: 'relayRefused', prefix, why }
}

/** RFC 9000 §19.3.1: a gap of g leaves out g + 1 numbers, a length of n covers n + 1. */
function readAck(reader: Reader): AckFrame | Malformed {
  const largest = reader.varint()
  const delayUs = reader.varint()
  const count = reader.varint()
  if (count >= ACK_RANGES_MAX) return MALFORMED
  let last = largest
  let first = last - reader.varint()
  const ranges: NumberRange[] = [{ first, last }]
  for (let i = 0; i < count && first >= 0; i++) {
    last = first - reader.varint() - 2
    first = last - reader.varint()
    ranges.push({ first, last })
  }
  return first < 0 ? MALFORMED : { type: 'ack', delayUs, ranges }
}

function readStream(reader: Reader, type: number): StreamFrame | Malformed {
  const stream = reader.varint()
  const offset = type & STREAM_OFFSET ? reader.varint() : 0
  const data = type & STREAM_LENGTH ? reader.block(PLAINTEXT_BYTES_MAX) : reader.rest()
  if (offset > Number.MAX_SAFE_INTEGER - data.length) return MALFORMED
  return { type: 'stream', stream, offset, data, fin: (type & STREAM_FIN) !== 0 }
}

function readMessage(reader: Reader, type: number): MessageFrame | Malformed {
  const message = reader.varint()
  const isFragment = (type & MESSAGE_FRAGMENT) !== 0
  const total = isFragment ? reader.varint() : 0
  const offset = isFragment ? reader.varint() : 0
  const data = type & MESSAGE_LENGTH ? reader.block(PLAINTEXT_BYTES_MAX) : reader.rest()
  if (data.length === 0) return MALFORMED
  if (!isFragment) return { type: 'message', message, total: data.length, offset: 0, data }
  if (offset > total - data.length) return MALFORMED
  return { type: 'message', message, total, offset, data }
}

/**
 * Writes one frame. With `toEnd` the data of a STREAM or MESSAGE has no length and must be the last
 * in the datagram, as RELAY and both kinds of RELAYED always are.
 */
export function writeFrame(writer: Writer, frame: Frame, toEnd = false): void {
  switch (frame.type) {
    case 'ping':
      writer.u8(PING)
      return
    case 'ack':
      writeAck(writer, frame.delayUs, frame.ranges)
      return
    case 'maxData':
      writer.u8(MAX_DATA).varint(frame.bytes)
      return
    case 'maxStream':
      writer.u8(MAX_STREAM).varint(frame.stream).varint(frame.bytes)
      return
    case 'maxStreams':
      writer.u8(MAX_STREAMS).varint(frame.count)
      return
    case 'resetStream':
      writer.u8(RESET_STREAM).varint(frame.stream).varint(frame.code).varint(frame.finalSize)
      return
    case 'stopSending':
      writer.u8(STOP_SENDING).varint(frame.stream).varint(frame.code)
      return
    case 'stream':
      writeStreamHeader(
        writer,
        frame.stream,
        frame.offset,
        toEnd ? undefined : frame.data.length,
        frame.fin,
      )
      writer.put(frame.data)
      return
    case 'message':
      writeMessageHeader(
        writer,
        frame.message,
        frame.total === frame.data.length ? undefined : frame.total,
        frame.offset,
        toEnd ? undefined : frame.data.length,
      )
      writer.put(frame.data)
      return
    case 'datagram':
      writer.u8(DATAGRAM).block(frame.data)
      return
    default:
      writeSessionFrame(writer, frame)
  }
}

function writeSessionFrame(writer: Writer, frame: SessionFrame): void {
  switch (frame.type) {
    case 'close':
      writer.u8(CLOSE).varint(frame.code)
      return
    case 'challenge':
    case 'response':
      assert(frame.nonce.length === NONCE_BYTES, 'a challenge has 8 bytes')
      writer.u8(frame.type === 'challenge' ? CHALLENGE : RESPONSE).put(frame.nonce)
      return
    case 'observed':
      writer.u8(OBSERVED)
      writeAddress(writer, frame.address)
      return
    case 'relay':
      return writeRelay(writer, RELAY, frame)
    case 'relayed':
      return writeRelay(writer, frame.isChained ? RELAYED_TWICE : RELAYED, frame)
    case 'relayRefused':
      assert(frame.prefix.length === PEER_PREFIX_BYTES, 'a peer prefix has 8 bytes')
      writer.u8(RELAY_REFUSED).put(frame.prefix).u8(REFUSALS.indexOf(frame.why))
  }
}

function writeRelay(
  writer: Writer,
  type: number,
  { prefix, datagram }: { readonly prefix: Uint8Array; readonly datagram: Uint8Array },
): void {
  assert(prefix.length === PEER_PREFIX_BYTES, 'a peer prefix has 8 bytes')
  writer.u8(type).put(prefix).put(datagram)
}

/** Ranges highest first, disjoint and not adjacent. */
export function writeAck(writer: Writer, delayUs: number, ranges: readonly NumberRange[]): void {
  const [newest] = ranges
  assert(newest !== undefined && ranges.length <= ACK_RANGES_MAX, 'an ACK has 1 to 32 ranges')
  writer.u8(ACK).varint(newest.last).varint(delayUs)
  writer.varint(ranges.length - 1).varint(newest.last - newest.first)
  let previous = newest.first
  for (let i = 1; i < ranges.length; i++) {
    const range = ranges[i] ?? newest
    writer.varint(previous - range.last - 2).varint(range.last - range.first)
    previous = range.first
  }
}

/** What precedes a STREAM frame's data; no length means that the data ends the datagram. */
export function writeStreamHeader(
  writer: Writer,
  stream: number,
  offset: number,
  length: number | undefined,
  fin: boolean,
): void {
  const flags =
    (offset > 0 ? STREAM_OFFSET : 0) |
    (length === undefined ? 0 : STREAM_LENGTH) |
    (fin ? STREAM_FIN : 0)
  writer.u8(STREAM | flags).varint(stream)
  if (offset > 0) writer.varint(offset)
  if (length !== undefined) writer.varint(length)
}

/** What precedes a MESSAGE frame's data; `total` undefined means that the data is the whole message. */
export function writeMessageHeader(
  writer: Writer,
  message: number,
  total: number | undefined,
  offset: number,
  length: number | undefined,
): void {
  const flags =
    (length === undefined ? 0 : MESSAGE_LENGTH) | (total === undefined ? 0 : MESSAGE_FRAGMENT)
  writer.u8(MESSAGE | flags).varint(message)
  if (total !== undefined) writer.varint(total).varint(offset)
  if (length !== undefined) writer.varint(length)
}

import { MALFORMED, type Malformed } from '../errors.ts'
import { Writer } from './writer.ts'

/**
 * The datagrams that travel outside a session: handshakes, cookies and beacons
 * (docs/spec/wire.md, "Datagram"). This decides where each field lies; what the fields mean and
 * whether they are authentic is the handshake's business.
 */
export const PROTOCOL_VERSION = 1

/** RFC 8899 §5.1.2 asks for a base that every path carries; 1200 is also QUIC's (RFC 9000 §14). */
export const DATAGRAM_BYTES_MAX = 1200

const INITIATE_IK = 0xc0
const RESPOND_IK = 0xc1
const INITIATE_XX = 0xc2
const RESPOND_XX = 0xc3
const FINISH_XX = 0xc4
const COOKIE = 0xc5
const BEACON = 0xc8
const SEALED_BITS = 0xe0

const EPHEMERAL_BYTES = 32
const STATIC_BYTES = 48
export const MAC_BYTES = 16
export const COOKIE_BYTES = 16
export const CID_BYTES = 4
export const BEACON_NONCE_BYTES = 8

const INITIATE_IK_NOISE_BYTES = EPHEMERAL_BYTES + STATIC_BYTES + 64
const RESPOND_IK_NOISE_BYTES = EPHEMERAL_BYTES + 48
const RESPOND_XX_NOISE_BYTES = EPHEMERAL_BYTES + STATIC_BYTES + 79
const FINISH_XX_NOISE_BYTES = STATIC_BYTES + 56

const HEADER_BYTES = 1 + 1 + CID_BYTES
const INITIATE_IK_BYTES = HEADER_BYTES + INITIATE_IK_NOISE_BYTES + MAC_BYTES + COOKIE_BYTES
/** Above the size of `respondXx` (164), so that answering never amplifies; a guess at the margin. */
export const PADDED_BYTES = 192

export type HandshakeDatagram =
  | {
      readonly type: 'initiateIk'
      readonly source: number
      readonly noise: Uint8Array
      /** What the mac covers: every byte before it. */
      readonly covered: Uint8Array
      readonly mac: Uint8Array
      readonly cookie: Uint8Array
    }
  | {
      readonly type: 'initiateXx'
      readonly source: number
      readonly noise: Uint8Array
      readonly cookie: Uint8Array
    }
  | {
      readonly type: 'respondIk' | 'respondXx' | 'finishXx'
      readonly destination: number
      readonly noise: Uint8Array
    }
  | {
      readonly type: 'cookie'
      readonly destination: number
      readonly ephemeralPrefix: Uint8Array
      readonly cookie: Uint8Array
    }
  | { readonly type: 'beacon'; readonly nonce: Uint8Array }
  | { readonly type: 'version' }

/** Whether a datagram is the first of a handshake. */
export function isInitiation(datagram: Uint8Array): boolean {
  return datagram[0] === INITIATE_IK || datagram[0] === INITIATE_XX
}

export function isSealed(datagram: Uint8Array): boolean {
  return ((datagram[0] ?? 0) & SEALED_BITS) === SEALED_BITS
}

/** The connection id that a datagram of at least 5 bytes is meant for. */
export function destinationOf(datagram: Uint8Array): number {
  return readCid(datagram, 1)
}

/** Fields are views into `datagram`. */
export function decodeHandshake(datagram: Uint8Array): HandshakeDatagram | Malformed {
  switch (datagram[0]) {
    case INITIATE_IK:
    case INITIATE_XX:
    case BEACON:
      return decodeOpening(datagram)
    case RESPOND_IK:
      return decodeAnswer('respondIk', datagram, RESPOND_IK_NOISE_BYTES)
    case RESPOND_XX:
      return decodeAnswer('respondXx', datagram, RESPOND_XX_NOISE_BYTES)
    case FINISH_XX:
      return decodeAnswer('finishXx', datagram, FINISH_XX_NOISE_BYTES)
    case COOKIE:
      if (datagram.length !== 1 + CID_BYTES + 8 + COOKIE_BYTES) return MALFORMED
      return {
        type: 'cookie',
        destination: destinationOf(datagram),
        ephemeralPrefix: datagram.subarray(5, 13),
        cookie: datagram.subarray(13),
      }
    default:
      return MALFORMED
  }
}

/** `mac` gets the bytes it must cover. */
export function encodeInitiateIk(
  source: number,
  noise: Uint8Array,
  mac: (covered: Uint8Array) => Uint8Array,
  cookie: Uint8Array,
): Uint8Array {
  const writer = openingHeader(INITIATE_IK, source, INITIATE_IK_BYTES).put(noise)
  const covered = writer.done()
  return writer.put(mac(covered)).put(cookie).done()
}

export function encodeInitiateXx(
  source: number,
  noise: Uint8Array,
  cookie: Uint8Array,
): Uint8Array {
  return openingHeader(INITIATE_XX, source, PADDED_BYTES).put(noise).put(cookie).buffer
}

export function encodeRespondIk(destination: number, noise: Uint8Array): Uint8Array {
  return encodeAnswer(RESPOND_IK, destination, noise)
}

export function encodeRespondXx(destination: number, noise: Uint8Array): Uint8Array {
  return encodeAnswer(RESPOND_XX, destination, noise)
}

export function encodeFinishXx(destination: number, noise: Uint8Array): Uint8Array {
  return encodeAnswer(FINISH_XX, destination, noise)
}

export function encodeCookie(
  destination: number,
  ephemeral: Uint8Array,
  cookie: Uint8Array,
): Uint8Array {
  const writer = new Writer(1 + CID_BYTES + 8 + COOKIE_BYTES)
  return writer.u8(COOKIE).u32(destination).put(ephemeral.subarray(0, 8)).put(cookie).done()
}

export function encodeBeacon(nonce: Uint8Array): Uint8Array {
  return new Writer(PADDED_BYTES).u8(BEACON).u8(PROTOCOL_VERSION).put(nonce).buffer
}

/** Four bytes of a connection id, as `sealed` puts them on the wire. */
export function cidBytes(cid: number): Uint8Array {
  return new Writer(CID_BYTES).u32(cid).done()
}

/** A connection id from four random bytes. */
export function cidFrom(bytes: Uint8Array): number {
  return readCid(bytes, 0)
}

function decodeOpening(datagram: Uint8Array): HandshakeDatagram | Malformed {
  const expected = datagram[0] === INITIATE_IK ? INITIATE_IK_BYTES : PADDED_BYTES
  if (datagram.length < 2) return MALFORMED
  if (datagram[1] !== PROTOCOL_VERSION) return { type: 'version' }
  if (datagram.length !== expected) return MALFORMED
  if (datagram[0] === BEACON) {
    return { type: 'beacon', nonce: datagram.subarray(2, 2 + BEACON_NONCE_BYTES) }
  }
  const source = readCid(datagram, 2)
  if (datagram[0] === INITIATE_XX) {
    const end = HEADER_BYTES + EPHEMERAL_BYTES
    return {
      type: 'initiateXx',
      source,
      noise: datagram.subarray(HEADER_BYTES, end),
      cookie: datagram.subarray(end, end + COOKIE_BYTES),
    }
  }
  const end = HEADER_BYTES + INITIATE_IK_NOISE_BYTES
  return {
    type: 'initiateIk',
    source,
    noise: datagram.subarray(HEADER_BYTES, end),
    covered: datagram.subarray(0, end),
    mac: datagram.subarray(end, end + MAC_BYTES),
    cookie: datagram.subarray(end + MAC_BYTES),
  }
}

function decodeAnswer(
  type: 'respondIk' | 'respondXx' | 'finishXx',
  datagram: Uint8Array,
  noiseBytes: number,
): HandshakeDatagram | Malformed {
  if (datagram.length !== 1 + CID_BYTES + noiseBytes) return MALFORMED
  return {
    type,
    destination: destinationOf(datagram),
    noise: datagram.subarray(1 + CID_BYTES),
  }
}

function encodeAnswer(type: number, destination: number, noise: Uint8Array): Uint8Array {
  return new Writer(1 + CID_BYTES + noise.length).u8(type).u32(destination).put(noise).done()
}

function openingHeader(type: number, source: number, sizeBytes: number): Writer {
  return new Writer(sizeBytes).u8(type).u8(PROTOCOL_VERSION).u32(source)
}

function readCid(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] ?? 0) * 0x1000000 +
    (bytes[at + 1] ?? 0) * 0x10000 +
    (bytes[at + 2] ?? 0) * 0x100 +
    (bytes[at + 3] ?? 0)
  )
}

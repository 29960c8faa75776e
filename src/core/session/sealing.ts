import type { Crypto } from '../crypto.ts'
import { assert } from '../errors.ts'
import { ascii } from '../wire/bytes.ts'
import { expandNumber, type NumberLength } from './packet-number.ts'

export { type NumberLength, numberLength } from './packet-number.ts'

/** Sending keys are replaced after so many datagrams: far below what the cipher bears (RFC 9001 §6.6). */
export const REKEY_AFTER_DATAGRAMS = 2 ** 20
/** …or so long: REKEY_AFTER_TIME of WireGuard. */
export const REKEY_AFTER_MS = 120_000

const SEALED = 0xe0
const KIND_MASK = 0xf4
const PHASE_BIT = 0x08
const LENGTH_MASK = 0x03
const DESTINATION_BYTES = 4
const TAG_BYTES = 16
const HEADER_BYTES_MIN = 1 + DESTINATION_BYTES + 1
/** Bytes that sealing adds to frames, at most. */
export const SEALING_BYTES_MAX = 1 + DESTINATION_BYTES + 4 + TAG_BYTES

const UPDATE_LABEL = ascii('latica key update')

export interface Opened {
  readonly number: number
  readonly frames: Uint8Array
}

/**
 * The keys of one handshake: seals datagrams one way, opens those of the other, and replaces keys
 * under way (after RFC 9001 §6, each direction by its sender's choice alone). It knows no clock and
 * no replay: the session decides when to update and which numbers count.
 */
export class SealedKeys {
  readonly #crypto: Crypto
  readonly #send: SendingKey
  readonly #receive: ReceivingKeys
  readonly #nonce = new Uint8Array(12)

  constructor(crypto: Crypto, sendKey: Uint8Array, receiveKey: Uint8Array) {
    this.#crypto = crypto
    this.#send = { key: sendKey, phase: 0, first: undefined, last: -1, isAcknowledged: false }
    this.#receive = {
      current: receiveKey,
      previous: undefined,
      next: undefined,
      phase: 0,
      first: 0,
    }
  }

  /** A whole datagram. Numbers rise: with one used twice, both plaintexts would be lost. */
  seal(
    destination: Uint8Array,
    number: number,
    numberBytes: NumberLength,
    frames: Uint8Array,
  ): Uint8Array {
    const send = this.#send
    assert(destination.length === DESTINATION_BYTES, 'a connection id is 4 bytes')
    assert(number > send.last && Number.isSafeInteger(number), 'packet numbers rise')
    send.last = number
    send.first ??= number
    const header = new Uint8Array(1 + DESTINATION_BYTES + numberBytes)
    header[0] = SEALED | (send.phase === 1 ? PHASE_BIT : 0) | (numberBytes - 1)
    header.set(destination, 1)
    for (let i = 0; i < numberBytes; i++) header[header.length - 1 - i] = number >>> (8 * i)
    return this.#crypto.sealAfter(send.key, this.#nonceOf(number), frames, header)
  }

  /**
   * The frames of a datagram, as a copy, and its whole number, guessed from the highest one received
   * (−1: none). Undefined for any bytes that the remote did not seal. One key is tried, never more:
   * the phase bit and the number say which.
   */
  open(datagram: Uint8Array, highestReceived: number): Opened | undefined {
    const first = datagram[0] ?? 0
    if ((first & KIND_MASK) !== SEALED) return undefined
    const length = ((first & LENGTH_MASK) + 1) as NumberLength
    const headerBytes = HEADER_BYTES_MIN - 1 + length
    if (datagram.length < headerBytes + TAG_BYTES) return undefined
    let truncated = 0
    for (let at = HEADER_BYTES_MIN - 1; at < headerBytes; at++)
      truncated = truncated * 0x100 + (datagram[at] ?? 0)
    const number = expandNumber(truncated, length, highestReceived)
    if (number === undefined) return undefined
    const receive = this.#receive
    const isCurrent = receive.phase === ((first & PHASE_BIT) === 0 ? 0 : 1)
    const isLate = !isCurrent && number < receive.first
    const key = isCurrent ? receive.current : isLate ? receive.previous : this.#nextReceiveKey()
    if (key === undefined) return undefined
    const header = datagram.subarray(0, headerBytes)
    const frames = this.#crypto.open(
      key,
      this.#nonceOf(number),
      datagram.subarray(headerBytes),
      header,
    )
    if (frames === undefined) return undefined
    if (!isCurrent && !isLate) this.#advance(key, number)
    return { number, frames }
  }

  /** The remote acknowledged `number`, so it has the key of that datagram's phase. */
  acknowledged(number: number): void {
    const { first } = this.#send
    if (first !== undefined && number >= first) this.#send.isAcknowledged = true
  }

  /**
   * Seals from the next datagram on with the next key. False, and nothing done, until a datagram of
   * the present phase is acknowledged: the remote could not follow two steps (RFC 9001 §6.1).
   */
  startUpdate(): boolean {
    const send = this.#send
    if (!send.isAcknowledged) return false
    send.key = nextKey(this.#crypto, send.key)
    send.phase = send.phase === 0 ? 1 : 0
    send.first = undefined
    send.isAcknowledged = false
    return true
  }

  #nextReceiveKey(): Uint8Array {
    this.#receive.next ??= nextKey(this.#crypto, this.#receive.current)
    return this.#receive.next
  }

  #advance(key: Uint8Array, number: number): void {
    const receive = this.#receive
    receive.previous = receive.current
    receive.current = key
    receive.next = undefined
    receive.phase = receive.phase === 0 ? 1 : 0
    receive.first = number
  }

  /** In one buffer for all: no provider keeps its arguments. */
  #nonceOf(number: number): Uint8Array {
    const nonce = this.#nonce
    const high = Math.floor(number / 2 ** 32)
    for (let i = 0; i < 4; i++) {
      nonce[4 + i] = number >>> (8 * i)
      nonce[8 + i] = high >>> (8 * i)
    }
    return nonce
  }
}

interface SendingKey {
  key: Uint8Array
  phase: 0 | 1
  /** The first number sealed in this phase. */
  first: number | undefined
  last: number
  isAcknowledged: boolean
}

interface ReceivingKeys {
  current: Uint8Array
  /** For datagrams of the phase before that come late. */
  previous: Uint8Array | undefined
  next: Uint8Array | undefined
  phase: 0 | 1
  /** The number that began this phase here; the sender's own first one is not above it. */
  first: number
}

function nextKey(crypto: Crypto, key: Uint8Array): Uint8Array {
  return crypto.hash(32, [UPDATE_LABEL], key)
}

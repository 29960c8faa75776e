import { MALFORMED, type Malformed } from '../errors.ts'
import type { PeerId } from '../io.ts'
import { concat, fromHex, toHex } from '../wire/bytes.ts'
import { Reader } from '../wire/reader.ts'

/** The messages by which neighbours tell whom they know (docs/spec/wire.md). Layout only. */
export const KIND_PEERS = 0x01
export const KIND_NEWCOMERS = 0x07
export const KIND_NEAR = 0x08
/** Kinds from here on belong to subclusters. */
export const KIND_SUBCLUSTER_MIN = 0x10

export const PEERS_PER_MESSAGE_MAX = 256
const PEER_BYTES = 32

/** The first bytes of an id or location: they say where to look. */
const PLACE_BYTES = 8

/**
 * `peers`: whom the sender knew when the session began; the receiver is the newcomer among them.
 * `newcomers`: who came since; they were told of the receiver.
 */
export interface TellMessage {
  readonly type: 'peers' | 'newcomers'
  readonly peers: readonly PeerId[]
}

/** Asks whom the receiver has sessions with near a place, in hex: answered by `peers`. */
export interface NearMessage {
  readonly type: 'near'
  readonly place: string
}

export type OverlayMessage = TellMessage | NearMessage

export function encodeOverlayMessage(message: OverlayMessage): Uint8Array {
  if (message.type === 'near') {
    const place = fromHex(message.place.slice(0, 2 * PLACE_BYTES)) ?? new Uint8Array()
    return concat(Uint8Array.of(KIND_NEAR), place)
  }
  return concat(
    Uint8Array.of(message.type === 'peers' ? KIND_PEERS : KIND_NEWCOMERS),
    ...message.peers.map((peer) => fromHex(peer) ?? new Uint8Array()),
  )
}

export function decodeOverlayMessage(payload: Uint8Array): OverlayMessage | Malformed {
  const reader = new Reader(payload)
  const kind = reader.u8()
  if (kind === KIND_NEAR) {
    return reader.end({ type: 'near', place: toHex(reader.take(PLACE_BYTES)) })
  }
  if (kind !== KIND_PEERS && kind !== KIND_NEWCOMERS) return MALFORMED
  if (reader.remaining > PEERS_PER_MESSAGE_MAX * PEER_BYTES) return MALFORMED
  const peers: PeerId[] = []
  while (reader.remaining >= PEER_BYTES) peers.push(toHex(reader.take(PEER_BYTES)) as PeerId)
  return reader.end({ type: kind === KIND_PEERS ? 'peers' : 'newcomers', peers })
}

import { MALFORMED, type Malformed } from '../errors.ts'
import type { LocalAddress, PeerId } from '../io.ts'
import { encodeAddress, readAddress } from '../wire/address.ts'
import { concat, fromHex, toHex } from '../wire/bytes.ts'
import { Reader } from '../wire/reader.ts'

/** The messages by which neighbours tell whom they know and where they are (docs/spec/wire.md). */
export const KIND_PEERS = 0x01
export const KIND_CANDIDATES = 0x02
/** Kinds from here on belong to subclusters. */
export const KIND_SUBCLUSTER_MIN = 0x10

export const PEERS_PER_MESSAGE_MAX = 256
export const CANDIDATES_PER_MESSAGE_MAX = 8
const PEER_BYTES = 32

export type OverlayMessage =
  | { readonly type: 'peers'; readonly peers: readonly PeerId[] }
  | { readonly type: 'candidates'; readonly addresses: readonly LocalAddress[] }

export function encodePeers(peers: readonly PeerId[]): Uint8Array {
  return concat(
    Uint8Array.of(KIND_PEERS),
    ...peers.map((peer) => fromHex(peer) ?? new Uint8Array()),
  )
}

export function encodeCandidates(addresses: readonly LocalAddress[]): Uint8Array {
  return concat(Uint8Array.of(KIND_CANDIDATES), ...addresses.map(encodeAddress))
}

export function decodeOverlayMessage(payload: Uint8Array): OverlayMessage | Malformed {
  const reader = new Reader(payload)
  const kind = reader.u8()
  if (kind === KIND_PEERS) {
    if (reader.remaining > PEERS_PER_MESSAGE_MAX * PEER_BYTES) return MALFORMED
    const peers: PeerId[] = []
    while (reader.remaining >= PEER_BYTES) peers.push(toHex(reader.take(PEER_BYTES)) as PeerId)
    return reader.end({ type: 'peers', peers })
  }
  if (kind !== KIND_CANDIDATES) return MALFORMED
  const addresses: LocalAddress[] = []
  while (reader.remaining > 0) {
    const address = readAddress(reader)
    if (address === MALFORMED || addresses.length === CANDIDATES_PER_MESSAGE_MAX) return MALFORMED
    addresses.push(address)
  }
  return reader.end({ type: 'candidates', addresses })
}

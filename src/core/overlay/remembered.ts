import { MALFORMED, type Malformed } from '../errors.ts'
import type { LocalAddress, PeerId, UnixMs } from '../io.ts'
import { encodeAddress, readAddress } from '../wire/address.ts'
import { concat } from '../wire/bytes.ts'
import { Reader } from '../wire/reader.ts'
import { Writer } from '../wire/writer.ts'
import { ADDRESSES_MAX } from './known-peers.ts'

/** What a peer stores of the peers it met, so that its next run finds the network without help. */
export const REMEMBERED_PREFIX = 'remembered/'
export const REMEMBERED_MAX = 256
const RECORD_VERSION = 1

export interface Remembered {
  readonly seenAt: UnixMs
  readonly addresses: readonly LocalAddress[]
}

/** Which peers are stored: the latest that were met. */
export class RememberedPeers {
  /** When each was met, the oldest first. */
  readonly #seen = new Map<PeerId, UnixMs>()
  readonly #store: (key: string, value: Uint8Array | undefined) => void

  constructor(store: (key: string, value: Uint8Array | undefined) => void) {
    this.#store = store
  }

  loaded(peer: PeerId, seenAt: UnixMs): void {
    this.#seen.set(peer, seenAt)
  }

  met(peer: PeerId, addresses: readonly LocalAddress[], wall: UnixMs): void {
    this.#seen.delete(peer)
    this.#seen.set(peer, wall)
    this.#store(rememberedKey(peer), encodeRemembered({ seenAt: wall, addresses }))
    if (this.#seen.size <= REMEMBERED_MAX) return
    const oldest = this.#seen.keys().next().value
    if (oldest === undefined) return
    this.#seen.delete(oldest)
    this.#store(rememberedKey(oldest), undefined)
  }
}

export function rememberedKey(peer: PeerId): string {
  return REMEMBERED_PREFIX + peer
}

export function encodeRemembered(remembered: Remembered): Uint8Array {
  const head = new Writer(10).u8(RECORD_VERSION).varint(Math.max(0, remembered.seenAt))
  return concat(head.done(), ...remembered.addresses.slice(0, ADDRESSES_MAX).map(encodeAddress))
}

export function decodeRemembered(value: Uint8Array): Remembered | Malformed {
  const reader = new Reader(value)
  if (reader.u8() !== RECORD_VERSION) return MALFORMED
  const seenAt = reader.varint() as UnixMs
  const addresses: LocalAddress[] = []
  while (reader.remaining > 0 && addresses.length < ADDRESSES_MAX) {
    const address = readAddress(reader)
    if (address === MALFORMED) return MALFORMED
    addresses.push(address)
  }
  return reader.end({ seenAt, addresses })
}

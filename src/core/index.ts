/**
 * The protocol, whole and pure: `createPeer` makes a state machine that a driver feeds. This folder
 * imports nothing from outside itself and touches nothing of its host. Reading order: `io.ts` (what
 * enters and leaves), `peer.ts` (who gets it), then the layers by name: `wire`, `session`,
 * `transport`, `nat`, `overlay`, `replication`, `groups`.
 */
import type { PeerConfig } from './config.ts'
import type { Core, Instant, UnixMs } from './io.ts'
import { Peer } from './peer.ts'

export type { Bootstrap, PeerConfig } from './config.ts'
export type { Crypto, KeyPair, Random } from './crypto.ts'
export * from './io.ts'

/** A peer that has done nothing yet but ask for its stored records. Drain it, then feed it. */
export function createPeer(config: PeerConfig, now: Instant, wall: UnixMs): Core {
  return new Peer(config, now, wall)
}

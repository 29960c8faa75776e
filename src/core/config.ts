import type { Crypto, KeyPair, Random } from './crypto.ts'
import type { LocalAddress, PeerId } from './io.ts'

/** A peer to meet first. `peer` undefined: only the address is known, the identity is learned. */
export interface Bootstrap {
  readonly peer: PeerId | undefined
  readonly addresses: readonly LocalAddress[]
}

/** Everything a peer is made of. It reads nothing else from its surroundings. */
export interface PeerConfig {
  readonly crypto: Crypto
  readonly random: Random
  /** The identity: an Ed25519 key pair. */
  readonly identity: KeyPair
  /** 32 bytes that name the app. */
  readonly clusterId: Uint8Array
  readonly bootstrap: readonly Bootstrap[]
  /** Send and answer beacons on the local network. */
  readonly lan: boolean
  /** Carry datagrams between peers that cannot reach each other yet. */
  readonly relay: boolean
  /** What is kept for strangers, in bytes. */
  readonly cacheBytes: number
}

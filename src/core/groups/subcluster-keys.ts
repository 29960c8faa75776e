import { BoundedMap } from '../collections/bounded-map.ts'
import type { Crypto } from '../crypto.ts'
import type { PacketKeys } from '../replication/packet-seal.ts'
import { ascii } from '../wire/bytes.ts'

/**
 * What a subcluster's shared key gives: one set of packet keys a day, and the key that proves
 * membership. A day's secret is the hash of the day before's, so that who keeps only today's secret
 * cannot find yesterday's. Derives and caches; decides nothing about time. Spec: docs/spec/groups.md.
 */

/** 2026-01-01 in days since 1970; earlier days share its keys. */
export const ORIGIN_DAY = 20454
export const EPOCH_S = 86_400
/** A packet's reach (7.5 days back, 0.5 ahead) touches at most ten days. */
const EPOCHS_KEPT_MAX = 12

const ORIGIN_LABEL = ascii('latica epoch origin')
const NEXT_LABEL = ascii('latica epoch next')
const SEAL_LABEL = ascii('latica epoch seal')
const TAG_LABEL = ascii('latica epoch tag')
const JOIN_LABEL = ascii('latica join key')

export interface EpochKeys extends PacketKeys {
  /** Days since the origin. */
  readonly epoch: number
}

interface Epoch {
  readonly secret: Uint8Array
  readonly keys: EpochKeys
}

export class SubclusterKeys {
  /** Proves membership within sessions; the same in every epoch. */
  readonly joinKey: Uint8Array
  readonly #crypto: Crypto
  readonly #origin: Uint8Array
  readonly #epochs = new BoundedMap<number, Epoch>(EPOCHS_KEPT_MAX)

  constructor(crypto: Crypto, sharedKey: Uint8Array, clusterId: Uint8Array) {
    this.#crypto = crypto
    this.#origin = crypto.hash(32, [ORIGIN_LABEL, clusterId], sharedKey)
    this.joinKey = crypto.hash(32, [JOIN_LABEL, clusterId], sharedKey)
  }

  get cachedEpochs(): number {
    return this.#epochs.size
  }

  /** Keys for a packet created at that second: one hash for each day from the nearest one cached. */
  at(createdS: number): EpochKeys {
    const number = epochOf(createdS)
    const cached = this.#epochs.get(number)
    if (cached !== undefined) return cached.keys
    let from = 0
    let secret = this.#origin
    for (const [epoch, { secret: known }] of this.#epochs)
      if (epoch < number && epoch >= from) {
        from = epoch
        secret = known
      }
    for (let epoch = from; epoch < number; epoch++)
      secret = this.#crypto.hash(32, [NEXT_LABEL], secret)
    const keys = this.#derive(number, secret)
    this.#epochs.set(number, { secret, keys })
    return keys
  }

  #derive(epoch: number, secret: Uint8Array): EpochKeys {
    const tag = this.#crypto.signingKeyPair(this.#crypto.hash(32, [TAG_LABEL], secret))
    return { epoch, tag, sealKey: this.#crypto.hash(32, [SEAL_LABEL], secret) }
  }
}

export function epochOf(createdS: number): number {
  return Math.max(0, Math.floor(createdS / EPOCH_S) - ORIGIN_DAY)
}

import { BoundedMap } from '../collections/bounded-map.ts'
import type { Crypto } from '../crypto.ts'
import { assert } from '../errors.ts'
import type { PacketKeys } from '../replication/packet-seal.ts'
import { ascii } from '../wire/bytes.ts'
import { Reader } from '../wire/reader.ts'
import { Writer } from '../wire/writer.ts'

/**
 * What a subcluster's shared key gives: one set of packet keys a day, and the key that proves
 * membership. A day's secret is the hash of the day before's, so that who keeps only today's secret
 * cannot find yesterday's: `export` hands out a later beginning, `forget` moves our own. Derives and
 * caches; decides nothing about time. Spec: docs/spec/groups.md.
 */

/** 2026-01-01 in days since 1970; earlier days share its keys. */
export const ORIGIN_DAY = 20454
export const EPOCH_S = 86_400
export const SHARED_KEY_BYTES = 32
/** Version, day, the day's secret, join key. */
export const EXPORTED_KEY_BYTES = 1 + 4 + 32 + 32
/** A packet's reach (7.5 days back, 0.5 ahead) touches at most ten days. */
const EPOCHS_KEPT_MAX = 12
/** An exported key may begin this far ahead of 2026: a hash a day. Guess: a hundred years. */
const EPOCH_MAX = 36_500
const EXPORT_VERSION = 1

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
  /** The earliest day that can still be opened, and its secret. */
  #first: { readonly epoch: number; readonly secret: Uint8Array }
  #epochs = new BoundedMap<number, Epoch>(EPOCHS_KEPT_MAX)

  /** `key`: a shared key, or one that was exported (see `isSubclusterKey`). */
  constructor(crypto: Crypto, key: Uint8Array, clusterId: Uint8Array) {
    this.#crypto = crypto
    if (key.length === SHARED_KEY_BYTES) {
      this.#first = { epoch: 0, secret: crypto.hash(32, [ORIGIN_LABEL, clusterId], key) }
      this.joinKey = crypto.hash(32, [JOIN_LABEL, clusterId], key)
      return
    }
    assert(isSubclusterKey(key), 'a key is a shared or an exported one')
    const reader = new Reader(key.subarray(1).slice())
    this.#first = { epoch: reader.u32(), secret: reader.take(32) }
    this.joinKey = reader.take(32)
  }

  get cachedEpochs(): number {
    return this.#epochs.size
  }

  /** The first second that its keys open. */
  get firstS(): number {
    return this.#first.epoch === 0 ? 0 : (ORIGIN_DAY + this.#first.epoch) * EPOCH_S
  }

  /**
   * Keys for a packet created at that second: one hash for each day from the nearest one cached.
   * Undefined when that day was forgotten.
   */
  at(createdS: number): EpochKeys | undefined {
    const number = epochOf(createdS)
    if (number < this.#first.epoch) return undefined
    const cached = this.#epochs.get(number)
    if (cached !== undefined) return cached.keys
    const secret = this.#secretOf(number)
    const keys = this.#derive(number, secret)
    this.#epochs.set(number, { secret, keys })
    return keys
  }

  /** A key that opens that second's day and all later ones; undefined when that day was forgotten. */
  export(createdS: number): Uint8Array | undefined {
    const epoch = epochOf(createdS)
    if (epoch < this.#first.epoch) return undefined
    const writer = new Writer(EXPORTED_KEY_BYTES).u8(EXPORT_VERSION).u32(epoch)
    return writer.put(this.#secretOf(epoch)).put(this.joinKey).done()
  }

  /** Opens nothing any more that was created on a day before that of this second. */
  forget(beforeS: number): void {
    const epoch = epochOf(beforeS)
    if (epoch <= this.#first.epoch) return
    this.#first = { epoch, secret: this.#secretOf(epoch) }
    this.#epochs = new BoundedMap(EPOCHS_KEPT_MAX)
  }

  #secretOf(number: number): Uint8Array {
    let { epoch: from, secret } = this.#first
    for (const [epoch, { secret: known }] of this.#epochs)
      if (epoch <= number && epoch >= from) {
        from = epoch
        secret = known
      }
    for (let epoch = from; epoch < number; epoch++)
      secret = this.#crypto.hash(32, [NEXT_LABEL], secret)
    return secret
  }

  #derive(epoch: number, secret: Uint8Array): EpochKeys {
    const tag = this.#crypto.signingKeyPair(this.#crypto.hash(32, [TAG_LABEL], secret))
    return { epoch, tag, sealKey: this.#crypto.hash(32, [SEAL_LABEL], secret) }
  }
}

/** Whether these bytes are a shared key, or a key that `export` made. */
export function isSubclusterKey(key: Uint8Array): boolean {
  if (key.length === SHARED_KEY_BYTES) return true
  if (key.length !== EXPORTED_KEY_BYTES || key[0] !== EXPORT_VERSION) return false
  return new Reader(key.subarray(1)).u32() <= EPOCH_MAX
}

export function epochOf(createdS: number): number {
  return Math.max(0, Math.floor(createdS / EPOCH_S) - ORIGIN_DAY)
}

import { assert } from '../errors.ts'
import type { Instant } from '../io.ts'
import { cidBytes } from '../wire/datagram.ts'
import type { Established } from './handshakes.ts'
import {
  type NumberLength,
  numberLength,
  REKEY_AFTER_DATAGRAMS,
  REKEY_AFTER_MS,
  type SealedKeys,
} from './sealing.ts'

/**
 * The keys of one session: those of its last handshake, by which it sends, and for a while those of
 * the handshakes before, under which late datagrams may still come. It decides when keys are renewed.
 */
interface Generation {
  readonly keys: SealedKeys
  readonly localCid: number
  readonly destination: Uint8Array
  readonly madeAt: Instant
  datagramsSent: number
  updatedAt: Instant
}

/** Datagrams under earlier keys are accepted this long. */
const OLD_KEYS_MS = 30_000
/** The last handshake, and two that crossed each other before it. */
const GENERATIONS_MAX = 3

export class KeyRing {
  #generations: readonly Generation[] = []

  /** Our connection ids, by which datagrams find the session. */
  get cids(): number[] {
    return this.#generations.map((generation) => generation.localCid)
  }

  add(established: Established, now: Instant): void {
    const generation: Generation = {
      keys: established.keys,
      localCid: established.localCid,
      destination: cidBytes(established.remoteCid),
      madeAt: now,
      datagramsSent: 0,
      updatedAt: now,
    }
    this.#generations = [generation, ...this.#generations.slice(0, GENERATIONS_MAX - 1)]
  }

  open(cid: number, datagram: Uint8Array, highestReceived: number) {
    for (const { localCid, keys } of this.#generations)
      if (localCid === cid) return keys.open(datagram, highestReceived)
    return undefined
  }

  /** `numberBytes`: how many of the number to send at least. */
  seal(
    number: number,
    largestAcked: number,
    frames: Uint8Array,
    now: Instant,
    numberBytes: NumberLength,
  ): Uint8Array {
    const generation = this.#generations[0]
    assert(generation !== undefined, 'a session has keys')
    this.#renew(generation, largestAcked, now)
    generation.datagramsSent++
    const { keys, destination } = generation
    const needed = numberLength(number, largestAcked)
    return keys.seal(destination, number, needed > numberBytes ? needed : numberBytes, frames)
  }

  #renew(generation: Generation, largestAcked: number, now: Instant): void {
    generation.keys.acknowledged(largestAcked)
    const isDue =
      generation.datagramsSent >= REKEY_AFTER_DATAGRAMS ||
      now - generation.updatedAt >= REKEY_AFTER_MS
    if (isDue && generation.keys.startUpdate()) {
      generation.datagramsSent = 0
      generation.updatedAt = now
    }
    if (this.#generations.length > 1 && now - generation.madeAt > OLD_KEYS_MS) {
      this.#generations = [generation]
    }
  }
}

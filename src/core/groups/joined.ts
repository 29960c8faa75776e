import type { Crypto } from '../crypto.ts'
import { UsageError } from '../errors.ts'
import type { Command, Handle, PeerEvent, UnixMs } from '../io.ts'
import type { Moment, Replication } from '../replication/replication.ts'
import { toHex } from '../wire/bytes.ts'
import { isReserved, subclusterKey } from './names.ts'
import { isSubclusterKey, SubclusterKeys } from './subcluster-keys.ts'

/**
 * The subclusters that we are in, their keys, and what was published in them before: checks what a
 * caller joins, hands out and forgets keys, and reads the kept packets.
 */

/** Packets of a page of history. */
export const HISTORY_PAGE_MAX = 1024

type CommandOf<T extends Command['type']> = Extract<Command, { type: T }>

export interface JoinedConfig {
  readonly crypto: Crypto
  readonly clusterId: Uint8Array
  readonly replication: Replication
  readonly emit: (event: PeerEvent) => void
}

export class Joined {
  readonly #config: JoinedConfig
  readonly #keys = new Map<Handle, SubclusterKeys>()

  constructor(config: JoinedConfig) {
    this.#config = config
  }

  has(handle: Handle): boolean {
    return this.#keys.has(handle)
  }

  /** Throws `UsageError` for what is no key, or is joined already. */
  join({ subcluster: handle, sharedKey, order }: CommandOf<'join'>, at: Moment): SubclusterKeys {
    if (!isSubclusterKey(sharedKey)) {
      const expected = '32 bytes, or a key that was exported'
      throw new UsageError('EKEY', 'sharedKey', expected, `${sharedKey.length} bytes`)
    }
    const { crypto, clusterId, replication } = this.#config
    const keys = new SubclusterKeys(crypto, sharedKey, clusterId)
    const name = toHex(keys.joinKey)
    for (const [other, { joinKey }] of this.#keys) {
      if (other === handle)
        throw new UsageError('EHANDLE', 'subcluster', 'an unused handle', `${handle}, in use`)
      if (toHex(joinKey) === name)
        throw new UsageError('EJOINED', 'sharedKey', 'a key not joined yet', `that of ${other}`)
    }
    this.#keys.set(handle, keys)
    replication.subscribe(subclusterKey(handle), keys, order, at)
    return keys
  }

  /** False: it was not joined. */
  leave(handle: Handle): boolean {
    if (!this.#keys.delete(handle)) return false
    this.#config.replication.unsubscribe(subclusterKey(handle))
    return true
  }

  history(command: CommandOf<'history'>): void {
    const { limit } = command
    if (!(Number.isInteger(limit) && limit >= 1 && limit <= HISTORY_PAGE_MAX))
      throw new UsageError('ELIMIT', 'limit', `1 to ${HISTORY_PAGE_MAX}`, `${limit}`)
    this.#config.replication.whenLoaded(() => this.#read(command))
  }

  #read({ operation, subcluster, since, after, limit }: CommandOf<'history'>): void {
    const { replication, emit } = this.#config
    const page = replication.history(subclusterKey(subcluster), since, after, limit)
    if (page === undefined) return emit({ type: 'failed', operation, code: 'ECLOSED' })
    const packets = page.arrivals
      .filter(({ event }) => !isReserved(event))
      .map(({ info, event, value }) => ({ packet: { ...info, gap: false }, event, value }))
    emit({ type: 'history', operation, packets, isLast: page.isLast })
  }

  exportKey({ operation, subcluster, since }: CommandOf<'exportKey'>): void {
    const { emit } = this.#config
    const keys = this.#keys.get(subcluster)
    if (keys === undefined) return emit({ type: 'failed', operation, code: 'ECLOSED' })
    const key = keys.export(since / 1000)
    if (key === undefined) return emit({ type: 'failed', operation, code: 'EFORGOTTEN' })
    emit({ type: 'key', operation, key })
  }

  forget({ operation, subcluster, before }: CommandOf<'forget'>, wall: UnixMs): void {
    const { emit, replication } = this.#config
    const keys = this.#keys.get(subcluster)
    if (keys === undefined) return emit({ type: 'failed', operation, code: 'ECLOSED' })
    // A day that has not begun cannot be forgotten: we could not write today.
    keys.forget(Math.min(before, wall) / 1000)
    replication.whenLoaded(() => {
      replication.forget(subclusterKey(subcluster), wall)
      emit({ type: 'done', operation, packet: undefined })
    })
  }
}

import { BoundedMap } from '../collections/bounded-map.ts'
import type { Crypto } from '../crypto.ts'
import type { Handle, PeerId, StoredRecord } from '../io.ts'
import { ascii, toHex } from '../wire/bytes.ts'
import type { SubclusterKeys } from './subcluster-keys.ts'

/**
 * The members of each subcluster that we have ever met or read, here and in earlier runs: whoever
 * may write to us while we are away. Keeps who they are, on disk too; decides nothing about them.
 */
export const CONTACTS_PREFIX = 'contact/'
/** Guess: a large group. The one heard of longest ago is forgotten. */
export const CONTACTS_MAX = 256
const RECORD = Uint8Array.of(1)
const NAME_LABEL = ascii('latica contacts')

export class Contacts {
  readonly #crypto: Crypto
  readonly #store: (key: string, value: Uint8Array | undefined) => void
  readonly #books = new Map<
    Handle,
    { readonly prefix: string; readonly peers: BoundedMap<PeerId, true> }
  >()

  constructor(crypto: Crypto, store: (key: string, value: Uint8Array | undefined) => void) {
    this.#crypto = crypto
    this.#store = store
  }

  /** Returns the prefix of what is to be loaded. */
  joined(subcluster: Handle, keys: SubclusterKeys): string {
    const name = toHex(this.#crypto.hash(16, [NAME_LABEL], keys.joinKey))
    const prefix = `${CONTACTS_PREFIX}${name}/`
    this.#books.set(subcluster, { prefix, peers: new BoundedMap(CONTACTS_MAX) })
    return prefix
  }

  left(subcluster: Handle): void {
    this.#books.delete(subcluster)
  }

  of(subcluster: Handle): PeerId[] {
    return [...(this.#books.get(subcluster)?.peers.keys() ?? [])]
  }

  has(subcluster: Handle, peer: PeerId): boolean {
    return this.#books.get(subcluster)?.peers.has(peer) === true
  }

  /** Returns who had to be forgotten for it; undefined if nobody. */
  add(subcluster: Handle, peer: PeerId): PeerId | undefined {
    const book = this.#books.get(subcluster)
    if (book === undefined || book.peers.has(peer)) return undefined
    this.#store(book.prefix + peer, RECORD)
    const dropped = book.peers.set(peer, true)?.key
    if (dropped !== undefined) this.#store(book.prefix + dropped, undefined)
    return dropped
  }

  /** The peers that the records name, and of which subcluster. */
  loaded(
    prefix: string,
    records: readonly StoredRecord[],
  ): { readonly subcluster: Handle; readonly peers: readonly PeerId[] } | undefined {
    for (const [subcluster, book] of this.#books) {
      if (book.prefix !== prefix) continue
      const names = records.map(({ key }) => key.slice(prefix.length))
      return { subcluster, peers: names.filter(isPeerId) }
    }
    return undefined
  }
}

function isPeerId(text: string): text is PeerId {
  return /^[0-9a-f]{64}$/.test(text)
}

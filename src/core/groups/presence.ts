import type { Handle, PeerEvent } from '../io.ts'
import { encodePresence } from './member-wire.ts'
import type { Membership } from './membership.ts'

/**
 * The value each member shows the others. One message at a time is under way to each, and the next one
 * carries the latest value: so none overtakes another, and a fast changer costs no queue.
 */

/** Guess: a name, a cursor, a picture's hash; not the picture. */
export const PRESENCE_BYTES_MAX = 16 * 1024

interface Sending {
  isUnderWay: boolean
  isStale: boolean
}

export class Presence {
  readonly #emit: (event: PeerEvent) => void
  readonly #own = new Map<Handle, Uint8Array>()
  readonly #sendings = new Map<Membership, Sending>()
  /** What members show, for those who come back into contact. */
  readonly #shown = new Map<Membership, Uint8Array>()

  constructor(emit: (event: PeerEvent) => void) {
    this.#emit = emit
  }

  set(subcluster: Handle, value: Uint8Array | undefined, memberships: readonly Membership[]): void {
    if (value === undefined) this.#own.delete(subcluster)
    else this.#own.set(subcluster, value)
    for (const membership of memberships) if (membership.isJoined) this.#send(membership)
  }

  joined(membership: Membership): void {
    if (this.#own.has(membership.subcluster.handle)) this.#send(membership)
  }

  /** In contact again: the application forgot it with the member. */
  back(membership: Membership): void {
    const value = this.#shown.get(membership)
    if (value !== undefined) this.#tell(membership, value)
  }

  ended(membership: Membership): void {
    this.#sendings.delete(membership)
    this.#shown.delete(membership)
  }

  close(subcluster: Handle): void {
    this.#own.delete(subcluster)
  }

  onPresence(membership: Membership, value: Uint8Array | undefined): void {
    if (value === undefined) this.#shown.delete(membership)
    else this.#shown.set(membership, value)
    if (membership.isReported) this.#tell(membership, value)
  }

  #tell(membership: Membership, value: Uint8Array | undefined): void {
    const { peer, subcluster } = membership
    this.#emit({ type: 'presence', subcluster: subcluster.handle, peer, value })
  }

  #send(membership: Membership): void {
    const sending = this.#sendings.get(membership) ?? { isUnderWay: false, isStale: false }
    this.#sendings.set(membership, sending)
    if (sending.isUnderWay) {
      sending.isStale = true
      return
    }
    sending.isUnderWay = true
    const value = this.#own.get(membership.subcluster.handle)
    membership.session.send(encodePresence(membership.pair, value), () => {
      sending.isUnderWay = false
      if (!sending.isStale || membership.isEnded) return
      sending.isStale = false
      this.#send(membership)
    })
  }
}

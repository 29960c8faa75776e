import type { Instant, LocalAddress, NatVector } from '../io.ts'
import { Candidates } from './candidates.ts'
import { encodeNatMessage } from './messages.ts'
import { effectiveVector } from './strategy.ts'
import type { TraversalSession } from './traversal-session.ts'

/**
 * What remotes are told of us, and when: what we are behind and where we may be, again when that
 * changed, and not more often than it does them good.
 */
export interface TellingHost {
  nat(): NatVector
  /** Our own addresses that a remote may try. */
  candidates(): readonly LocalAddress[]
}

/** What one remote was told. */
export interface Told {
  readonly session: TraversalSession
  told: Uint8Array | undefined
  toldAt: Instant | undefined
}

const GAP_MS = 200

export class Telling {
  readonly #host: TellingHost

  constructor(host: TellingHost) {
    this.#host = host
  }

  tell(remote: Told, now: Instant, bytes = this.#message()): void {
    remote.told = bytes
    remote.toldAt = now
    remote.session.sendMessage(bytes)
  }

  tellChanged(remote: Told, now: Instant): void {
    const bytes = this.#message()
    if (remote.told === undefined || !isEqual(remote.told, bytes)) this.tell(remote, now, bytes)
  }

  /** Unless the remote knows already. When it was told lately: the time at which to do this. */
  tellSoon(remote: Told, now: Instant): Instant | undefined {
    const nextAt = (remote.toldAt ?? -GAP_MS) + GAP_MS
    if (now < nextAt) return nextAt as Instant
    this.tellChanged(remote, now)
    return undefined
  }

  /** One more address of ours, at which it is to write to the socket we use. */
  tellAlso(remote: Told, address: LocalAddress, now: Instant): void {
    remote.toldAt = now
    remote.session.sendMessage(this.#message([address]))
  }

  #message(also: readonly LocalAddress[] = []): Uint8Array {
    const nat = this.#host.nat()
    const addresses = Candidates.told([...also, ...this.#host.candidates()], nat)
    return encodeNatMessage({ type: 'candidates', nat: effectiveVector(nat), addresses })
  }
}

export function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}

import { BoundedMap } from '../collections/bounded-map.ts'
import type { Handle } from '../io.ts'
import type { SessionPort } from '../session/port.ts'
import type { Membership } from './membership.ts'

/**
 * One session as the groups see it: the memberships inside it, the links that name them and who waits
 * for which acknowledgement. Keeps these; decides nothing.
 */

/** LEAVE may overtake the JOIN it ends. Guess: more than a remote can have under way. */
const RETIRED_LINKS_MAX = 1024

export class MemberSession {
  readonly port: SessionPort
  /** No contact at present; the session is remembered by both sides. */
  isLost = false
  /** Few in any session: links are found by walking them. */
  readonly memberships = new Map<Handle, Membership>()
  #nextLink = 0
  #retired: BoundedMap<number, true> | undefined
  readonly #onAcked = new Map<number, () => void>()

  constructor(port: SessionPort) {
    this.port = port
  }

  /** Ever larger, so that the later of two links for one subcluster is the valid one. */
  takeLinks(count: number): number {
    const first = this.#nextLink
    this.#nextLink += count
    return first
  }

  byLink(link: number): Membership | undefined {
    for (const membership of this.memberships.values())
      if (membership.link === link) return membership
    return undefined
  }

  byRemoteLink(link: number): Membership | undefined {
    for (const membership of this.memberships.values())
      if (membership.remoteLink === link) return membership
    return undefined
  }

  retire(remoteLink: number): void {
    this.#retired ??= new BoundedMap(RETIRED_LINKS_MAX)
    this.#retired.set(remoteLink, true)
  }

  isRetired(remoteLink: number): boolean {
    return this.#retired?.has(remoteLink) ?? false
  }

  get retiredCount(): number {
    return this.#retired?.size ?? 0
  }

  send(payload: Uint8Array, onAcked?: () => void): number {
    const message = this.port.sendMessage(payload)
    if (onAcked !== undefined) this.#onAcked.set(message, onAcked)
    return message
  }

  acked(message: number): void {
    const onAcked = this.#onAcked.get(message)
    this.#onAcked.delete(message)
    onAcked?.()
  }
}

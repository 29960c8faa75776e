import type { Crypto, Random } from '../crypto.ts'
import { assert } from '../errors.ts'
import type { Handle, LeaveReason, PeerEvent, PeerId, RejectCode } from '../io.ts'
import type { SessionPort } from '../session/port.ts'
import { ascii, fromHex, toHex } from '../wire/bytes.ts'
import { Inbox } from './inbox.ts'
import { MemberSession } from './member-session.ts'
import {
  encodeAccept,
  encodeJoin,
  encodeLeave,
  JOIN_ENTRIES_MAX,
  type JoinEntry,
  type LinkPair,
  MAC_BYTES,
} from './member-wire.ts'
import type { SubclusterKeys } from './subcluster-keys.ts'

/**
 * Who is a member of what: proves to each remote the subclusters we are in, checks its proofs, and
 * tells who joined and left. A remote counts as joined when each side has verified the other. To a
 * remote without the shared key every proof is noise, and it is never answered.
 */

/** A JOIN's entries are filled up with noise to a multiple of this, so that their number is blurred. */
export const JOIN_ENTRIES_STEP = 4
const MAC_LABEL = ascii('latica member')

export interface Subcluster {
  readonly handle: Handle
  readonly keys: SubclusterKeys
}

/** A stay of ours and one of a remote in one subcluster, within one session: who leaves ends it. */
export class Membership {
  readonly session: MemberSession
  readonly subcluster: Subcluster
  /** Our name for the subcluster towards this remote. */
  readonly link: number
  /** The remote's name for it; undefined until it has proved itself. */
  remoteLink: number | undefined
  /** It has verified us too. */
  isJoined = false
  isEnded = false
  /** The application has been told that it is here. */
  isReported = false
  #inbox: Inbox | undefined

  constructor(session: MemberSession, subcluster: Subcluster, link: number) {
    this.session = session
    this.subcluster = subcluster
    this.link = link
  }

  get peer(): PeerId {
    return this.session.port.peer
  }

  /** Names this stay to a remote that has proved itself. */
  get pair(): LinkPair {
    assert(this.remoteLink !== undefined, "a pair of links needs the remote's")
    return { to: this.remoteLink, from: this.link }
  }

  get inbox(): Inbox {
    this.#inbox ??= new Inbox()
    return this.#inbox
  }
}

export interface MembershipListener {
  joined(membership: Membership): void
  ended(membership: Membership, why: LeaveReason): void
}

export interface MembershipConfig {
  readonly crypto: Crypto
  readonly random: Random
  readonly publicKey: Uint8Array
  readonly emit: (event: PeerEvent) => void
  readonly reject: (code: RejectCode) => void
  readonly listener: MembershipListener
}

export class Memberships {
  readonly #config: MembershipConfig
  readonly #subclusters = new Map<Handle, Subcluster>()
  readonly #sessions = new Map<SessionPort, MemberSession>()
  readonly #byPeer = new Map<PeerId, MemberSession>()

  constructor(config: MembershipConfig) {
    this.#config = config
  }

  session(port: SessionPort): MemberSession | undefined {
    return this.#sessions.get(port)
  }

  joined(subcluster: Handle, peer: PeerId): Membership | undefined {
    const membership = this.#byPeer.get(peer)?.memberships.get(subcluster)
    return membership?.isJoined === true ? membership : undefined
  }

  /** Those who have proved themselves, whether they are in contact or not. */
  proved(subcluster: Handle): Membership[] {
    const proved: Membership[] = []
    for (const { memberships } of this.#sessions.values()) {
      const membership = memberships.get(subcluster)
      if (membership?.remoteLink !== undefined) proved.push(membership)
    }
    return proved
  }

  isMember(peer: PeerId): boolean {
    for (const membership of this.#byPeer.get(peer)?.memberships.values() ?? [])
      if (membership.isJoined) return true
    return false
  }

  join(subcluster: Subcluster): void {
    this.#subclusters.set(subcluster.handle, subcluster)
    for (const session of this.#sessions.values()) this.#offer(session, [subcluster])
  }

  /** Says good-bye to those who know that we were there. Tells the listener, not the application. */
  leave(handle: Handle): void {
    this.#subclusters.delete(handle)
    for (const session of this.#sessions.values()) {
      const membership = session.memberships.get(handle)
      if (membership === undefined) continue
      if (membership.remoteLink !== undefined) session.send(encodeLeave(membership.link))
      membership.isReported = false
      this.#end(membership, 'left')
    }
  }

  sessionUp(port: SessionPort): void {
    const earlier = this.#byPeer.get(port.peer)
    if (earlier !== undefined) this.sessionDown(earlier.port, 'restarted')
    const session = new MemberSession(port)
    this.#sessions.set(port, session)
    this.#byPeer.set(port.peer, session)
    this.#offer(session, [...this.#subclusters.values()])
  }

  sessionDown(port: SessionPort, why: LeaveReason): void {
    const session = this.#sessions.get(port)
    if (session === undefined) return
    this.#sessions.delete(port)
    this.#byPeer.delete(port.peer)
    for (const membership of [...session.memberships.values()]) this.#end(membership, why)
  }

  sessionLost(port: SessionPort): void {
    const session = this.#sessions.get(port)
    if (session === undefined) return
    session.isLost = true
    for (const membership of session.memberships.values()) this.#report(membership, 'timeout')
  }

  sessionBack(port: SessionPort): void {
    const session = this.#sessions.get(port)
    if (session === undefined) return
    session.isLost = false
    for (const membership of session.memberships.values()) this.#report(membership, 'timeout')
  }

  onJoin(session: MemberSession, entries: readonly JoinEntry[]): void {
    const links = new Map<string, number>()
    for (const { link, mac } of entries) links.set(toHex(mac), link)
    for (const membership of [...session.memberships.values()]) {
      const mac = this.#mac(membership, session.port.peer, this.#config.publicKey)
      const link = links.get(toHex(mac))
      if (link !== undefined) this.#proved(membership, link)
    }
  }

  /** Proves the sender as a JOIN does, and that it has verified us. */
  onAccept(session: MemberSession, to: number, link: number, mac: Uint8Array): void {
    const { crypto, reject, publicKey } = this.#config
    const membership = session.byLink(to)
    if (membership === undefined) return reject('unknown')
    const expected = this.#mac(membership, session.port.peer, publicKey)
    if (!crypto.equal(mac, expected)) return reject('unauthentic')
    const proved = this.#proved(membership, link)
    if (proved?.remoteLink === link) this.verifiedUs(proved)
  }

  onLeave(session: MemberSession, link: number): void {
    session.retire(link)
    const membership = session.byRemoteLink(link)
    if (membership !== undefined) this.#renew(membership)
  }

  /** Called for an ACCEPT and for any message on our link: only who verified us knows to send one. */
  verifiedUs(membership: Membership): void {
    if (membership.isJoined) return
    membership.isJoined = true
    this.#report(membership, 'left')
    this.#config.listener.joined(membership)
  }

  /**
   * Each side's link changes only when it joins, and grows; a later one means that the remote left and
   * joined again, whatever order its messages came in. Undefined: the link is of an earlier stay.
   */
  #proved(membership: Membership, link: number): Membership | undefined {
    const { session, remoteLink } = membership
    if (remoteLink === link) return membership
    const isLate = remoteLink !== undefined && link < remoteLink
    if (isLate || session.isRetired(link) || session.byRemoteLink(link) !== undefined)
      return undefined
    const proved = remoteLink === undefined ? membership : this.#renew(membership)
    proved.remoteLink = link
    this.#accept(proved, link)
    return proved
  }

  #accept(membership: Membership, to: number): void {
    const { session } = membership
    const mac = this.#mac(membership, undefined, publicKeyOf(session.port.peer))
    session.send(encodeAccept(to, membership.link, mac))
  }

  /** Our proofs, each at a random place among the noise. */
  #offer(session: MemberSession, subclusters: readonly Subcluster[]): void {
    const { random } = this.#config
    const rest = subclusters.slice(JOIN_ENTRIES_MAX)
    const offered = subclusters.slice(0, JOIN_ENTRIES_MAX)
    const steps = Math.max(1, Math.ceil(offered.length / JOIN_ENTRIES_STEP))
    const count = steps * JOIN_ENTRIES_STEP
    const firstLink = session.takeLinks(count)
    const macs = Array.from({ length: count }, () => random.bytes(MAC_BYTES))
    const places = this.#shuffled(count)
    const remoteKey = publicKeyOf(session.port.peer)
    for (const [i, subcluster] of offered.entries()) {
      const place = places[i] ?? 0
      const membership = new Membership(session, subcluster, firstLink + place)
      session.memberships.set(subcluster.handle, membership)
      macs[place] = this.#mac(membership, undefined, remoteKey)
    }
    session.send(encodeJoin(macs.map((mac, place) => ({ link: firstLink + place, mac }))))
    if (rest.length > 0) this.#offer(session, rest)
  }

  #shuffled(count: number): number[] {
    const places = Array.from({ length: count }, (_, i) => i)
    const random = this.#config.random.bytes(2 * count)
    for (let i = count - 1; i > 0; i--) {
      const draw = (random[2 * i] ?? 0) * 0x100 + (random[2 * i + 1] ?? 0)
      const j = draw % (i + 1)
      const kept = places[i] ?? 0
      places[i] = places[j] ?? 0
      places[j] = kept
    }
    return places
  }

  /** Bound to the session and to its direction. `from` undefined: from us. */
  #mac(membership: Membership, from: PeerId | undefined, to: Uint8Array): Uint8Array {
    const sender = from === undefined ? this.#config.publicKey : publicKeyOf(from)
    const { binding } = membership.session.port
    const { joinKey } = membership.subcluster.keys
    return membershipMac(this.#config.crypto, joinKey, binding, sender, to)
  }

  /** The remote's stay is over; ours goes on, open to its next. */
  #renew(membership: Membership): Membership {
    const { session, subcluster, link } = membership
    this.#end(membership, 'left')
    const next = new Membership(session, subcluster, link)
    session.memberships.set(subcluster.handle, next)
    return next
  }

  #end(membership: Membership, why: LeaveReason): void {
    membership.session.memberships.delete(membership.subcluster.handle)
    membership.isEnded = true
    this.#report(membership, why)
    this.#config.listener.ended(membership, why)
  }

  #report(membership: Membership, why: LeaveReason): void {
    const isHere = membership.isJoined && !membership.isEnded && !membership.session.isLost
    if (isHere === membership.isReported) return
    membership.isReported = isHere
    const change = isHere ? ({ state: 'joined' } as const) : ({ state: 'left', why } as const)
    const { peer, subcluster } = membership
    this.#config.emit({ type: 'member', subcluster: subcluster.handle, peer, change })
  }
}

export function membershipMac(
  crypto: Crypto,
  joinKey: Uint8Array,
  binding: Uint8Array,
  sender: Uint8Array,
  receiver: Uint8Array,
): Uint8Array {
  return crypto.hash(MAC_BYTES, [MAC_LABEL, binding, sender, receiver], joinKey)
}

function publicKeyOf(peer: PeerId): Uint8Array {
  const key = fromHex(peer)
  assert(key !== undefined, 'a peer id is hex')
  return key
}

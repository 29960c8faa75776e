import { BoundedMap } from '../collections/bounded-map.ts'
import { TimerQueue } from '../collections/timer-queue.ts'
import type { Crypto, KeyPair, Random } from '../crypto.ts'
import { MALFORMED } from '../errors.ts'
import type {
  Deadline,
  Handle,
  Instant,
  PacketInfo,
  PeerEvent,
  PeerId,
  RejectCode,
  StoredRecord,
} from '../io.ts'
import { LIFE_MINUTES_MAX, SALT_BYTES } from '../replication/packet.ts'
import type { Delivered, Moment, Replication } from '../replication/replication.ts'
import { toHex } from '../wire/bytes.ts'
import { Contacts } from './contacts.ts'
import type { Inbox } from './inbox.ts'
import { mailKey } from './mail-key.ts'
import { BINDING_PREFIX_BYTES, decodeMail, encodeMail, type MailOrigin } from './mail-payload.ts'
import type { Membership } from './membership.ts'
import { mailboxKey, mailboxOf, subclusterKey } from './names.ts'
import type { Letter } from './outbox.ts'
import { SubclusterKeys } from './subcluster-keys.ts'

/**
 * Messages to members that are away: each pair of members has a subcluster of its own, derived from
 * both identities, whose packets strangers keep like any other. Decides whose mail we look for, and
 * what became of a message that went both ways. docs/spec/groups.md, "Mail".
 */

/** Told to members by a peer that has published nothing else: so that they look for its mail. */
export const EVENT_HERE = '#here'
/** Sessions that ended, whose messages may come again by mail. Guess: of an hour on a bad line. */
const ENDED_INBOXES_MAX = 256
/** What goes to a member over its session waits so long for its mail to be there first. Guess. */
export const MAIL_FIRST_MS = 2_000

interface Flush {
  readonly membership: Membership
  readonly unheld: Set<string>
  readonly onDone: () => void
}

interface Joined {
  readonly keys: SubclusterKeys
}

export interface MailboxesConfig {
  readonly crypto: Crypto
  readonly random: Random
  readonly identity: KeyPair & { readonly peerId: PeerId }
  readonly clusterId: Uint8Array
  readonly replication: Replication
  readonly emit: (event: PeerEvent) => void
  readonly reject: (code: RejectCode) => void
  readonly store: (key: string, value: Uint8Array | undefined) => void
  readonly load: (prefix: string) => void
  /** A member's stay that goes on. */
  readonly stayOf: (subcluster: Handle, peer: PeerId) => Membership | undefined
}

export class Mailboxes {
  readonly #config: MailboxesConfig
  readonly #contacts: Contacts
  readonly #joined = new Map<Handle, Joined>()
  readonly #ended = new BoundedMap<string, Inbox>(ENDED_INBOXES_MAX)
  readonly #flushes = new Map<string, Flush>()
  readonly #timers = new TimerQueue<string>()

  constructor(config: MailboxesConfig) {
    this.#config = config
    this.#contacts = new Contacts(config.crypto, config.store)
  }

  joined(subcluster: Handle, keys: SubclusterKeys): void {
    this.#joined.set(subcluster, { keys })
    this.#config.load(this.#contacts.joined(subcluster, keys))
  }

  left(subcluster: Handle): void {
    for (const peer of this.#contacts.of(subcluster))
      this.#config.replication.unsubscribe(mailboxKey({ subcluster, peer }))
    this.#contacts.left(subcluster)
    this.#joined.delete(subcluster)
  }

  loaded(prefix: string, records: readonly StoredRecord[], at: Moment): void {
    const { subcluster, peers } = this.#contacts.loaded(prefix, records) ?? {}
    if (subcluster === undefined) return
    for (const peer of peers ?? []) this.learned(subcluster, peer, at)
  }

  /** This peer is a member: it may have written to us. False: no mail can be exchanged with it. */
  learned(subcluster: Handle, peer: PeerId, at: Moment): boolean {
    const { crypto, identity, clusterId, replication } = this.#config
    if (peer === identity.peerId) return false
    if (this.#contacts.has(subcluster, peer)) return true
    const keys = this.#joined.get(subcluster)?.keys
    const key = keys && mailKey(crypto, identity, peer, keys.joinKey)
    if (key === undefined) return false
    const dropped = this.#contacts.add(subcluster, peer)
    if (dropped !== undefined) replication.unsubscribe(mailboxKey({ subcluster, peer: dropped }))
    const mailKeys = new SubclusterKeys(crypto, key, clusterId)
    replication.subscribe(mailboxKey({ subcluster, peer }), mailKeys, 'causal', at)
    return true
  }

  /** Answered by `done`, with the packet, when others keep it; or `failed`. */
  send(letter: Letter, at: Moment): void {
    const { replication, random, emit } = this.#config
    const { operation, subcluster, peer, event, value, origin } = letter
    if (!this.learned(subcluster, peer, at))
      return emit({ type: 'failed', operation, code: 'EPEERGONE' })
    this.#introduce(subcluster, at)
    const mail = encodeMail({ value, origin })
    const salt = random.bytes(SALT_BYTES)
    const draft = { event, value: mail, lifeMinutes: LIFE_MINUTES_MAX, salt }
    replication.publish(mailboxKey({ subcluster, peer }), draft, at, (packet) => {
      if (packet === undefined) emit({ type: 'failed', operation, code: 'ETOOBIG' })
      else emit({ type: 'done', operation, packet })
    })
  }

  /** True: it was a letter, and is dealt with. */
  delivered({ subscription, packet, event, value }: Delivered, at: Moment): boolean {
    const place = mailboxOf(subscription)
    if (place === undefined) return false
    const { subcluster, peer } = place
    if (packet.author !== peer) return true
    const mail = decodeMail(value)
    if (mail === MALFORMED) {
      this.#config.reject('malformed')
      return true
    }
    const inbox = mail.origin && this.#inboxOf(subcluster, peer, mail.origin)
    if (inbox === undefined || mail.origin === undefined) {
      this.#tell(subcluster, peer, event, mail.value, packet)
      return true
    }
    const { sequence } = mail.origin
    const released = inbox.arrived({ sequence, back: 0, event, value: mail.value })
    if (typeof released === 'string') return true
    for (const [i, message] of released.entries())
      this.#tell(subcluster, peer, message.event, message.value, i === 0 ? packet : undefined)
    this.learned(subcluster, peer, at)
    return true
  }

  /**
   * A member is here: it gets what we wrote to it while it was away, and `onDone` is called when it has
   * that, at once if there is nothing.
   */
  flush(membership: Membership, at: Moment, onDone: () => void): void {
    const { replication } = this.#config
    const subcluster = membership.subcluster.handle
    this.learned(subcluster, membership.peer, at)
    const key = mailboxKey({ subcluster, peer: membership.peer })
    const unheld = new Set(replication.offerOwn(key, membership.peer))
    if (unheld.size === 0) return onDone()
    this.#flushes.set(key, { membership, unheld, onDone })
    this.#timers.set(key, at.now + MAIL_FIRST_MS, 'mail first')
  }

  isFlushing(subcluster: Handle, peer: PeerId): boolean {
    return this.#flushes.has(mailboxKey({ subcluster, peer }))
  }

  /** A remote says that these are on its disk. */
  held(peer: PeerId, shorts: readonly string[]): void {
    for (const [key, flush] of [...this.#flushes]) {
      if (flush.membership.peer !== peer) continue
      for (const short of shorts)
        if (flush.unheld.delete(short)) this.#config.replication.taken(key, short)
      if (flush.unheld.size === 0) this.#flushed(key, flush)
    }
  }

  /** Nobody to give its mail to. */
  away(membership: Membership): void {
    const subcluster = membership.subcluster.handle
    const key = mailboxKey({ subcluster, peer: membership.peer })
    if (this.#flushes.get(key)?.membership !== membership) return
    this.#flushes.delete(key)
    this.#timers.clear(key)
  }

  /** A stay ended: its messages may come again by mail. */
  ended(membership: Membership): void {
    this.away(membership)
    if (membership.remoteLink === undefined) return
    this.#ended.set(placeOfStay(membership), membership.inbox)
  }

  deadline(): Deadline | undefined {
    const first = this.#timers.earliest()
    return first && { at: first.at as Instant, reason: first.reason }
  }

  onDeadline(now: Instant): void {
    for (;;) {
      const key = this.#timers.takeDue(now)
      if (key === undefined) return
      const flush = this.#flushes.get(key)
      if (flush !== undefined) this.#flushed(key, flush)
    }
  }

  #flushed(key: string, flush: Flush): void {
    this.#flushes.delete(key)
    this.#timers.clear(key)
    if (!flush.membership.isEnded) flush.onDone()
  }

  /** Who has not published lately is not known to be a member by those who come later. */
  #introduce(subcluster: Handle, at: Moment): void {
    const { replication, random } = this.#config
    const key = subclusterKey(subcluster)
    if (replication.hasOwn(key)) return
    const salt = random.bytes(SALT_BYTES)
    const draft = {
      event: EVENT_HERE,
      value: new Uint8Array(),
      lifeMinutes: LIFE_MINUTES_MAX,
      salt,
    }
    replication.publish(key, draft, at, () => {})
  }

  #inboxOf(subcluster: Handle, peer: PeerId, origin: MailOrigin): Inbox | undefined {
    const place = placeOf(subcluster, peer, origin)
    const stay = this.#config.stayOf(subcluster, peer)
    if (stay?.remoteLink !== undefined && placeOfStay(stay) === place) return stay.inbox
    return this.#ended.get(place)
  }

  #tell(
    subcluster: Handle,
    peer: PeerId,
    event: string,
    value: Uint8Array,
    packet: PacketInfo | undefined,
  ): void {
    const via = packet?.via === 'direct' || packet?.via === 'relayed' ? packet.via : 'cache'
    const where = { subcluster, peer, delivery: 'ordered' } as const
    this.#config.emit({ type: 'message', ...where, event, value, via, packet })
  }
}

/** As the remote's letters name it: the other way round. */
function placeOfStay({ session, subcluster, peer, pair }: Membership): string {
  const { binding } = session.port
  return placeOf(subcluster.handle, peer, { binding, pair: { to: pair.from, from: pair.to } })
}

function placeOf(
  subcluster: Handle,
  peer: PeerId,
  { binding, pair }: Pick<MailOrigin, 'binding' | 'pair'>,
): string {
  const session = toHex(binding.subarray(0, BINDING_PREFIX_BYTES))
  return `${subcluster} ${peer} ${session} ${pair.to} ${pair.from}`
}

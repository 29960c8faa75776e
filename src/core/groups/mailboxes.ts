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
import { type Mailbox, mailboxKey, mailboxOf, subclusterKey } from './names.ts'
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

/** Keys of a mailbox cost about a millisecond: who is here now has hardly written while we were away. */
export const OPEN_AFTER_MS = 1_000
const OPENED_AT_ONCE = 8
const OPEN_NEXT_MS = 20
const OPENING = 'opening'
/** Everybody we can have a session with. */
const EXPECTED_MAX = 1024

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
  /** Of contacts whose keys were not needed yet. */
  readonly #unopened = new Map<string, Mailbox>()
  /** Remotes that gave us packets of a tag that we do not know. */
  readonly #expected = new BoundedMap<PeerId, true>(EXPECTED_MAX)
  /** Of contacts of earlier runs. */
  readonly #old = new Set<string>()

  constructor(config: MailboxesConfig) {
    this.#config = config
    this.#contacts = new Contacts(config.crypto, config.store)
  }

  joined(subcluster: Handle, keys: SubclusterKeys): void {
    this.#joined.set(subcluster, { keys })
    this.#config.load(this.#contacts.joined(subcluster, keys))
  }

  left(subcluster: Handle): void {
    for (const peer of this.#contacts.of(subcluster)) this.#close({ subcluster, peer })
    this.#contacts.left(subcluster)
    this.#joined.delete(subcluster)
  }

  loaded(prefix: string, records: readonly StoredRecord[], at: Moment): void {
    const { subcluster, peers } = this.#contacts.loaded(prefix, records) ?? {}
    if (subcluster === undefined) return
    for (const peer of peers ?? []) this.#learn(subcluster, peer, at.now)
    for (const peer of peers ?? []) this.#old.add(mailboxKey({ subcluster, peer }))
  }

  /** This peer is a member: it may have written to us. Its mailbox is opened when there is time. */
  learned(subcluster: Handle, peer: PeerId, at: Moment): void {
    this.#learn(subcluster, peer, at.now + OPEN_AFTER_MS)
  }

  #learn(subcluster: Handle, peer: PeerId, openAt: number): void {
    if (peer === this.#config.identity.peerId || this.#contacts.has(subcluster, peer)) return
    if (!this.#joined.has(subcluster)) return
    const dropped = this.#contacts.add(subcluster, peer)
    if (dropped !== undefined) this.#close({ subcluster, peer: dropped })
    const mailbox = { subcluster, peer }
    this.#unopened.set(mailboxKey(mailbox), mailbox)
    const next = this.#timers.dueAt(OPENING)
    if (next === undefined || openAt < next) this.#timers.set(OPENING, openAt, 'mailboxes')
  }

  /** False: no mail can be exchanged with it. */
  #open(mailbox: Mailbox, at: Moment): boolean {
    const { crypto, identity, clusterId, replication } = this.#config
    const { subcluster, peer } = mailbox
    this.#learn(subcluster, peer, at.now)
    const key = mailboxKey(mailbox)
    if (!this.#unopened.delete(key)) return replication.has(key)
    const keys = this.#joined.get(subcluster)?.keys
    const secret = keys && mailKey(crypto, identity, peer, keys.joinKey)
    if (secret === undefined) return false
    const mailKeys = new SubclusterKeys(crypto, secret, clusterId)
    replication.subscribe(key, mailKeys, 'causal', at, true)
    return true
  }

  /** A remote gives what may be a letter, if it is a member: that may turn out later. */
  expected(peer: PeerId, at: Moment): void {
    this.#expected.set(peer, true)
    for (const subcluster of this.#joined.keys()) {
      const mailbox = { subcluster, peer }
      if (this.#unopened.has(mailboxKey(mailbox))) this.#open(mailbox, at)
    }
  }

  #close(mailbox: Mailbox): void {
    const key = mailboxKey(mailbox)
    this.#old.delete(key)
    if (!this.#unopened.delete(key)) this.#config.replication.unsubscribe(key)
  }

  /** Answered by `done`, with the packet, when others keep it; or `failed`. */
  send(letter: Letter, at: Moment): void {
    const { replication, random, emit } = this.#config
    const { operation, subcluster, peer, event, value, origin } = letter
    if (!this.#open({ subcluster, peer }, at))
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
    const mailbox = { subcluster, peer: membership.peer }
    this.learned(subcluster, membership.peer, at)
    const key = mailboxKey(mailbox)
    // We may have written to it in an earlier run, or it to us.
    if (this.#old.has(key) || this.#expected.has(membership.peer)) this.#open(mailbox, at)
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

  onDeadline(at: Moment): void {
    for (;;) {
      const key = this.#timers.takeDue(at.now)
      if (key === undefined) return
      if (key === OPENING) {
        this.#openSome(at)
        continue
      }
      const flush = this.#flushes.get(key)
      if (flush !== undefined) this.#flushed(key, flush)
    }
  }

  #openSome(at: Moment): void {
    for (const mailbox of [...this.#unopened.values()].slice(0, OPENED_AT_ONCE))
      this.#open(mailbox, at)
    if (this.#unopened.size > 0) this.#timers.set(OPENING, at.now + OPEN_NEXT_MS, 'mailboxes')
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

import type { Crypto, KeyPair, Random } from '../crypto.ts'
import { earlier } from '../deadlines.ts'
import { assert, MALFORMED, UsageError } from '../errors.ts'
import type {
  Command,
  Deadline,
  FailureCode,
  Handle,
  Instant,
  LeaveReason,
  PeerEvent,
  PeerId,
  RejectCode,
  StoredRecord,
  UnixMs,
} from '../io.ts'
import type { Placement } from '../overlay/placement.ts'
import { EVENT_BYTES_MAX } from '../replication/packet-seal.ts'
import { type Delivered, type Progress, Replication } from '../replication/replication.ts'
import type { SessionPort } from '../session/port.ts'
import { utf8 } from '../wire/bytes.ts'
import { Calls } from './calls.ts'
import { CONTACTS_PREFIX } from './contacts.ts'
import { Joined } from './joined.ts'
import { Mailboxes } from './mailboxes.ts'
import type { MemberSession } from './member-session.ts'
import { MemberStreams } from './member-streams.ts'
import {
  decodeMemberMessage,
  KIND_ACCEPT,
  KIND_ANSWER,
  KIND_CANCEL,
  KIND_EMIT,
  KIND_JOIN,
  KIND_LEAVE,
  KIND_LOSSY,
  KIND_PRESENCE,
  KIND_REPLICATION_MIN,
  KIND_REQUEST,
  type LinkPair,
  type MemberMessage,
} from './member-wire.ts'
import { type Membership, Memberships } from './membership.ts'
import { handleOf, isReserved } from './names.ts'
import { Outbox, VALUE_BYTES_MAX } from './outbox.ts'
import { PRESENCE_BYTES_MAX, Presence } from './presence.ts'
import { Publisher } from './publisher.ts'

/**
 * The subclusters of one peer: takes the application's commands and the sessions' messages, and hands
 * each to the part it concerns. Knows no datagram and no route. A port's methods must not call back.
 */

export interface GroupsConfig {
  readonly crypto: Crypto
  readonly random: Random
  readonly identity: KeyPair & { readonly peerId: PeerId }
  readonly clusterId: Uint8Array
  readonly cacheBytes: number
  readonly placement: () => Placement
  readonly meanStayMs: () => number | undefined
  readonly setGoals: (locations: readonly string[]) => void
  readonly store: (key: string, value: Uint8Array | undefined) => void
  readonly load: (prefix: string) => void
  readonly requestSync: () => void
  readonly emit: (event: PeerEvent) => void
  readonly reject: (code: RejectCode) => void
}

export type GroupsCommand = Exclude<Command, { type: 'dial' | 'close' }>
type CommandOf<T extends GroupsCommand['type']> = Extract<GroupsCommand, { type: T }>
/** Those that travel on a link. */
type LinkMessage = Extract<MemberMessage, { kind: 0x20 | 0x21 | 0x22 | 0x23 | 0x24 | 0x25 }>

export class Groups {
  readonly #config: GroupsConfig
  readonly #joined: Joined
  readonly #memberships: Memberships
  readonly #replication: Replication
  readonly #mail: Mailboxes
  readonly #outbox: Outbox
  readonly #publisher: Publisher
  readonly #calls: Calls
  readonly #streams: MemberStreams
  readonly #presence: Presence
  #now = 0 as Instant
  #wall = 0 as UnixMs

  constructor(config: GroupsConfig, now: Instant, wall: UnixMs) {
    this.#config = config
    this.#now = now
    this.#wall = wall
    const { crypto, random, identity, emit, reject } = config
    this.#outbox = new Outbox(emit, (letter) => this.#mail.send(letter, this.#at))
    this.#calls = new Calls(emit, reject)
    this.#presence = new Presence(emit)
    this.#memberships = new Memberships({
      crypto,
      random,
      publicKey: identity.publicKey,
      emit,
      reject,
      listener: {
        joined: (membership) => this.#onJoined(membership),
        ended: (membership, why) => this.#onEnded(membership, why),
      },
    })
    this.#streams = new MemberStreams({
      emit,
      reject,
      resolve: (session, pair) => this.#resolve(session, pair),
    })
    this.#replication = this.#makeReplication()
    const replication = this.#replication
    this.#joined = new Joined({ ...config, replication })
    const present = (subcluster: Handle) => this.#present(subcluster)
    this.#publisher = new Publisher({ ...config, replication, outbox: this.#outbox, present })
    const stayOf = (at: Handle, peer: PeerId) => this.#memberships.joined(at, peer)
    this.#mail = new Mailboxes({ ...config, replication, stayOf })
  }

  #makeReplication(): Replication {
    const { crypto, random, identity, cacheBytes, emit, reject, ...rest } = this.#config
    const { placement, meanStayMs, setGoals, store, requestSync } = rest
    const host = {
      placement,
      now: () => this.#now,
      meanStayMs,
      setGoals,
      store,
      requestSync,
      reject,
      isFellow: (peer: PeerId, subscription: string) => {
        const handle = handleOf(subscription)
        return handle !== undefined && this.#memberships.joined(handle, peer) !== undefined
      },
      deliver: (delivered: Delivered) => this.#onDelivered(delivered),
      mayBeMail: (peer: PeerId) => this.#mail.expected(peer, this.#at),
      held: (peer: PeerId, shorts: readonly string[]) => this.#mail.held(peer, shorts),
      progress: ({ subscription, id, ...progress }: Progress) => {
        const subcluster = handleOf(subscription)
        if (subcluster !== undefined)
          emit({ type: 'progress', subcluster, packet: id, ...progress })
      },
    }
    const config = { crypto, random, author: identity, cacheBytes, host }
    return new Replication(config, this.#now, this.#wall)
  }

  get #at(): { readonly now: Instant; readonly wall: UnixMs } {
    return { now: this.#now, wall: this.#wall }
  }

  get counters(): Readonly<Record<string, number>> {
    return this.#replication.counters
  }

  /** Throws `UsageError` for what a caller must not ask; what cannot be done becomes an event. */
  command(command: GroupsCommand, now: Instant, wall: UnixMs): void {
    this.#now = now
    this.#wall = wall
    switch (command.type) {
      case 'join':
        return this.#join(command)
      case 'leave':
        return this.#leave(command.subcluster)
      case 'publish':
        return this.#publish(command)
      case 'send':
        return this.#send(command)
      case 'request':
        return this.#request(command)
      case 'history':
        return this.#joined.history(command)
      case 'exportKey':
        return this.#joined.exportKey(command)
      case 'forget':
        return this.#joined.forget(command, wall)
      case 'cancel': {
        const { operation } = command
        if (!this.#outbox.cancel(operation)) this.#calls.cancel(operation, 'EABORTED')
        return
      }
      case 'respond':
        return this.#calls.respond(command.call, command.ok, command.value)
      case 'presence':
        return this.#show(command)
      case 'openStream': {
        const { stream, subcluster, peer, name } = command
        requireName('name', name)
        return this.#streams.open(stream, name, this.#memberships.joined(subcluster, peer))
      }
      case 'write':
        return this.#streams.write(command.stream, command.data)
      case 'finish':
        return this.#streams.finish(command.stream)
      case 'reset':
        return this.#streams.reset(command.stream)
      case 'consume':
        return this.#streams.consume(command.stream, command.bytes)
    }
  }

  sessionUp(port: SessionPort, now: Instant, wall: UnixMs): void {
    this.#now = now
    this.#wall = wall
    this.#memberships.sessionUp(port)
    const session = this.#memberships.session(port)
    assert(session !== undefined, 'a session that is up is known')
    const send = (payload: Uint8Array, onAcked?: () => void) => void session.send(payload, onAcked)
    this.#replication.sessionUp(port, send, now)
  }

  sessionLost(port: SessionPort, now: Instant, wall: UnixMs): void {
    this.#now = now
    this.#wall = wall
    this.#memberships.sessionLost(port)
    this.#replication.sessionLost(port)
    for (const membership of this.#memberships.session(port)?.memberships.values() ?? []) {
      this.#mail.away(membership)
      this.#outbox.lost(membership)
    }
  }

  sessionBack(port: SessionPort, now: Instant): void {
    this.#now = now
    this.#memberships.sessionBack(port)
    this.#replication.sessionBack(port, now)
    for (const membership of this.#memberships.session(port)?.memberships.values() ?? [])
      if (membership.isReported) {
        this.#presence.back(membership)
        this.#flush(membership)
      }
  }

  sessionDown(port: SessionPort, why: LeaveReason, now: Instant): void {
    this.#now = now
    const session = this.#memberships.session(port)
    if (session === undefined) return
    this.#streams.sessionDown(session)
    this.#replication.sessionGone(port, now)
    this.#memberships.sessionDown(port, why)
    this.#calls.sessionDown(session)
  }

  /** What was stored in earlier runs. Returns how many records could not be read. */
  loaded(prefix: string, records: readonly StoredRecord[], now: Instant, wall: UnixMs): number {
    this.#now = now
    this.#wall = wall
    if (prefix.startsWith(CONTACTS_PREFIX)) {
      this.#mail.loaded(prefix, records, this.#at)
      return 0
    }
    return this.#replication.loaded(records, this.#at)
  }

  synced(isKept: boolean): void {
    this.#replication.synced(isKept)
  }

  /** `payload` is handed over: events and held messages carry views of it. */
  message(port: SessionPort, payload: Uint8Array, now: Instant, wall: UnixMs): void {
    this.#now = now
    this.#wall = wall
    const session = this.#memberships.session(port)
    assert(session !== undefined, 'a message comes from a session that is up')
    if ((payload[0] ?? 0) >= KIND_REPLICATION_MIN)
      return this.#replication.message(port, payload, this.#at)
    const message = decodeMemberMessage(payload)
    if (message === MALFORMED) return this.#config.reject('malformed')
    switch (message.kind) {
      case KIND_JOIN:
        return this.#memberships.onJoin(session, message.entries)
      case KIND_ACCEPT: {
        const { to, link, mac } = message
        return this.#memberships.onAccept(session, to, link, mac)
      }
      case KIND_LEAVE:
        return this.#memberships.onLeave(session, message.link)
      default:
        this.#onLinkMessage(session, message)
    }
  }

  messageAcked(port: SessionPort, message: number): void {
    this.#memberships.session(port)?.acked(message)
  }

  /** Of all kinds only LOSSY travels so: the others are not theirs who lose them. */
  datagram(port: SessionPort, payload: Uint8Array, now: Instant): void {
    this.#now = now
    const session = this.#memberships.session(port)
    assert(session !== undefined, 'a datagram comes from a session that is up')
    const message = decodeMemberMessage(payload)
    if (message === MALFORMED || message.kind !== KIND_LOSSY)
      return this.#config.reject('malformed')
    this.#onLinkMessage(session, message)
  }

  streamOpened(port: SessionPort, stream: number): void {
    const session = this.#memberships.session(port)
    if (session !== undefined) this.#streams.onOpened(session, stream)
  }

  streamData(port: SessionPort, stream: number, data: Uint8Array): void {
    const session = this.#memberships.session(port)
    if (session !== undefined) this.#streams.onData(session, stream, data)
  }

  streamEnded(port: SessionPort, stream: number): void {
    const session = this.#memberships.session(port)
    if (session !== undefined) this.#streams.onEnded(session, stream)
  }

  streamReset(port: SessionPort, stream: number, _code: number): void {
    const session = this.#memberships.session(port)
    if (session !== undefined) this.#streams.onReset(session, stream)
  }

  streamWritable(port: SessionPort, stream: number, bytes: number): void {
    const session = this.#memberships.session(port)
    if (session !== undefined) this.#streams.onWritable(session, stream, bytes)
  }

  deadline(): Deadline | undefined {
    let first: Deadline | undefined
    for (const part of [this.#mail, this.#outbox, this.#calls, this.#replication])
      first = earlier(first, part.deadline())
    return first
  }

  onDeadline(now: Instant, wall: UnixMs): void {
    this.#now = now
    this.#wall = wall
    this.#mail.onDeadline(this.#at)
    this.#outbox.onDeadline(now)
    this.#calls.onDeadline(now)
    this.#replication.onDeadline(this.#at)
  }

  /** Whether a peer shares a subcluster with us, and each has proved it to the other. */
  isMember(peer: PeerId): boolean {
    return this.#memberships.isMember(peer)
  }

  #join(command: CommandOf<'join'>): void {
    const handle = command.subcluster
    const keys = this.#joined.join(command, this.#at)
    this.#mail.joined(handle, keys)
    this.#memberships.join({ handle, keys })
  }

  #leave(handle: Handle): void {
    if (!this.#joined.leave(handle)) return
    this.#mail.left(handle)
    this.#outbox.close(handle)
    for (const membership of this.#memberships.proved(handle)) {
      this.#streams.ended(membership, 'ECLOSED')
      this.#calls.ended(membership, 'ECLOSED')
    }
    this.#presence.close(handle)
    this.#memberships.leave(handle)
  }

  #publish(command: CommandOf<'publish'>): void {
    requireName('event', command.event)
    if (!this.#joined.has(command.subcluster)) return this.#failed(command.operation, 'ECLOSED')
    this.#publisher.publish(command, this.#at)
  }

  #send({ operation, subcluster, peer, event, value }: CommandOf<'send'>): void {
    requireName('event', event)
    if (!this.#joined.has(subcluster)) return this.#failed(operation, 'ECLOSED')
    if (value.length > VALUE_BYTES_MAX) return this.#failed(operation, 'ETOOBIG')
    const membership = this.#memberships.joined(subcluster, peer)
    const isHere = membership !== undefined && !membership.session.isLost
    const letter = { operation, subcluster, peer, event, value: value.slice(), origin: undefined }
    if (!isHere && !this.#outbox.isAwaited(subcluster, peer))
      return this.#mail.send(letter, this.#at)
    const isFlushed = isHere && !this.#mail.isFlushing(subcluster, peer)
    const now = isFlushed ? membership : undefined
    this.#outbox.send(operation, subcluster, peer, event, letter.value, now)
  }

  #request(command: CommandOf<'request'>): void {
    const { operation, subcluster, peer, name, value, timeoutMs } = command
    requireName('name', name)
    if (!(timeoutMs > 0 && timeoutMs <= Number.MAX_SAFE_INTEGER))
      throw new UsageError('ETIMEOUT', 'timeoutMs', 'a positive number', `${timeoutMs}`)
    if (!this.#joined.has(subcluster)) return this.#failed(operation, 'ECLOSED')
    if (value.length > VALUE_BYTES_MAX) return this.#failed(operation, 'ETOOBIG')
    this.#calls.request(command, this.#memberships.joined(subcluster, peer), this.#now)
  }

  #show({ subcluster, value }: CommandOf<'presence'>): void {
    if (value !== undefined && value.length > PRESENCE_BYTES_MAX)
      throw new UsageError(
        'ETOOBIG',
        'value',
        `at most ${PRESENCE_BYTES_MAX} bytes`,
        `${value.length} bytes`,
      )
    if (!this.#joined.has(subcluster)) return
    this.#presence.set(subcluster, value?.slice(), this.#memberships.proved(subcluster))
  }

  #onLinkMessage(session: MemberSession, message: LinkMessage): void {
    const membership = this.#resolve(session, message.pair)
    if (membership === undefined) return this.#config.reject('unknown')
    switch (message.kind) {
      case KIND_EMIT:
        return this.#onEmit(membership, message)
      case KIND_LOSSY:
        return this.#tell(membership, message.event, message.value, 'lossy')
      case KIND_REQUEST:
        return this.#calls.onRequest(membership, message.call, message.name, message.value)
      case KIND_ANSWER:
        return this.#calls.onAnswer(membership, message.call, message.status, message.value)
      case KIND_CANCEL:
        return this.#calls.onCancel(membership, message.call)
      case KIND_PRESENCE:
        if ((message.value?.length ?? 0) > PRESENCE_BYTES_MAX)
          return this.#config.reject('over-limit')
        return this.#presence.onPresence(membership, message.value)
    }
  }

  #onEmit(membership: Membership, message: Extract<LinkMessage, { kind: 0x20 }>): void {
    const released = membership.inbox.arrived(message)
    if (typeof released === 'string') return this.#config.reject(released)
    for (const { event, value } of released) this.#tell(membership, event, value, 'ordered')
  }

  #tell(
    membership: Membership,
    event: string,
    value: Uint8Array,
    delivery: 'ordered' | 'lossy',
  ): void {
    const { peer, session, subcluster } = membership
    const via = session.port.path === 'relayed' ? 'relayed' : 'direct'
    const where = { subcluster: subcluster.handle, peer }
    const packet = undefined
    this.#config.emit({ type: 'message', ...where, event, value, delivery, via, packet })
  }

  /** Both sides' present stays alone; who names ours has verified us. */
  #resolve(session: MemberSession, pair: LinkPair): Membership | undefined {
    const membership = session.byLink(pair.to)
    if (membership?.remoteLink !== pair.from) return undefined
    this.#memberships.verifiedUs(membership)
    return membership
  }

  #present(subcluster: Handle): Membership[] {
    return this.#memberships.proved(subcluster).filter(({ isReported }) => isReported)
  }

  #onJoined(membership: Membership): void {
    this.#presence.joined(membership)
    this.#flush(membership)
  }

  /** What was written to it while it was away comes before what is said to it now. */
  #flush(membership: Membership): void {
    this.#mail.flush(membership, this.#at, () => this.#outbox.joined(membership))
  }

  #onEnded(membership: Membership, why: LeaveReason): void {
    this.#streams.ended(membership, 'EPEERGONE')
    this.#calls.ended(membership, 'EPEERGONE')
    this.#presence.ended(membership)
    this.#outbox.ended(membership, why, this.#now)
    this.#mail.ended(membership)
  }

  #onDelivered(delivered: Delivered): void {
    if (this.#mail.delivered(delivered, this.#at)) return
    const { subscription, packet, event, value } = delivered
    const subcluster = handleOf(subscription)
    if (subcluster === undefined) return
    this.#mail.learned(subcluster, packet.author, this.#at)
    if (!isReserved(event)) this.#config.emit({ type: 'packet', subcluster, packet, event, value })
  }

  #failed(operation: Handle, code: FailureCode): void {
    this.#config.emit({ type: 'failed', operation, code })
  }
}

function requireName(argument: string, name: string): void {
  const bytes = utf8(name).length
  if (bytes > EVENT_BYTES_MAX)
    throw new UsageError('ENAME', argument, `at most ${EVENT_BYTES_MAX} bytes`, `${bytes} bytes`)
}

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
  UnixMs,
} from '../io.ts'
import { PAYLOAD_BYTES_MAX } from '../replication/leaf-tree.ts'
import { LIFE_MINUTES_MAX, SALT_BYTES } from '../replication/packet.ts'
import { EVENT_BYTES_MAX } from '../replication/packet-seal.ts'
import { Replication } from '../replication/replication.ts'
import type { SessionPort } from '../session/port.ts'
import { toHex, utf8 } from '../wire/bytes.ts'
import { Calls } from './calls.ts'
import type { MemberSession } from './member-session.ts'
import { MemberStreams } from './member-streams.ts'
import {
  decodeMemberMessage,
  encodeLossy,
  KIND_ACCEPT,
  KIND_ANSWER,
  KIND_CANCEL,
  KIND_EMIT,
  KIND_JOIN,
  KIND_LEAF,
  KIND_LEAVE,
  KIND_LOSSY,
  KIND_PACKET,
  KIND_PRESENCE,
  KIND_REQUEST,
  type LinkPair,
  type MemberMessage,
} from './member-wire.ts'
import { type Membership, Memberships } from './membership.ts'
import { MeshSpread } from './mesh-spread.ts'
import { Outbox } from './outbox.ts'
import { PRESENCE_BYTES_MAX, Presence } from './presence.ts'
import { SubclusterKeys } from './subcluster-keys.ts'

/**
 * The subclusters of one peer: takes the application's commands and the sessions' messages, and hands
 * each to the part it concerns. Knows no datagram and no route. A port's methods must not call back.
 */

/** What encoding may add to a value of exactly 1 MiB: the head of a CBOR byte string has 5 bytes. */
const ENCODING_BYTES = 5
/** A value sent to members in one message; with its header within the session's message limit. */
export const VALUE_BYTES_MAX = 1024 * 1024 + ENCODING_BYTES

export interface GroupsConfig {
  readonly crypto: Crypto
  readonly random: Random
  readonly identity: KeyPair & { readonly peerId: PeerId }
  readonly clusterId: Uint8Array
  readonly emit: (event: PeerEvent) => void
  readonly reject: (code: RejectCode) => void
}

export type GroupsCommand = Exclude<Command, { type: 'dial' | 'close' }>
type CommandOf<T extends GroupsCommand['type']> = Extract<GroupsCommand, { type: T }>
/** Those that travel on a link. */
type LinkMessage = Extract<MemberMessage, { kind: 0x20 | 0x21 | 0x22 | 0x23 | 0x24 | 0x25 }>

export class Groups {
  readonly #config: GroupsConfig
  /** The joined subclusters, by handle: the hex of their shared keys. */
  readonly #joined = new Map<Handle, string>()
  readonly #memberships: Memberships
  readonly #replication: Replication
  readonly #spread: MeshSpread
  readonly #outbox: Outbox
  readonly #calls: Calls
  readonly #streams: MemberStreams
  readonly #presence: Presence
  #now = 0 as Instant
  #wall = 0 as UnixMs

  constructor(config: GroupsConfig) {
    this.#config = config
    const { crypto, random, identity, emit, reject } = config
    this.#outbox = new Outbox(emit)
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
    this.#spread = new MeshSpread((subcluster) =>
      this.#memberships.proved(subcluster).filter(({ isJoined }) => isJoined),
    )
    this.#replication = new Replication({
      crypto,
      author: identity,
      spread: this.#spread,
      deliver: (delivered) => emit({ type: 'packet', ...delivered }),
      reject,
    })
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
  }

  sessionLost(port: SessionPort): void {
    this.#memberships.sessionLost(port)
  }

  sessionBack(port: SessionPort): void {
    this.#memberships.sessionBack(port)
    for (const membership of this.#memberships.session(port)?.memberships.values() ?? [])
      if (membership.isReported) this.#presence.back(membership)
  }

  sessionDown(port: SessionPort, why: LeaveReason, now: Instant): void {
    this.#now = now
    const session = this.#memberships.session(port)
    if (session === undefined) return
    this.#streams.sessionDown(session)
    this.#memberships.sessionDown(port, why)
    this.#calls.sessionDown(session)
  }

  /** `payload` is handed over: events and held messages carry views of it. */
  message(port: SessionPort, payload: Uint8Array, now: Instant, wall: UnixMs): void {
    this.#now = now
    this.#wall = wall
    const session = this.#memberships.session(port)
    assert(session !== undefined, 'a message comes from a session that is up')
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
      case KIND_PACKET: {
        const origin = { peer: port.peer, isRelayed: port.path === 'relayed' }
        return this.#replication.receivePacket(message.packet, origin, now, wall)
      }
      case KIND_LEAF: {
        const { root, level, index, bytes } = message
        return this.#replication.receiveLeaf(root, level, index, bytes, now)
      }
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
    for (const part of [this.#spread, this.#outbox, this.#calls, this.#replication])
      first = earlier(first, part.deadline())
    return first
  }

  onDeadline(now: Instant, wall: UnixMs): void {
    this.#now = now
    this.#wall = wall
    this.#spread.onDeadline(now)
    this.#outbox.onDeadline(now)
    this.#calls.onDeadline(now)
    this.#replication.onDeadline(now)
  }

  /** Whether a peer shares a subcluster with us, and each has proved it to the other. */
  isMember(peer: PeerId): boolean {
    return this.#memberships.isMember(peer)
  }

  #join({ subcluster: handle, sharedKey }: CommandOf<'join'>): void {
    if (sharedKey.length !== 32)
      throw new UsageError('EKEY', 'sharedKey', '32 bytes', `${sharedKey.length} bytes`)
    const key = toHex(sharedKey)
    for (const [other, otherKey] of this.#joined) {
      if (other === handle)
        throw new UsageError('EHANDLE', 'subcluster', 'an unused handle', `${handle}, in use`)
      if (otherKey === key)
        throw new UsageError('EJOINED', 'sharedKey', 'a key not joined yet', `that of ${other}`)
    }
    this.#joined.set(handle, key)
    const keys = new SubclusterKeys(this.#config.crypto, sharedKey, this.#config.clusterId)
    this.#replication.subscribe(handle, keys)
    this.#memberships.join({ handle, keys })
  }

  #leave(handle: Handle): void {
    if (!this.#joined.delete(handle)) return
    this.#replication.unsubscribe(handle)
    this.#spread.forget(handle)
    this.#outbox.close(handle)
    for (const membership of this.#memberships.proved(handle)) {
      this.#streams.ended(membership, 'ECLOSED')
      this.#calls.ended(membership, 'ECLOSED')
    }
    this.#presence.close(handle)
    this.#memberships.leave(handle)
  }

  #publish(command: CommandOf<'publish'>): void {
    const { operation, subcluster, event, value, delivery, lifeMs } = command
    requireName('event', event)
    if (!this.#joined.has(subcluster)) return this.#failed(operation, 'ECLOSED')
    const limit = delivery === 'durable' ? PAYLOAD_BYTES_MAX : VALUE_BYTES_MAX
    if (value.length > limit) return this.#failed(operation, 'ETOOBIG')
    if (delivery === 'lossy') return this.#publishLossy(command)
    if (delivery === 'live') {
      const present = this.#present(subcluster)
      return this.#outbox.sendLive(operation, present, event, value.slice())
    }
    const lifeMinutes = Math.ceil(lifeMs / 60_000)
    if (!(lifeMinutes >= 1 && lifeMinutes <= LIFE_MINUTES_MAX))
      throw new UsageError('ELIFE', 'lifeMs', 'more than 0, at most 7 days', `${lifeMs}`)
    const salt = this.#config.random.bytes(SALT_BYTES)
    const draft = { event, value: value.slice(), lifeMinutes, salt }
    this.#replication.publish(subcluster, draft, this.#now, this.#wall, (packet) => {
      this.#config.emit({ type: 'done', operation, packet })
    })
  }

  #publishLossy({ operation, subcluster, event, value }: CommandOf<'publish'>): void {
    let hasFitted = true
    for (const membership of this.#present(subcluster)) {
      const payload = encodeLossy(membership.pair, event, value)
      if (!membership.session.port.sendDatagram(payload)) hasFitted = false
    }
    if (!hasFitted) return this.#failed(operation, 'ETOOBIG')
    this.#config.emit({ type: 'done', operation, packet: undefined })
  }

  #send({ operation, subcluster, peer, event, value }: CommandOf<'send'>): void {
    requireName('event', event)
    if (!this.#joined.has(subcluster)) return this.#failed(operation, 'ECLOSED')
    if (value.length > VALUE_BYTES_MAX) return this.#failed(operation, 'ETOOBIG')
    const membership = this.#memberships.joined(subcluster, peer)
    this.#outbox.send(operation, subcluster, peer, event, value.slice(), membership)
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
    this.#config.emit({ type: 'message', ...where, event, value, delivery, via })
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
    this.#outbox.joined(membership)
    this.#spread.welcome(membership, this.#wall)
  }

  #onEnded(membership: Membership, why: LeaveReason): void {
    this.#streams.ended(membership, 'EPEERGONE')
    this.#calls.ended(membership, 'EPEERGONE')
    this.#presence.ended(membership)
    this.#outbox.ended(membership, why, this.#now)
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

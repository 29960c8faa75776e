import { TimerQueue } from '../collections/timer-queue.ts'
import type {
  Deadline,
  FailureCode,
  Handle,
  Instant,
  LeaveReason,
  PeerEvent,
  PeerId,
} from '../io.ts'
import { INBOX_BYTES_MAX, INBOX_MESSAGES_MAX } from './inbox.ts'
import { encodeEmit, type LinkPair } from './member-wire.ts'
import type { Membership } from './membership.ts'

/**
 * Messages to members until they are acknowledged: numbers them, and stays within what the other side
 * can put in order. Those of a member that is away become letters, which are another's business.
 */

/** What encoding may add to a value of exactly 1 MiB: the head of a CBOR byte string has 5 bytes. */
const ENCODING_BYTES = 5
/** A value sent to members in one message; with its header within the session's message limit. */
export const VALUE_BYTES_MAX = 1024 * 1024 + ENCODING_BYTES

/** A member that was started anew is here again within a round trip. Guess. */
export const RESTART_WAIT_MS = 5_000

/** A message on a session that may have arrived there: whoever gets its letter can tell. */
export interface LetterOrigin {
  /** The session's secret; only its first bytes are told. */
  readonly binding: Uint8Array
  readonly pair: LinkPair
  readonly sequence: number
}

/** A message that no session takes to its member. */
export interface Letter {
  readonly operation: Handle
  readonly subcluster: Handle
  readonly peer: PeerId
  readonly event: string
  readonly value: Uint8Array
  readonly origin: LetterOrigin | undefined
}

/** One command; `live` ones have a part for each member. */
interface Operation {
  readonly handle: Handle
  readonly isLive: boolean
  readonly parts: Part[]
  remaining: number
}

interface Part {
  readonly operation: Operation
  readonly lane: Lane
  readonly event: string
  readonly value: Uint8Array
}

interface InFlight {
  readonly part: Part
  readonly sequence: number
  /** Sum of the values sent before it on this membership. */
  readonly bytesBefore: number
}

interface EventTail {
  sequence: number
  unacknowledged: number
}

/** All messages to one peer in one subcluster, in the order of their commands. */
class Lane {
  readonly key: string
  readonly subcluster: Handle
  readonly peer: PeerId
  membership: Membership | undefined
  /** No contact, or what was mailed meanwhile is to be there first. */
  isHeldBack = false
  readonly waiting = new Set<Part>()
  /** By message number of the session; the oldest first. */
  readonly inFlight = new Map<number, InFlight>()
  nextSequence = 0
  sentBytes = 0
  /** Of events with something unacknowledged: what the next message of the event must follow. */
  readonly tails = new Map<string, EventTail>()

  constructor(key: string, subcluster: Handle, peer: PeerId) {
    this.key = key
    this.subcluster = subcluster
    this.peer = peer
  }

  open(membership: Membership): void {
    this.isHeldBack = false
    if (this.membership === membership) return
    this.membership = membership
    this.nextSequence = 0
    this.sentBytes = 0
    this.tails.clear()
  }
}

export class Outbox {
  readonly #emit: (event: PeerEvent) => void
  readonly #operations = new Map<Handle, Operation>()
  readonly #lanes = new Map<string, Lane>()
  readonly #mail: (letter: Letter) => void
  readonly #restarting = new TimerQueue<string>()

  constructor(emit: (event: PeerEvent) => void, mail: (letter: Letter) => void) {
    this.#emit = emit
    this.#mail = mail
  }

  /** Whether messages to this member wait for it to be started anew. */
  isAwaited(subcluster: Handle, peer: PeerId): boolean {
    const lane = this.#lanes.get(laneKey(subcluster, peer))
    return lane !== undefined && lane.membership === undefined
  }

  /** To one member; without a `membership` it waits for one (`joined`). */
  send(
    handle: Handle,
    subcluster: Handle,
    peer: PeerId,
    event: string,
    value: Uint8Array,
    membership: Membership | undefined,
  ): void {
    const operation: Operation = { handle, isLive: false, parts: [], remaining: 1 }
    this.#operations.set(handle, operation)
    this.#add(operation, this.#lane(subcluster, peer, membership), event, value)
  }

  /** To everyone who is here: done when each has it or has gone. */
  sendLive(
    handle: Handle,
    memberships: readonly Membership[],
    event: string,
    value: Uint8Array,
  ): void {
    const remaining = memberships.length
    const operation: Operation = { handle, isLive: true, parts: [], remaining }
    if (remaining === 0) return this.#emit({ type: 'done', operation: handle, packet: undefined })
    this.#operations.set(handle, operation)
    for (const membership of memberships) {
      const subcluster = membership.subcluster.handle
      this.#add(operation, this.#lane(subcluster, membership.peer, membership), event, value)
    }
  }

  /** Whether the operation was one of ours. What has left cannot be called back, only forgotten. */
  cancel(handle: Handle): boolean {
    const operation = this.#operations.get(handle)
    if (operation === undefined) return false
    for (const part of operation.parts) part.lane.waiting.delete(part)
    this.#finish(operation, 'EABORTED')
    return true
  }

  /** A member is here, or in contact again, and has its mail. */
  joined(membership: Membership): void {
    const lane = this.#lanes.get(laneKey(membership.subcluster.handle, membership.peer))
    if (lane === undefined) return
    this.#restarting.clear(lane.key)
    lane.open(membership)
    this.#pump(lane)
  }

  /** Its session is silent: what is under way goes on, and by letter too. */
  lost(membership: Membership): void {
    const lane = this.#lanes.get(laneKey(membership.subcluster.handle, membership.peer))
    if (lane === undefined) return
    this.#mailAll(lane)
    if (lane.membership === membership) lane.isHeldBack = true
    else this.#forget(lane)
  }

  ended(membership: Membership, why: LeaveReason, now: Instant): void {
    if (membership.remoteLink === undefined) return
    const lane = this.#lanes.get(laneKey(membership.subcluster.handle, membership.peer))
    if (lane === undefined) return
    if (why === 'restarted') return this.#await(lane, now)
    this.#mailAll(lane)
    this.#forget(lane)
  }

  /** We left: nothing more goes there. */
  close(subcluster: Handle): void {
    for (const lane of [...this.#lanes.values()])
      if (lane.subcluster === subcluster) this.#drop(lane, 'ECLOSED')
  }

  deadline(): Deadline | undefined {
    const first = this.#restarting.earliest()
    return first && { at: first.at as Instant, reason: first.reason }
  }

  onDeadline(now: Instant): void {
    for (;;) {
      const key = this.#restarting.takeDue(now)
      if (key === undefined) return
      const lane = this.#lanes.get(key)
      if (lane === undefined) continue
      this.#mailAll(lane)
      this.#forget(lane)
    }
  }

  #lane(subcluster: Handle, peer: PeerId, membership: Membership | undefined): Lane {
    const key = laneKey(subcluster, peer)
    let lane = this.#lanes.get(key)
    if (lane === undefined) {
      lane = new Lane(key, subcluster, peer)
      this.#lanes.set(key, lane)
      if (membership !== undefined) lane.open(membership)
    }
    return lane
  }

  #add(operation: Operation, lane: Lane, event: string, value: Uint8Array): void {
    const part = { operation, lane, event, value }
    operation.parts.push(part)
    lane.waiting.add(part)
    this.#pump(lane)
  }

  #pump(lane: Lane): void {
    const membership = lane.membership
    if (membership === undefined || lane.isHeldBack) return
    for (const part of lane.waiting) {
      const oldest = lane.inFlight.values().next().value
      if (oldest !== undefined && !hasRoom(lane, oldest, part.value.length)) return
      lane.waiting.delete(part)
      this.#transmit(lane, membership, part)
    }
  }

  #transmit(lane: Lane, membership: Membership, part: Part): void {
    const sequence = lane.nextSequence++
    const tail = lane.tails.get(part.event)
    const back = tail === undefined ? 0 : sequence - tail.sequence
    const unacknowledged = (tail?.unacknowledged ?? 0) + 1
    lane.tails.set(part.event, { sequence, unacknowledged })
    const payload = encodeEmit(membership.pair, sequence, back, part.event, part.value)
    const message = membership.session.send(payload, () => {
      if (lane.membership === membership) this.#acked(lane, message)
    })
    lane.inFlight.set(message, { part, sequence, bytesBefore: lane.sentBytes })
    lane.sentBytes += part.value.length
  }

  #acked(lane: Lane, message: number): void {
    const inFlight = lane.inFlight.get(message)
    if (inFlight === undefined) return
    lane.inFlight.delete(message)
    const { event } = inFlight.part
    const tail = lane.tails.get(event)
    // All of the event's messages have arrived, so the next one need not name one to follow.
    if (tail !== undefined && --tail.unacknowledged === 0) lane.tails.delete(event)
    this.#settle(inFlight.part, undefined)
    this.#pump(lane)
  }

  /** The member returns at once: its messages wait again, in their old order, and live ones end. */
  #await(lane: Lane, now: Instant): void {
    const parts = partsOf(lane).map(({ part }) => part)
    lane.membership = undefined
    lane.inFlight.clear()
    lane.waiting.clear()
    for (const part of parts) {
      if (part.operation.isLive) this.#settle(part, undefined)
      else if (this.#operations.get(part.operation.handle) === part.operation)
        lane.waiting.add(part)
    }
    this.#restarting.set(lane.key, now + RESTART_WAIT_MS, 'member awaited')
  }

  /** What the member has not acknowledged becomes letters, in order; live messages end. */
  #mailAll(lane: Lane): void {
    const { membership, subcluster, peer } = lane
    const parts = partsOf(lane)
    lane.inFlight.clear()
    lane.waiting.clear()
    for (const { part, sequence } of parts) {
      const { operation, event, value } = part
      if (operation.isLive) this.#settle(part, undefined)
      else if (this.#operations.get(operation.handle) === operation) {
        this.#operations.delete(operation.handle)
        const isSent = membership !== undefined && sequence !== undefined
        const origin = isSent ? originOf(membership, sequence) : undefined
        this.#mail({ operation: operation.handle, subcluster, peer, event, value, origin })
      }
    }
  }

  #forget(lane: Lane): void {
    this.#lanes.delete(lane.key)
    this.#restarting.clear(lane.key)
  }

  #drop(lane: Lane, code: FailureCode): void {
    this.#forget(lane)
    lane.membership = undefined
    for (const { part } of lane.inFlight.values()) this.#settle(part, code)
    for (const part of lane.waiting) this.#settle(part, code)
  }

  /** One part is through (or, for a live one, nobody's any more). */
  #settle(part: Part, failure: FailureCode | undefined): void {
    const { operation } = part
    if (this.#operations.get(operation.handle) !== operation) return
    if (failure !== undefined && (!operation.isLive || failure === 'ECLOSED'))
      return this.#finish(operation, failure)
    operation.remaining--
    if (operation.remaining === 0) this.#finish(operation, undefined)
  }

  #finish(operation: Operation, failure: FailureCode | undefined): void {
    this.#operations.delete(operation.handle)
    if (failure === undefined)
      this.#emit({ type: 'done', operation: operation.handle, packet: undefined })
    else this.#emit({ type: 'failed', operation: operation.handle, code: failure })
  }
}

function partsOf(lane: Lane): { readonly part: Part; readonly sequence: number | undefined }[] {
  const waiting = [...lane.waiting].map((part) => ({ part, sequence: undefined }))
  return [...lane.inFlight.values(), ...waiting]
}

function originOf({ session, pair }: Membership, sequence: number): LetterOrigin {
  return { binding: session.port.binding, pair, sequence }
}

/** Everything sent after the oldest unacknowledged message may have to be held until that one comes. */
function hasRoom(lane: Lane, oldest: InFlight, bytes: number): boolean {
  const oldestEnd = oldest.bytesBefore + oldest.part.value.length
  return (
    lane.nextSequence < oldest.sequence + INBOX_MESSAGES_MAX &&
    lane.sentBytes - oldestEnd + bytes <= INBOX_BYTES_MAX
  )
}

function laneKey(subcluster: Handle, peer: PeerId): string {
  return `${subcluster} ${peer}`
}

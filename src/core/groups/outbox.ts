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
import { encodeEmit } from './member-wire.ts'
import type { Membership } from './membership.ts'

/**
 * Messages to members until they are acknowledged: numbers them, stays within what the other side can
 * put in order, and keeps them for a member whose session ended without a good-bye.
 */

/** Guess: a laptop closed over lunch. */
export const OUTBOX_KEEP_MS = 60 * 60_000
/** Guess: members awaited at once; past it, who has been away longest is given up. */
export const AWAITED_MEMBERS_MAX = 1024

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
  membership: Membership | undefined
  readonly waiting = new Set<Part>()
  /** By message number of the session; the oldest first. */
  readonly inFlight = new Map<number, InFlight>()
  nextSequence = 0
  sentBytes = 0
  /** Of events with something unacknowledged: what the next message of the event must follow. */
  readonly tails = new Map<string, EventTail>()

  constructor(key: string, subcluster: Handle) {
    this.key = key
    this.subcluster = subcluster
  }

  open(membership: Membership): void {
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
  readonly #awaited = new TimerQueue<string>()

  constructor(emit: (event: PeerEvent) => void) {
    this.#emit = emit
  }

  get awaitedCount(): number {
    return this.#awaited.size
  }

  /** To one member; without a `membership` it waits for one who is expected back, or fails. */
  send(
    handle: Handle,
    subcluster: Handle,
    peer: PeerId,
    event: string,
    value: Uint8Array,
    membership: Membership | undefined,
  ): void {
    const key = laneKey(subcluster, peer)
    if (membership === undefined && !this.#lanes.has(key)) {
      this.#emit({ type: 'failed', operation: handle, code: 'EPEERGONE' })
      return
    }
    const operation: Operation = { handle, isLive: false, parts: [], remaining: 1 }
    this.#operations.set(handle, operation)
    this.#add(operation, this.#lane(key, subcluster, membership), event, value)
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
      const key = laneKey(subcluster, membership.peer)
      this.#add(operation, this.#lane(key, subcluster, membership), event, value)
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

  joined(membership: Membership): void {
    const lane = this.#lanes.get(laneKey(membership.subcluster.handle, membership.peer))
    if (lane === undefined) return
    this.#awaited.clear(lane.key)
    lane.open(membership)
    this.#pump(lane)
  }

  ended(membership: Membership, why: LeaveReason, now: Instant): void {
    if (membership.remoteLink === undefined) return
    const subcluster = membership.subcluster.handle
    const key = laneKey(subcluster, membership.peer)
    const mayReturn = why === 'restarted' || why === 'timeout'
    const lane = this.#lanes.get(key)
    if (mayReturn) this.#await(lane ?? this.#lane(key, subcluster, undefined), now)
    else if (lane !== undefined) this.#drop(lane, 'EPEERGONE')
  }

  /** We left: nothing more goes there. */
  close(subcluster: Handle): void {
    for (const lane of [...this.#lanes.values()])
      if (lane.subcluster === subcluster) this.#drop(lane, 'ECLOSED')
  }

  deadline(): Deadline | undefined {
    const first = this.#awaited.earliest()
    return first && { at: first.at as Instant, reason: first.reason }
  }

  onDeadline(now: Instant): void {
    for (;;) {
      const key = this.#awaited.takeDue(now)
      if (key === undefined) return
      const lane = this.#lanes.get(key)
      if (lane !== undefined) this.#drop(lane, 'EPEERGONE')
    }
  }

  #lane(key: string, subcluster: Handle, membership: Membership | undefined): Lane {
    let lane = this.#lanes.get(key)
    if (lane === undefined) {
      lane = new Lane(key, subcluster)
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
    if (membership === undefined) return
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

  /** The member may return: its messages wait again, in their old order, and live ones end. */
  #await(lane: Lane, now: Instant): void {
    const parts = [...[...lane.inFlight.values()].map(({ part }) => part), ...lane.waiting]
    lane.membership = undefined
    lane.inFlight.clear()
    lane.waiting.clear()
    for (const part of parts) {
      if (part.operation.isLive) this.#settle(part, undefined)
      else if (this.#operations.get(part.operation.handle) === part.operation)
        lane.waiting.add(part)
    }
    this.#awaited.set(lane.key, now + OUTBOX_KEEP_MS, 'member awaited')
    if (this.#awaited.size <= AWAITED_MEMBERS_MAX) return
    const longestAway = this.#lanes.get(this.#awaited.earliest()?.key ?? '')
    if (longestAway !== undefined) this.#drop(longestAway, 'EPEERGONE')
  }

  #drop(lane: Lane, code: FailureCode): void {
    this.#lanes.delete(lane.key)
    this.#awaited.clear(lane.key)
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

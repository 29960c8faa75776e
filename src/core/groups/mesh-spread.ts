import type { Deadline, Handle, Instant, UnixMs } from '../io.ts'
import type { SealedPacket } from '../replication/packet-seal.ts'
import type { Spread } from '../replication/replication.ts'
import { encodeLeaf, encodePacketMessage } from './member-wire.ts'
import type { Membership } from './membership.ts'

/**
 * Gives what we publish to every member we have a session with, and, while we run, to those who come
 * later. A level of leaves is sent when the one above has been acknowledged, so that the other side
 * never meets a leaf it cannot check.
 */

/** Guess: a megabyte under way keeps 100 Mbit/s busy over 100 ms. */
export const LEAVES_UNDER_WAY_MAX = 1024
/** Guess: our packets of an evening. The oldest is dropped first, and one larger than all is not kept. */
export const KEPT_BYTES_MAX = 4 * 1024 * 1024
export const KEPT_PACKETS_MAX = 1024
/** A publisher is told that its packet is out after this, even if nobody took it: it is kept. Guess. */
export const HELD_WAIT_MS = 2_000

type Stages = readonly (readonly Uint8Array[])[]

interface Kept {
  readonly subcluster: Handle
  readonly stages: Stages
  readonly sizeBytes: number
  readonly expiresAt: UnixMs
}

export class MeshSpread implements Spread {
  readonly #members: (subcluster: Handle) => readonly Membership[]
  readonly #kept = new Set<Kept>()
  #keptBytes = 0
  /** Publishers that wait for the first member to have their packet; the earliest first. */
  readonly #waiting = new Set<{ readonly until: Instant; readonly onHeld: () => void }>()

  /** `members`: those who have verified us, and we them. */
  constructor(members: (subcluster: Handle) => readonly Membership[]) {
    this.#members = members
  }

  get keptBytes(): number {
    return this.#keptBytes
  }

  spread(
    subcluster: Handle,
    packet: SealedPacket,
    expiresAt: UnixMs,
    now: Instant,
    onHeld: () => void,
  ): void {
    const stages = [[encodePacketMessage(packet.bytes)]]
    for (const leaves of packet.levels.toReversed())
      stages.push(
        leaves.map(({ level, index, bytes }) => encodeLeaf(packet.id, level, index, bytes)),
      )
    this.#keep({ subcluster, stages, sizeBytes: sizeOf(stages), expiresAt })
    const members = this.#members(subcluster)
    if (members.length === 0) return onHeld()
    const waiting = { until: (now + HELD_WAIT_MS) as Instant, onHeld }
    this.#waiting.add(waiting)
    const onDone = () => {
      if (this.#waiting.delete(waiting)) onHeld()
    }
    for (const member of members) new Transfer(member, stages, onDone).start()
  }

  /** A member came: it gets what we published before. */
  welcome(member: Membership, wall: UnixMs): void {
    for (const kept of [...this.#kept]) {
      if (kept.expiresAt <= wall) this.#drop(kept)
      else if (kept.subcluster === member.subcluster.handle)
        new Transfer(member, kept.stages, () => {}).start()
    }
  }

  forget(subcluster: Handle): void {
    for (const kept of [...this.#kept]) if (kept.subcluster === subcluster) this.#drop(kept)
  }

  deadline(): Deadline | undefined {
    const first = this.#waiting.values().next().value
    return first && { at: first.until, reason: 'nobody took what we published' }
  }

  onDeadline(now: Instant): void {
    for (const waiting of [...this.#waiting]) {
      if (waiting.until > now) return
      this.#waiting.delete(waiting)
      waiting.onHeld()
    }
  }

  #keep(packet: Kept): void {
    if (packet.sizeBytes > KEPT_BYTES_MAX) return
    this.#kept.add(packet)
    this.#keptBytes += packet.sizeBytes
    for (const oldest of [...this.#kept]) {
      if (this.#keptBytes <= KEPT_BYTES_MAX && this.#kept.size <= KEPT_PACKETS_MAX) return
      this.#drop(oldest)
    }
  }

  #drop(kept: Kept): void {
    if (this.#kept.delete(kept)) this.#keptBytes -= kept.sizeBytes
  }
}

class Transfer {
  readonly #member: Membership
  readonly #stages: Stages
  readonly #onDone: () => void
  #stage = 0
  #sent = 0
  #acked = 0

  constructor(member: Membership, stages: Stages, onDone: () => void) {
    this.#member = member
    this.#stages = stages
    this.#onDone = onDone
  }

  start(): void {
    const messages = this.#stages[this.#stage]
    if (messages === undefined) return this.#onDone()
    if (this.#member.isEnded) return
    while (this.#sent < messages.length && this.#sent - this.#acked < LEAVES_UNDER_WAY_MAX) {
      const message = messages[this.#sent++]
      if (message !== undefined) this.#member.session.send(message, () => this.#onAcked(messages))
    }
  }

  #onAcked(messages: readonly Uint8Array[]): void {
    this.#acked++
    if (this.#acked === messages.length) {
      this.#stage++
      this.#sent = 0
      this.#acked = 0
    }
    this.start()
  }
}

function sizeOf(stages: Stages): number {
  let bytes = 0
  for (const stage of stages) for (const message of stage) bytes += message.length
  return bytes
}

import type { Handle } from '../io.ts'
import type { SealedPacket } from '../replication/packet-seal.ts'
import type { Spread } from '../replication/replication.ts'
import { encodeLeaf, encodePacketMessage } from './member-wire.ts'
import type { Membership } from './membership.ts'

/**
 * Gives what we publish to every member we have a session with. A level of leaves is sent when the one
 * above has been acknowledged, so that the other side never meets a leaf it cannot check.
 */

/** Guess: a megabyte under way keeps 100 Mbit/s busy over 100 ms. */
export const LEAVES_UNDER_WAY_MAX = 1024

export class MeshSpread implements Spread {
  readonly #members: (subcluster: Handle) => readonly Membership[]

  /** `members`: those who have proved themselves; a packet needs no more, for it proves itself. */
  constructor(members: (subcluster: Handle) => readonly Membership[]) {
    this.#members = members
  }

  spread(subcluster: Handle, packet: SealedPacket): void {
    const members = this.#members(subcluster)
    if (members.length === 0) return
    const stages = [[encodePacketMessage(packet.bytes)]]
    for (const leaves of packet.levels.toReversed())
      stages.push(
        leaves.map(({ level, index, bytes }) => encodeLeaf(packet.id, level, index, bytes)),
      )
    for (const member of members) new Transfer(member, stages).start()
  }
}

class Transfer {
  readonly #member: Membership
  readonly #stages: readonly (readonly Uint8Array[])[]
  #stage = 0
  #sent = 0
  #acked = 0

  constructor(member: Membership, stages: readonly (readonly Uint8Array[])[]) {
    this.#member = member
    this.#stages = stages
  }

  start(): void {
    const messages = this.#stages[this.#stage]
    if (messages === undefined || this.#member.isEnded) return
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

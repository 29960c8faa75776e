import { TimerQueue } from '../collections/timer-queue.ts'
import type { Deadline, Instant } from '../io.ts'
import { LAMPORT_MAX, PARENTS_MAX } from './packet-seal.ts'
import { SeenSet } from './seen.ts'

/**
 * The causal order of one subcluster's packets: a packet is released after the packets it follows, or
 * after a wait with a gap. Decides order, heads and Lamport time; does not fetch what is missing.
 */

/** DESIGN §8: delivered with a gap flag after 2 s. */
export const CAUSAL_WAIT_MS = 2000
/** Guess: two seconds at 500 packets a second; past it the oldest goes ahead with its gap. */
export const WAITING_PACKETS_MAX = 1024
/** In strict order nothing goes ahead: past it the oldest is left to the next start. Guess. */
export const STRICT_WAITING_MAX = 16_384
/** Guess: a packet whose parents lie further back than this waits in vain, and only waits. */
export const KNOWN_PACKETS_MIN = 8192

export interface CausalPacket {
  /** Hex of the id's first 16 bytes, which is how packets name each other. */
  readonly key: string
  readonly parents: readonly string[]
  readonly lamport: number
}

export interface Released<T> {
  readonly packet: T
  /** Something that it follows has not arrived. */
  readonly gap: boolean
}

interface Waiting<T> {
  readonly packet: T
  readonly missing: Set<string>
}

export class CausalOrder<T extends CausalPacket> {
  readonly #delivered = new SeenSet(KNOWN_PACKETS_MIN)
  /** Named as a parent: no head any more, even if it arrives after its child. */
  readonly #followed = new SeenSet(KNOWN_PACKETS_MIN)
  readonly #waiting = new Map<string, Waiting<T>>()
  readonly #timers = new TimerQueue<string>()
  readonly #childrenOf = new Map<string, Set<string>>()
  readonly #isStrict: boolean
  #heads: string[] = []
  #lamport = 0

  constructor(isStrict = false) {
    this.#isStrict = isStrict
  }

  /** What the next packet of our own follows: the oldest first, at most `PARENTS_MAX`. */
  get heads(): readonly string[] {
    return this.#heads
  }

  /** The Lamport time of the next packet of our own. */
  get nextLamport(): number {
    return Math.min(this.#lamport + 1, LAMPORT_MAX)
  }

  get waitingCount(): number {
    return this.#waiting.size
  }

  has(key: string): boolean {
    return this.#delivered.has(key)
  }

  /** What it follows and has not been delivered. */
  missing(packet: CausalPacket): string[] {
    return packet.parents.filter((parent) => !this.#delivered.has(parent))
  }

  /** A packet of our own, or one of an earlier run: it counts as delivered. */
  published(packet: CausalPacket): void {
    this.#deliver(packet)
  }

  /** A packet that has never arrived before. Returns what may be delivered, in order. */
  arrived(packet: T, now: Instant, waitMs = CAUSAL_WAIT_MS): Released<T>[] {
    const missing = new Set(this.missing(packet))
    if (missing.size === 0) return this.#release(packet, false)
    this.#waiting.set(packet.key, { packet, missing })
    this.#timers.set(packet.key, now + waitMs, 'causal gap')
    for (const parent of missing) {
      const children = this.#childrenOf.get(parent) ?? new Set()
      this.#childrenOf.set(parent, children.add(packet.key))
    }
    const oldest = this.#waiting.values().next().value
    const max = this.#isStrict ? STRICT_WAITING_MAX : WAITING_PACKETS_MAX
    if (oldest === undefined || this.#waiting.size <= max) return []
    if (!this.#isStrict) return this.#releaseWaiting(oldest, true)
    this.#stopWaiting(oldest)
    return []
  }

  /** It is no longer waited for what this one follows: it will not be delivered. */
  drop(key: string): void {
    const waiting = this.#waiting.get(key)
    if (waiting !== undefined) this.#stopWaiting(waiting)
  }

  deadline(): Deadline | undefined {
    const first = this.#timers.earliest()
    return first && { at: first.at as Instant, reason: first.reason }
  }

  onDeadline(now: Instant): Released<T>[] {
    const due: Waiting<T>[] = []
    for (;;) {
      const key = this.#timers.takeDue(now)
      if (key === undefined) break
      const waiting = this.#waiting.get(key)
      if (waiting !== undefined) due.push(waiting)
    }
    due.sort((a, b) => compareCausally(a.packet, b.packet))
    const released: Released<T>[] = []
    for (const waiting of due)
      if (this.#waiting.has(waiting.packet.key))
        released.push(...this.#releaseWaiting(waiting, true))
    return released
  }

  #releaseWaiting(waiting: Waiting<T>, gap: boolean): Released<T>[] {
    this.#stopWaiting(waiting)
    return this.#release(waiting.packet, gap)
  }

  /** The packet, and then whatever waited for it alone, least (lamport, id) first. */
  #release(first: T, gap: boolean): Released<T>[] {
    const released: Released<T>[] = []
    const ready: Released<T>[] = [{ packet: first, gap }]
    for (let next = ready.shift(); next !== undefined; next = ready.shift()) {
      released.push(next)
      this.#deliver(next.packet)
      for (const key of this.#childrenOf.get(next.packet.key) ?? []) {
        const child = this.#waiting.get(key)
        if (child === undefined) continue
        child.missing.delete(next.packet.key)
        if (child.missing.size > 0) continue
        this.#stopWaiting(child)
        ready.push({ packet: child.packet, gap: false })
      }
      this.#childrenOf.delete(next.packet.key)
      ready.sort((a, b) => compareCausally(a.packet, b.packet))
    }
    return released
  }

  #stopWaiting(waiting: Waiting<T>): void {
    this.#waiting.delete(waiting.packet.key)
    this.#timers.clear(waiting.packet.key)
    for (const parent of waiting.missing) {
      const children = this.#childrenOf.get(parent)
      children?.delete(waiting.packet.key)
      if (children?.size === 0) this.#childrenOf.delete(parent)
    }
  }

  #deliver(packet: CausalPacket): void {
    this.#delivered.add(packet.key)
    this.#lamport = Math.max(this.#lamport, packet.lamport)
    for (const parent of packet.parents) this.#followed.add(parent)
    this.#heads = this.#heads.filter((head) => !packet.parents.includes(head))
    if (!this.#followed.has(packet.key)) this.#heads.push(packet.key)
    if (this.#heads.length > PARENTS_MAX) this.#heads.shift()
  }
}

/** By (Lamport time, id): a packet comes after all that it follows. */
export function compareCausally(
  a: Pick<CausalPacket, 'key' | 'lamport'>,
  b: Pick<CausalPacket, 'key' | 'lamport'>,
): number {
  return a.lamport - b.lamport || (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)
}

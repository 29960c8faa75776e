import { BoundedMap } from '../../collections/bounded-map.ts'
import { TimerQueue } from '../../collections/timer-queue.ts'
import type { Deadline, Instant, PeerId } from '../../io.ts'

/**
 * Who holds what, on disk. Tells remotes that asked (HELD) when what they gave is kept here, and tells
 * our publishers when enough others keep theirs. Decides when a publisher has waited enough.
 */

/** One that fails, one that leaves, one that stays. Guess. */
export const COPIES_WANTED = 3
/** When nobody has taken anything of ours for so long, a publisher waits no more: its packet is kept here. Guess. */
export const HELD_WAIT_MS = 2_000
/** A deadline that comes so much later than it should. Guess. */
const LATE_MS = 200
/** Remotes that wait for their large packets to be whole here. Guess: past it the oldest never hears. */
export const OWED_MAX = 4096
/** Of those, for one packet. Guess. */
export const OWED_PEERS_MAX = 64
/** Receipts for the next sync, of a disk that is slow. Guess: past it the latest never hears. */
export const RECEIPTS_MAX = 16_384

interface Publisher {
  readonly onHeld: () => void
  copies: number
  isOnOurDisk: boolean
  readonly holders: Set<PeerId>
}

interface Receipt {
  readonly peer: PeerId
  readonly short: string
}

export class Receipts {
  readonly #requestSync: () => void
  readonly #tell: (peer: PeerId, shorts: readonly string[]) => void
  readonly #publishers = new Map<string, Publisher>()
  readonly #timers = new TimerQueue<string>()
  /** When a remote last said that it holds something of ours, or fetched a leaf of it. */
  #progressAt = Number.NEGATIVE_INFINITY
  /** Of roots that are not whole yet, by short. */
  readonly #owed = new BoundedMap<string, Set<PeerId>>(OWED_MAX)
  /** Stored since the last sync was asked for. */
  #waiting: Receipt[] = []
  #ownWaiting: string[] = []
  #underWay: { readonly receipts: Receipt[]; readonly own: string[] } | undefined

  constructor(requestSync: () => void, tell: (peer: PeerId, shorts: readonly string[]) => void) {
    this.#requestSync = requestSync
    this.#tell = tell
  }

  /**
   * A packet of ours is stored and goes to so many that will keep it. `onHeld` is called once: when
   * enough do, at the latest at `until`, unless somebody is fetching it.
   */
  published(short: string, takers: number, until: number, onHeld: () => void): void {
    this.#publishers.set(short, {
      onHeld,
      copies: Math.max(1, Math.min(COPIES_WANTED, takers)),
      isOnOurDisk: false,
      holders: new Set(),
    })
    this.#await(short, until)
    this.#ownWaiting.push(short)
    this.#sync()
  }

  /** Whether its publisher waits. */
  isAwaited(short: string): boolean {
    return this.#publishers.has(short)
  }

  /** Whether too few others hold it yet. */
  isLacking(short: string): boolean {
    const publisher = this.#publishers.get(short)
    return publisher !== undefined && publisher.holders.size < publisher.copies
  }

  /** `peer` gave it and wants to hear when it is on disk; at once when it is whole. */
  asked(short: string, peer: PeerId, isWhole: boolean): void {
    if (isWhole) {
      this.#owe(short, peer)
      this.#sync()
      return
    }
    const peers = this.#owed.get(short) ?? new Set()
    if (peers.size < OWED_PEERS_MAX) peers.add(peer)
    this.#owed.set(short, peers)
  }

  /** A root has all its leaves. */
  whole(short: string): void {
    for (const peer of this.#owed.get(short) ?? []) this.#owe(short, peer)
    this.#owed.delete(short)
    this.#sync()
  }

  /** A remote says that it holds this. */
  held(short: string, peer: PeerId, now: Instant): void {
    const publisher = this.#publishers.get(short)
    if (publisher === undefined || publisher.holders.has(peer)) return
    this.#progressAt = now
    publisher.holders.add(peer)
    this.#settle(short, publisher)
  }

  /** A remote fetches leaves of it: there is something to wait for. */
  isProgressing(short: string, now: Instant): void {
    if (this.#publishers.has(short)) this.#progressAt = now
  }

  synced(isKept: boolean): void {
    const batch = this.#underWay
    this.#underWay = undefined
    if (batch !== undefined && isKept) this.#onDisk(batch)
    this.#sync()
  }

  deadline(): Deadline | undefined {
    const first = this.#timers.earliest()
    return first && { at: first.at as Instant, reason: first.reason }
  }

  onDeadline(now: Instant): void {
    // We were busy ourselves: what remotes said meanwhile has not been heard yet.
    const isLate = (this.#timers.earliest()?.at ?? now) + LATE_MS < now
    if (isLate) this.#progressAt = now
    for (;;) {
      const short = this.#timers.takeDue(now)
      if (short === undefined) return
      const publisher = this.#publishers.get(short)
      // While remotes take what we publish, this one's turn may come.
      if (this.#progressAt + HELD_WAIT_MS > now) this.#await(short, this.#progressAt + HELD_WAIT_MS)
      else if (publisher !== undefined) this.#finish(short, publisher)
    }
  }

  #onDisk({ receipts, own }: { readonly receipts: Receipt[]; readonly own: string[] }): void {
    const byPeer = new Map<PeerId, string[]>()
    for (const { peer, short } of receipts) {
      const shorts = byPeer.get(peer)
      if (shorts === undefined) byPeer.set(peer, [short])
      else shorts.push(short)
    }
    for (const [peer, shorts] of byPeer) this.#tell(peer, shorts)
    for (const short of own) {
      const publisher = this.#publishers.get(short)
      if (publisher === undefined) continue
      publisher.isOnOurDisk = true
      this.#settle(short, publisher)
    }
  }

  #owe(short: string, peer: PeerId): void {
    if (this.#waiting.length < RECEIPTS_MAX) this.#waiting.push({ peer, short })
  }

  #await(short: string, until: number): void {
    this.#timers.set(short, until, 'nobody took what we published')
  }

  #settle(short: string, publisher: Publisher): void {
    if (publisher.isOnOurDisk && publisher.holders.size >= publisher.copies)
      this.#finish(short, publisher)
  }

  #finish(short: string, publisher: Publisher): void {
    this.#publishers.delete(short)
    this.#timers.clear(short)
    publisher.onHeld()
  }

  #sync(): void {
    if (this.#underWay !== undefined) return
    if (this.#waiting.length === 0 && this.#ownWaiting.length === 0) return
    this.#underWay = { receipts: this.#waiting, own: this.#ownWaiting }
    this.#waiting = []
    this.#ownWaiting = []
    this.#requestSync()
  }
}

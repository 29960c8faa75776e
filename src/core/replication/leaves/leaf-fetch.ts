import { TimerQueue } from '../../collections/timer-queue.ts'
import { earlier } from '../../deadlines.ts'
import { MALFORMED } from '../../errors.ts'
import type { Deadline, Instant, PeerId, RejectCode } from '../../io.ts'
import { toHex } from '../../wire/bytes.ts'
import type { HeldPacket, StoreVerdict } from '../cache/packet-store.ts'
import { shortOf } from '../packet-name.ts'
import {
  decodeLeafMessage,
  encodeWantLeaves,
  indexesOf,
  KIND_LACK_LEAVES,
  KIND_LEAF,
  type LeafPlaces,
  placesOf,
} from './leaf-messages.ts'
import { HOLDERS_MAX, type Holder, type Holding, placeKey, RootFetch } from './root-fetch.ts'

/**
 * Fetches the missing leaves of large messages from several holders at once: docs/spec/cache.md. Decides
 * which leaf is asked of whom and when it is asked again elsewhere; a leaf is judged by the store.
 */

/** Guess: large messages fetched at a time; the others wait for their turn. */
export const ROOTS_ACTIVE_MAX = 64
/** Guess: past it, the one that waits longest is forgotten until it is wanted again. */
export const ROOTS_WAITING_MAX = 1024
/** Half of what a holder queues for one peer, so that a request repeated in vain finds room. */
export const WINDOW_MAX = 128
const WINDOW_START = 32
const WINDOW_MIN = 8
/** Guess: fewer are not worth splitting between holders. */
const SPLIT_MIN = 8
/** Guess: a session repairs a loss within a few round trips; a second more for its queue. */
export const STALL_MS = 1000
const STALL_RTTS = 4
/** Guess: so long a leaf may be under way although others of the same holder come. */
export const LEAF_WAIT_MS = 8000
/** Guess: a holder without anything new is asked again after this, then half as often each time. */
export const RETRY_MS = 1000
export const RETRY_MS_MAX = 30_000
/** Guess: who made no progress for so long gives its turn to one that waits. */
export const TURN_MS = 2000
export const PROGRESS_MS = 100

export interface LeafFetchHost {
  send(peer: PeerId, message: Uint8Array): void
  /** Undefined: there is no session any more. */
  rttMs(peer: PeerId): number | undefined
  /** `PacketStore.addLeaf`. */
  take(name: string, level: number, index: number, bytes: Uint8Array): StoreVerdict
  /** At most every 100 ms for each root. */
  progress(held: HeldPacket, now: Instant): void
  whole(held: HeldPacket, now: Instant): void
}

export class LeafFetch {
  readonly #host: LeafFetchHost
  /** All roots, by how messages name them: hex of 8 bytes. */
  readonly #roots = new Map<string, RootFetch>()
  readonly #active = new Set<RootFetch>()
  readonly #waiting = new Set<RootFetch>()
  readonly #holders = new Map<PeerId, Holder>()
  readonly #timers = new TimerQueue<Holding>()
  /** When those that make no progress give up their turn; undefined: nobody waits. */
  #turnAt: Instant | undefined

  constructor(host: LeafFetchHost) {
    this.#host = host
  }

  get activeCount(): number {
    return this.#active.size
  }

  get waitingCount(): number {
    return this.#waiting.size
  }

  get holderCount(): number {
    return this.#holders.size
  }

  /** Leaves that a peer was asked for and that have not come. */
  underWay(peer: PeerId): number {
    return this.#holders.get(peer)?.underWay ?? 0
  }

  /** Begins, if it has not begun. Of two roots whose short names are equal the first is fetched. */
  want(held: HeldPacket, now: Instant): void {
    if (held.isWhole || held.leaves === undefined) return
    const short = shortOf(held.name)
    if (this.#roots.has(short)) return
    const root = new RootFetch(held, now)
    this.#roots.set(short, root)
    this.#waiting.add(root)
    if (this.#waiting.size <= ROOTS_WAITING_MAX) return
    const [oldest] = this.#waiting
    if (oldest !== undefined) this.#drop(oldest)
  }

  /** This peer has the root, and leaves of it: asked from now on. */
  holder(name: string, peer: PeerId, now: Instant): void {
    const root = this.#roots.get(shortOf(name))
    if (root === undefined || root.held.name !== name || root.banned.has(peer)) return
    if (this.#host.rttMs(peer) === undefined) return
    const known = root.holdings.get(peer)
    if (known !== undefined) {
      // It may have more by now.
      known.lacks.clear()
      known.pausedUntil = now
    } else if (!this.#join(root, peer, now)) return
    if (this.#waiting.has(root)) this.#admit(root, now)
    this.#fill(root, now)
  }

  /** A LEAF or LACK_LEAVES. */
  message(peer: PeerId, payload: Uint8Array, now: Instant): RejectCode | undefined {
    const message = decodeLeafMessage(payload)
    if (message === MALFORMED) return 'malformed'
    const holding = this.#roots.get(toHex(message.root))?.holdings.get(peer)
    if (holding === undefined) return 'unknown'
    if (message.kind === KIND_LACK_LEAVES) return this.#lacked(holding, message, now)
    if (message.kind !== KIND_LEAF) return 'malformed'
    return this.#arrived(holding, message.level, message.index, message.bytes, now)
  }

  sessionGone(peer: PeerId, now: Instant): void {
    const holder = this.#holders.get(peer)
    for (const holding of [...(holder?.holdings ?? [])]) this.#leave(holding, now)
  }

  /** Its packet is gone from the store. */
  forget(name: string, now: Instant): void {
    const root = this.#roots.get(shortOf(name))
    if (root === undefined || root.held.name !== name) return
    this.#drop(root)
    this.#promote(now)
  }

  deadline(): Deadline | undefined {
    const first = this.#timers.earliest()
    const timer = first && { at: first.at as Instant, reason: first.reason }
    const turn =
      this.#turnAt === undefined ? undefined : { at: this.#turnAt, reason: 'leaves turn' }
    return earlier(timer, turn)
  }

  onDeadline(now: Instant): void {
    for (;;) {
      const holding = this.#timers.takeDue(now)
      if (holding === undefined) break
      this.#due(holding, now)
    }
    if (this.#turnAt !== undefined && this.#turnAt <= now) this.#promote(now)
  }

  #join(root: RootFetch, peer: PeerId, now: Instant): boolean {
    if (root.holdings.size >= HOLDERS_MAX) {
      const worst = [...root.holdings.values()].reduce((a, b) => (b.failures > a.failures ? b : a))
      if (worst.failures === 0) return false
      this.#release(worst)
    }
    let holder = this.#holders.get(peer)
    if (holder === undefined) {
      holder = { peer, holdings: new Set(), window: WINDOW_START, underWay: 0, heardAt: now }
      this.#holders.set(peer, holder)
    }
    const waits = { lacksUntil: now, pausedUntil: now, failures: 0 }
    const holding: Holding = { root, holder, asked: new Map(), lacks: new Set(), ...waits }
    holder.holdings.add(holding)
    root.holdings.set(peer, holding)
    return true
  }

  #arrived(
    holding: Holding,
    level: number,
    index: number,
    bytes: Uint8Array,
    now: Instant,
  ): RejectCode | undefined {
    const { root, holder } = holding
    const verdict = this.#host.take(root.held.name, level, index, bytes)
    if (verdict === 'unwanted') {
      this.forget(root.held.name, now)
      return undefined
    }
    if (verdict === 'wrong') {
      root.banned.set(holder.peer, true)
      this.#leave(holding, now)
      return 'unauthentic'
    }
    if (verdict === 'early') return 'unknown'
    const key = placeKey(level, index)
    // What it was not asked for is no sign that it gives what it was asked for.
    if (verdict !== 'known' || holding.asked.has(key)) holder.heardAt = now
    this.#settle(root, key)
    if (verdict !== 'known') {
      holder.window = Math.min(WINDOW_MAX, holder.window + 1)
      holding.failures = 0
      root.progressAt = now
      if (verdict === 'complete') return this.#finish(root, now)
      root.took(level, index)
      this.#tell(root, now)
    }
    this.#fill(root, now)
    this.#fillOthers(holder, now)
    return undefined
  }

  #lacked(holding: Holding, places: LeafPlaces, now: Instant): undefined {
    for (const index of indexesOf(places)) {
      const key = placeKey(places.level, index)
      if (!holding.asked.delete(key)) continue
      holding.holder.heardAt = now
      holding.holder.underWay--
      if (holding.lacks.size === 0) {
        holding.lacksUntil = (now + retryMs(holding.failures)) as Instant
        holding.failures++
      }
      holding.lacks.add(key)
      holding.root.again(key)
    }
    this.#arm(holding, now)
    this.#fill(holding.root, now)
    this.#fillOthers(holding.holder, now)
  }

  /** Whoever was asked for it need not be waited for. */
  #settle(root: RootFetch, key: number): void {
    for (const { asked, holder } of root.holdings.values()) if (asked.delete(key)) holder.underWay--
  }

  #tell(root: RootFetch, now: Instant): void {
    if (root.toldAt !== undefined && now - root.toldAt < PROGRESS_MS) return
    root.toldAt = now
    this.#host.progress(root.held, now)
  }

  #finish(root: RootFetch, now: Instant): undefined {
    const holders = [...root.holdings.values()].map(({ holder }) => holder)
    this.#drop(root)
    this.#promote(now)
    for (const holder of holders) this.#fillOthers(holder, now)
    this.#host.whole(root.held, now)
  }

  /** Those that gave what they were asked for come first. */
  #fill(root: RootFetch, now: Instant): void {
    if (!this.#active.has(root)) return
    for (const hasFailed of [false, true])
      for (const holding of root.holdings.values())
        if (holding.failures > 0 === hasFailed) this.#ask(holding, now)
  }

  /** What this holder has room for goes to the other roots that it holds. */
  #fillOthers(holder: Holder, now: Instant): void {
    for (const holding of holder.holdings) {
      if (2 * holder.underWay > holder.window) return
      if (this.#active.has(holding.root)) this.#ask(holding, now)
    }
  }

  /** Half a window at a time, so that a request asks for many. */
  #ask(holding: Holding, now: Instant): void {
    const { holder, root } = holding
    if (2 * holder.underWay > holder.window || now < holding.pausedUntil) return
    const part = Math.ceil(root.readyCount / root.holdings.size)
    let room = Math.min(holder.window - holder.underWay, Math.max(part, SPLIT_MIN))
    while (room > 0) {
      const { level, indexes } = root.next(holding, room)
      if (indexes.length === 0) return
      room -= indexes.length
      if (holder.underWay === 0) holder.heardAt = now
      holder.underWay += indexes.length
      for (const index of indexes) holding.asked.set(placeKey(level, index), now)
      this.#arm(holding, now)
      for (const places of placesOf(root.id, level, indexes))
        this.#host.send(holder.peer, encodeWantLeaves(places))
    }
  }

  /** Leaves that come do not move a timer: when it fires, it is set to where it should be. */
  #arm(holding: Holding, now: Instant): void {
    this.#timers.set(holding, this.#dueAt(holding, now), 'leaves')
  }

  #dueAt({ asked, lacks, lacksUntil, pausedUntil, holder }: Holding, now: Instant) {
    const dues: number[] = []
    const [oldest] = asked.values()
    if (oldest !== undefined) dues.push(this.#stalledAt(holder), oldest + LEAF_WAIT_MS)
    if (pausedUntil > now) dues.push(pausedUntil)
    if (lacks.size > 0) dues.push(lacksUntil)
    return dues.length === 0 ? undefined : Math.min(...dues)
  }

  #stalledAt(holder: Holder): number {
    return holder.heardAt + STALL_MS + STALL_RTTS * (this.#host.rttMs(holder.peer) ?? 0)
  }

  #due(holding: Holding, now: Instant): void {
    const { holder, root, asked, lacks } = holding
    if (holding.lacksUntil <= now) lacks.clear()
    const isStalled = this.#stalledAt(holder) <= now
    let late = 0
    for (const [key, at] of asked) {
      if (!isStalled && at + LEAF_WAIT_MS > now) break
      asked.delete(key)
      root.again(key)
      late++
    }
    if (late > 0) {
      holder.underWay -= late
      holder.window = Math.max(WINDOW_MIN, holder.window >> 1)
      holding.pausedUntil = (now + retryMs(holding.failures)) as Instant
      holding.failures++
    }
    this.#arm(holding, now)
    this.#fill(root, now)
    this.#fillOthers(holder, now)
  }

  /** The holder is none of this root's any more. */
  #leave(holding: Holding, now: Instant): void {
    const { root } = holding
    this.#release(holding)
    if (root.holdings.size === 0 && this.#active.has(root)) {
      this.#suspend(root)
      this.#promote(now)
    }
    this.#fill(root, now)
  }

  #release(holding: Holding): void {
    const { root, holder } = holding
    this.#giveBack(holding)
    this.#timers.clear(holding)
    root.holdings.delete(holder.peer)
    holder.holdings.delete(holding)
    if (holder.holdings.size === 0) this.#holders.delete(holder.peer)
  }

  #giveBack({ root, holder, asked }: Holding): void {
    for (const key of asked.keys()) root.again(key)
    holder.underWay -= asked.size
    asked.clear()
  }

  #drop(root: RootFetch): void {
    for (const holding of [...root.holdings.values()]) this.#release(holding)
    this.#active.delete(root)
    this.#waiting.delete(root)
    this.#roots.delete(shortOf(root.held.name))
    root.end()
  }

  /** One that waits and has a holder gets its turn, if there is one to be had. */
  #admit(root: RootFetch, now: Instant): boolean {
    if (this.#active.size >= ROOTS_ACTIVE_MAX) {
      this.#turnAt ??= (now + TURN_MS) as Instant
      const idlest = [...this.#active].reduce((a, b) => (b.progressAt < a.progressAt ? b : a))
      if (now - idlest.progressAt < TURN_MS) return false
      this.#suspend(idlest)
    }
    this.#waiting.delete(root)
    this.#active.add(root)
    root.progressAt = now
    root.begin()
    this.#fill(root, now)
    return true
  }

  #suspend(root: RootFetch): void {
    for (const holding of root.holdings.values()) this.#giveBack(holding)
    root.end()
    this.#active.delete(root)
    this.#waiting.add(root)
  }

  #promote(now: Instant): void {
    this.#turnAt = undefined
    for (const root of [...this.#waiting])
      if (root.holdings.size > 0 && !this.#admit(root, now)) return
  }
}

function retryMs(failures: number): number {
  return Math.min(RETRY_MS_MAX, RETRY_MS * 2 ** failures)
}

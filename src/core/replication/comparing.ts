import type { Crypto, Random } from '../crypto.ts'
import { earlier } from '../deadlines.ts'
import type { Deadline, Instant, PeerId, RejectCode } from '../io.ts'
import { pointOf } from '../overlay/id-space.ts'
import { type Placement, sharedBits } from '../overlay/placement.ts'
import type { SessionPort } from '../session/port.ts'
import { fromHex, toHex } from '../wire/bytes.ts'
import type { PacketStore } from './cache/packet-store.ts'
import { NAME_BYTES } from './packet-name.ts'
import { SCOPE_TAG_BYTES, SCOPE_TAGS_MAX } from './reconcile/reconcile-wire.ts'
import { Reconciler, type ReconcileScope } from './reconcile/reconciler.ts'
import { Repair } from './repair.ts'
import type { Spread } from './spread/spread.ts'
import { tagPrefix } from './spread/spread-messages.ts'

/**
 * What we compare with a neighbour, and what follows from it: joins the schedule (`repair.ts`) and the
 * machine that finds differences (`reconcile/`) to what is held. Decides what two peers have in common.
 */
export interface ComparingHost {
  placement(): Placement
  location(tag: string): string
  meanStayMs(): number | undefined
}

export interface ComparingParts {
  readonly crypto: Crypto
  readonly random: Random
  readonly self: PeerId
  readonly store: PacketStore
  readonly spread: Spread
  /** Tags that we follow, in hex. */
  readonly followed: () => readonly string[]
  readonly host: ComparingHost
}

/** Comparisons of tags with one neighbour in a row. Guess: those of the days that matter most. */
const TAG_SCOPES_MAX = 2
/** Guess: a newcomer then has sessions with its nearest, and knows what is its own to keep. */
const SETTLE_MS = 2_000
/** What came by comparing is told to others when it was so little: they may lack it too. Guess. */
const TELLING_MAX = 256

export class Comparing {
  readonly #parts: ComparingParts
  readonly #reconciler: Reconciler
  readonly #repair: Repair
  /** How many packets the last comparison with a neighbour was to bring. */
  readonly #coming = new Map<PeerId, number>()
  #now: Instant
  /** When our neighbours tell what we are custodians of. */
  #settledAt: Instant | undefined

  constructor(parts: ComparingParts, now: Instant) {
    this.#parts = parts
    this.#now = now
    const { crypto, random, self, spread, host } = parts
    this.#reconciler = new Reconciler({
      crypto,
      random,
      self,
      host: {
        send: (peer, message) => spread.link(peer)?.sendMessage(message),
        names: (requester, scope) => this.#names(requester, scope),
        give: (peer, names) => spread.give(peer, names.map(toHex)),
        expect: (peer, count) => {
          this.#coming.set(peer, count)
          spread.expect(peer, count)
        },
        ended: (peer, { result }, part) => {
          if (part === 'answered') return
          const isOver = result === 'equal' || result === 'differed'
          if (!isOver) this.#repair.failed(this.#now)
          this.#repair.ended(peer, this.#now)
        },
      },
    })
    const repairHost = {
      partners: () => this.#partners(),
      scopes: (peer: PeerId) => this.#scopes(peer),
      begin: (peer: PeerId, scope: ReconcileScope, at: Instant) => this.#begin(peer, scope, at),
      meanStayMs: () => host.meanStayMs(),
    }
    this.#repair = new Repair({ random, host: repairHost }, now)
  }

  message(port: SessionPort, payload: Uint8Array, now: Instant): RejectCode | undefined {
    this.#now = now
    return this.#reconciler.message(port.peer, port.binding, payload, now)
  }

  /** Who began the session begins to compare. */
  met(port: SessionPort, now: Instant): void {
    this.#now = now
    if (this.#settledAt === undefined) {
      this.#settledAt = (now + SETTLE_MS) as Instant
      this.#repair.changed(now)
    }
    if (port.isInitiator) this.#repair.met(port.peer, now)
  }

  gone(peer: PeerId): void {
    this.#repair.gone(peer)
    this.#coming.delete(peer)
    this.#reconciler.sessionGone(peer)
  }

  changed(now: Instant): void {
    this.#repair.changed(now)
  }

  /** Whether what this neighbour gives unasked is news for others too. */
  isWorthTelling(peer: PeerId): boolean {
    return (this.#coming.get(peer) ?? 0) <= TELLING_MAX
  }

  deadline(): Deadline | undefined {
    return earlier(this.#reconciler.deadline(), this.#repair.deadline())
  }

  onDeadline(now: Instant): void {
    this.#now = now
    this.#reconciler.onDeadline(now)
    this.#repair.onDeadline(now)
  }

  #begin(peer: PeerId, scope: ReconcileScope, now: Instant): void {
    const link = this.#parts.spread.link(peer)
    if (link?.isUp) this.#reconciler.begin(peer, link.port.binding, scope, now)
    else this.#repair.ended(peer, now)
  }

  #partners(): PeerId[] {
    return this.#parts.spread
      .links()
      .filter(({ port }) => !port.isDormant)
      .map(({ peer }) => peer)
  }

  #scopes(peer: PeerId): ReconcileScope[] {
    const { spread, followed, host } = this.#parts
    const placement = host.placement()
    if (placement.isSmall) return [{ kind: 'everything' }]
    const scopes: ReconcileScope[] = []
    const bits = placement.ownBits
    const isSettled = this.#settledAt !== undefined && this.#settledAt <= this.#now
    if (isSettled && sharedBits(peer, this.#parts.self) >= bits)
      scopes.push({ kind: 'range', bits })
    const link = spread.link(peer)
    const point = link?.point ?? pointOf(peer)
    const common = followed().filter((tag) => {
      const isFollowed = link?.follows(tagPrefix(tag)) === true
      return isFollowed || placement.custodiansOf(host.location(tag))(point)
    })
    for (let i = 0; i < TAG_SCOPES_MAX && i * SCOPE_TAGS_MAX < common.length; i++) {
      const some = common.slice(i * SCOPE_TAGS_MAX, (i + 1) * SCOPE_TAGS_MAX)
      const tags = some.map((tag) => (fromHex(tag) ?? new Uint8Array()).slice(0, SCOPE_TAG_BYTES))
      scopes.push({ kind: 'tags', tags })
    }
    return scopes
  }

  #names(requester: PeerId, scope: ReconcileScope): Uint8Array[] {
    const { store, host } = this.#parts
    const isWithin = within(scope, requester, (tag) => host.location(tag))
    const names: Uint8Array[] = []
    const verdicts = new Map<string, boolean>()
    for (const { name, tag, isHeld } of store.entries()) {
      let isIn = verdicts.get(tag)
      if (isIn === undefined) {
        isIn = isWithin(tag)
        verdicts.set(tag, isIn)
      }
      if (!isIn) continue
      const id = isHeld ? store.get(name)?.id.subarray(0, NAME_BYTES) : fromHex(name)
      if (id !== undefined) names.push(id)
    }
    return names
  }
}

function within(
  scope: ReconcileScope,
  requester: PeerId,
  location: (tag: string) => string,
): (tag: string) => boolean {
  switch (scope.kind) {
    case 'everything':
      return () => true
    case 'range':
      return (tag) => sharedBits(requester, location(tag)) >= scope.bits
    case 'tags': {
      const prefixes = new Set(scope.tags.map(toHex))
      return (tag) => prefixes.has(tag.slice(0, 2 * SCOPE_TAG_BYTES))
    }
  }
}

import type { Deadline, Instant, LocalAddress, NatVector, PeerId } from '../io.ts'
import { isSameRoute } from '../session/route.ts'
import type { Session } from '../session/session.ts'
import type { ScratchSockets } from './scratch-sockets.ts'

/**
 * Behind a NAT that ends mappings at a certain age however busy they are, direct paths in use move to a
 * fresh socket before that. It decides when a socket is succeeded, which sessions move, and when the
 * old one closes; moving is the session's business, and what the remote does is what it does with any
 * address that it is told.
 */
export type SuccessionSession = Pick<
  Session,
  | 'peer'
  | 'isInitiator'
  | 'state'
  | 'path'
  | 'route'
  | 'paths'
  | 'usedAt'
  | 'tryRoute'
  | 'retire'
  | 'letGo'
>

export interface SuccessionHost {
  nat(): NatVector
  sessions(): Iterable<SuccessionSession>
  whereIs(
    socket: number,
    now: Instant,
    done: (address: LocalAddress | undefined, now: Instant) => void,
  ): void
  /** Tells a remote one more address of ours. */
  tellAlso(peer: PeerId, address: LocalAddress, now: Instant): void
}

const TICK_MS = 1_000
/** At this share of its lifetime a socket is succeeded: half of what is left is for a second try. */
const SUCCEED_SHARE = 0.6
/** A younger socket than that may still take over. */
const HEIR_SHARE = 0.3
/** The responder waits so much longer, that the two sides move one after the other. Guess. */
const RESPONDER_LAG_MS = 2_000
/** A path that was just taken is left alone for so long. Guess. */
const SETTLED_MS = 1_000
/** Several seconds of the last few with data in them are use; a message now and then is not. Guesses. */
const USE_PER_TICK = 2
const USE_ENOUGH = 6
const USE_MAX = 10
/** Probes of a path take 3 s, and their answers may take a while. */
const MOVE_MS = 6_000
/** A remote that cannot follow is asked ever more rarely. */
const FAILURES_MAX = 6
/** Each is soon followed by the next, and goes when nobody is left on it. */
const SOCKETS_MAX = 4

interface Heir {
  readonly socket: number
  readonly openedAt: Instant
  isPlaced: boolean
  /** Where remotes see it, if that is the same for all. */
  address: LocalAddress | undefined
}

interface Use {
  usedAt: Instant
  score: number
  /** The socket that was left, or was to be, and how often in a row in vain. */
  from: number | undefined
  failures: number
  /** No other move before. */
  nextMoveAt: number
}

export class Succession {
  readonly #host: SuccessionHost
  readonly #scratch: ScratchSockets
  /** Oldest first. */
  #heirs: readonly Heir[] = []
  #uses = new Map<PeerId, Use>()
  #tickedAt: Instant

  constructor(options: { host: SuccessionHost; scratch: ScratchSockets }, now: Instant) {
    this.#host = options.host
    this.#scratch = options.scratch
    this.#tickedAt = now
  }

  deadline(): Deadline | undefined {
    if (this.#lifetimeMs() === undefined && this.#heirs.length === 0) return undefined
    return { at: (this.#tickedAt + TICK_MS) as Instant, reason: 'nat-succession' }
  }

  onDeadline(now: Instant): void {
    if (now < this.#tickedAt + TICK_MS) return
    this.#tickedAt = now
    this.#sweep(now)
    const lifetimeMs = this.#lifetimeMs()
    this.#observeUse()
    if (lifetimeMs === undefined) return
    for (const session of this.#host.sessions()) {
      const endpoint = directEndpoint(session)
      if (endpoint === undefined || !this.#isDue(session, endpoint.socket, lifetimeMs, now))
        continue
      const heir = this.#heirFor(lifetimeMs, now)
      if (heir?.isPlaced === true) this.#move(session, endpoint, heir, now)
    }
  }

  /** Our network is another: no socket of before is of any use. */
  networkChanged(): void {
    for (const { socket } of this.#heirs) this.#close(socket)
    this.#heirs = []
    this.#uses.clear()
  }

  #lifetimeMs(): number | undefined {
    const { absoluteLifetimeMs, mapping, isTranslated } = this.#host.nat()
    // Where mappings depend on the remote, neighbours cannot tell the remote where the next one is.
    if (isTranslated !== true || mapping !== 'endpoint-independent') return undefined
    return absoluteLifetimeMs
  }

  #observeUse(): void {
    const uses = new Map<PeerId, Use>()
    for (const { peer, usedAt } of this.#host.sessions()) {
      const use = this.#uses.get(peer) ?? fresh(usedAt)
      const change = usedAt > use.usedAt ? USE_PER_TICK : -1
      use.score = Math.max(0, Math.min(USE_MAX, use.score + change))
      use.usedAt = usedAt
      uses.set(peer, use)
    }
    this.#uses = uses
  }

  #isDue(session: SuccessionSession, socket: number, lifetimeMs: number, now: Instant): boolean {
    const use = this.#uses.get(session.peer)
    if (use === undefined || use.score < USE_ENOUGH || now < use.nextMoveAt) return false
    const lagMs = session.isInitiator ? 0 : RESPONDER_LAG_MS
    if (now < (activatedAt(session) ?? now) + SETTLED_MS + lagMs) return false
    const heir = this.#heirs.find((other) => other.socket === socket)
    // How old the mapping of any other socket is, nobody knows.
    return heir === undefined || now >= heir.openedAt + SUCCEED_SHARE * lifetimeMs + lagMs
  }

  #heirFor(lifetimeMs: number, now: Instant): Heir | undefined {
    const last = this.#heirs.at(-1)
    if (last !== undefined && now < last.openedAt + HEIR_SHARE * lifetimeMs) return last
    const socket = this.#heirs.length < SOCKETS_MAX ? this.#scratch.open() : undefined
    if (socket === undefined) return undefined
    const heir: Heir = { socket, openedAt: now, isPlaced: false, address: undefined }
    this.#heirs = [...this.#heirs, heir]
    this.#host.whereIs(socket, now, (address) => {
      heir.isPlaced = true
      heir.address = address
    })
    return heir
  }

  #move(
    session: SuccessionSession,
    from: { readonly socket: number; readonly host: string; readonly port: number },
    heir: Heir,
    now: Instant,
  ): void {
    const use = this.#uses.get(session.peer)
    if (use === undefined) return
    use.failures = use.from === from.socket ? Math.min(FAILURES_MAX, use.failures + 1) : 0
    use.from = from.socket
    use.nextMoveAt = now + MOVE_MS * 2 ** use.failures
    if (heir.address !== undefined) this.#host.tellAlso(session.peer, heir.address, now)
    session.retire(from.socket)
    const { host, port } = from
    session.tryRoute(
      { kind: 'udp', endpoint: { kind: 'udp', socket: heir.socket, host, port } },
      now,
    )
  }

  /** Closes the sockets, but for the youngest, that carry no data of any session. */
  #sweep(now: Instant): void {
    const inUse = new Set<number>()
    for (const session of this.#host.sessions()) {
      const endpoint = directEndpoint(session)
      if (endpoint !== undefined) inUse.add(endpoint.socket)
    }
    const keptMs = Math.max(MOVE_MS, HEIR_SHARE * (this.#lifetimeMs() ?? 0))
    const isKept = ({ socket, openedAt }: Heir) =>
      this.#scratch.has(socket) && (inUse.has(socket) || now < openedAt + keptMs)
    for (const { socket } of this.#heirs.filter((heir) => !isKept(heir))) this.#close(socket)
    this.#heirs = this.#heirs.filter(isKept)
  }

  #close(socket: number): void {
    for (const session of this.#host.sessions()) session.letGo(socket)
    this.#scratch.close(socket)
  }
}

function directEndpoint({ state, path, route }: SuccessionSession) {
  if (state !== 'up' || path !== 'direct' || route?.kind !== 'udp') return undefined
  const { endpoint } = route
  return endpoint.host.includes(':') ? undefined : endpoint
}

function activatedAt({ route, paths }: SuccessionSession): Instant | undefined {
  return paths.find((path) => route !== undefined && isSameRoute(path.route, route))?.activatedAt
}

function fresh(usedAt: Instant): Use {
  return { usedAt, score: 0, from: undefined, failures: 0, nextMoveAt: Number.NEGATIVE_INFINITY }
}

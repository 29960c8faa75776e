import type { Deadline, Instant, PeerId } from '../io.ts'
import type { Session } from '../session/session.ts'
import { compareRelays } from './relay-choice.ts'

/**
 * Which sessions are kept warm. The others go dormant: they stay, cost nothing, and wake when either
 * side has something to say. Each side decides for itself, and the session is warm while one of them
 * wants it. It does not decide whom to have a session with.
 */
export type WantedSession = Pick<
  Session,
  | 'peer'
  | 'state'
  | 'path'
  | 'route'
  | 'paths'
  | 'rttMs'
  | 'madeAt'
  | 'usedAt'
  | 'owes'
  | 'isDormant'
  | 'setDormant'
  | 'ping'
>

export interface WantedHost {
  sessions(): Iterable<WantedSession>
  /** It shares a subcluster with us. */
  isMember(peer: PeerId): boolean
  isNamed(peer: PeerId): boolean
  /** In a network that is more than everyone: whom we chose to stay in touch with. */
  kept(): ReadonlySet<PeerId>
  /** Anyone may write to it. */
  isOpen(peer: PeerId): boolean
}

/** Guess: enough to be introduced, relayed and surveyed by, whoever of them leaves. */
export const BEST_NEIGHBOURS = 8
/** Guess: what was of use so lately may soon be again. */
export const DORMANT_AFTER_MS = 300_000
const CHECK_MS = 60_000
/** An answer to what was just said is due, or more of it. Guess. */
const QUIET_MS = 10_000

export class Wanted {
  readonly #host: WantedHost
  #checkAt: Instant
  /** When each was last wanted; its beginning, if it never was. */
  #wantedAt = new Map<PeerId, Instant>()

  constructor(host: WantedHost, now: Instant) {
    this.#host = host
    this.#checkAt = (now + CHECK_MS) as Instant
  }

  deadline(): Deadline {
    return { at: this.#checkAt, reason: 'dormancy' }
  }

  onDeadline(now: Instant): void {
    if (now < this.#checkAt) return
    this.#checkAt = (now + CHECK_MS) as Instant
    const sessions = [...this.#host.sessions()].filter(({ state }) => state === 'up')
    const wanted = this.#wanted(sessions)
    const wantedAt = new Map<PeerId, Instant>()
    for (const session of sessions) {
      const isWanted = wanted.has(session.peer)
      const at = isWanted ? now : (this.#wantedAt.get(session.peer) ?? session.madeAt)
      wantedAt.set(session.peer, at)
      if (isWanted && session.isDormant) this.#rouse(session, now)
      const isQuiet = !session.owes && now >= session.usedAt + QUIET_MS
      if (isQuiet && now >= at + DORMANT_AFTER_MS) session.setDormant(true, now)
    }
    this.#wantedAt = wantedAt
  }

  /** Is it still there? */
  #rouse(session: WantedSession, now: Instant): void {
    session.setDormant(false, now)
    session.ping()
  }

  #wanted(sessions: readonly WantedSession[]): Set<PeerId> {
    const { isMember, isNamed } = this.#host
    const wanted = new Set([...this.#best(sessions), ...this.#host.kept()])
    for (const { peer } of sessions) if (isMember(peer) || isNamed(peer)) wanted.add(peer)
    // A relay may itself be relayed, once.
    for (let i = 0; i < 2; i++) {
      for (const session of sessions) {
        if (session.path !== 'relayed' || !wanted.has(session.peer)) continue
        for (const { route, isProved } of session.paths)
          if (route.kind === 'relay' && isProved) wanted.add(route.via)
      }
    }
    return wanted
  }

  #best(sessions: readonly WantedSession[]): PeerId[] {
    const candidates = sessions.map(({ peer, path, rttMs, madeAt }) => {
      const isOpen = path !== 'relayed' && this.#host.isOpen(peer)
      return { peer, path, rttMs, madeAt, isKept: false, isOpen }
    })
    return candidates
      .sort((a, b) => Number(b.isOpen) - Number(a.isOpen) || compareRelays(a, b))
      .slice(0, BEST_NEIGHBOURS)
      .map(({ peer }) => peer)
  }
}

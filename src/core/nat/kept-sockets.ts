import type { Instant } from '../io.ts'
import type { ScratchSockets } from './scratch-sockets.ts'
import type { TraversalSession } from './traversal-session.ts'

/**
 * Scratch sockets that turned out to carry a path: each stays open while it carries a session's data. A
 * remote that proves many paths at once keeps one of the sockets, so that it cannot take them all.
 */
/** Within this it is settled which of the paths found carries the data. */
const SETTLE_MS = 5_000

export class KeptSockets {
  readonly #scratch: ScratchSockets
  /** Which are kept, and until when in any case. */
  readonly #kept = new Map<number, Instant>()

  constructor(scratch: ScratchSockets) {
    this.#scratch = scratch
  }

  get size(): number {
    return this.#kept.size
  }

  /** Closes those that carry no path of the session, and keeps the others. */
  release(session: TraversalSession, sockets: readonly number[], now: Instant): void {
    for (const socket of sockets) {
      if (hasPath(session, socket, now)) this.#kept.set(socket, (now + SETTLE_MS) as Instant)
      else this.#scratch.close(socket)
    }
  }

  /** Closes what carries no session's data. */
  sweep(all: Iterable<TraversalSession>, now: Instant): void {
    const sessions = [...all]
    const used = new Set(
      sessions.map(({ route }) => route?.kind === 'udp' && route.endpoint.socket),
    )
    for (const [socket, until] of this.#kept) {
      if (this.#scratch.has(socket) && (now < until || used.has(socket))) continue
      this.#kept.delete(socket)
      for (const session of sessions) session.letGo(socket)
      this.#scratch.close(socket)
    }
  }
}

/** A path that is proved, or was heard of lately and may yet be. */
function hasPath(session: TraversalSession, socket: number, now: Instant): boolean {
  return session.paths.some(
    ({ route, isProved, lastReceivedAt }) =>
      route.kind === 'udp' &&
      route.endpoint.socket === socket &&
      (isProved || now - lastReceivedAt < SETTLE_MS),
  )
}

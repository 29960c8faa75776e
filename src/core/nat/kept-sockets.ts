import type { Instant } from '../io.ts'
import type { ScratchSockets } from './scratch-sockets.ts'
import type { TraversalSession } from './traversal-session.ts'

/** Scratch sockets that turned out to carry a path: each stays open until no session's path uses it. */
/** A path that is still being proved was heard within this. */
const UNPROVED_KEPT_MS = 5_000

export class KeptSockets {
  readonly #scratch: ScratchSockets
  readonly #kept = new Set<number>()

  constructor(scratch: ScratchSockets) {
    this.#scratch = scratch
  }

  get size(): number {
    return this.#kept.size
  }

  /** Closes those that carry no path of the session, and keeps the others. */
  release(session: TraversalSession, sockets: readonly number[], now: Instant): void {
    for (const socket of sockets) {
      if (carries(session, socket, now)) this.#kept.add(socket)
      else this.#scratch.close(socket)
    }
  }

  /** Closes what no session's path uses any more. */
  sweep(sessions: Iterable<TraversalSession>, now: Instant): void {
    const used = new Set<number>()
    for (const session of sessions) {
      for (const socket of this.#kept) if (carries(session, socket, now)) used.add(socket)
    }
    for (const socket of this.#kept) {
      if (used.has(socket) && this.#scratch.has(socket)) continue
      this.#kept.delete(socket)
      this.#scratch.close(socket)
    }
  }
}

function carries(session: TraversalSession, socket: number, now: Instant): boolean {
  return session.paths.some(
    ({ route, isProved, lastReceivedAt }) =>
      route.kind === 'udp' &&
      route.endpoint.socket === socket &&
      (isProved || now - lastReceivedAt < UNPROVED_KEPT_MS),
  )
}

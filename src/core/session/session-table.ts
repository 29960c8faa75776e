import type { PeerId } from '../io.ts'
import { prefixOf } from './route.ts'
import type { Session } from './session.ts'

/** The sessions of a peer, found by their remote, by what a relay calls it, or by connection id. */
export class SessionTable {
  readonly #byPeer = new Map<PeerId, Session>()
  readonly #byPrefix = new Map<string, Session>()
  readonly #byCid = new Map<number, Session>()
  /** The connection ids of each, as they were last noted. */
  readonly #cids = new Map<Session, readonly number[]>()

  get size(): number {
    return this.#byPeer.size
  }

  with(peer: PeerId): Session | undefined {
    return this.#byPeer.get(peer)
  }

  withPrefix(prefix: string): Session | undefined {
    return this.#byPrefix.get(prefix)
  }

  withCid(cid: number): Session | undefined {
    return this.#byCid.get(cid)
  }

  all(): IterableIterator<Session> {
    return this.#byPeer.values()
  }

  /** Adds a session, or takes note that its connection ids changed. */
  add(session: Session): void {
    this.#byPeer.set(session.peer, session)
    this.#byPrefix.set(prefixOf(session.peer), session)
    this.#forgetCids(session)
    const { cids } = session
    this.#cids.set(session, cids)
    for (const cid of cids) this.#byCid.set(cid, session)
  }

  remove(session: Session): void {
    this.#byPeer.delete(session.peer)
    this.#byPrefix.delete(prefixOf(session.peer))
    this.#forgetCids(session)
  }

  #forgetCids(session: Session): void {
    for (const cid of this.#cids.get(session) ?? []) {
      if (this.#byCid.get(cid) === session) this.#byCid.delete(cid)
    }
    this.#cids.delete(session)
  }
}

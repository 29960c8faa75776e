import type { Random } from '../crypto.ts'
import type { PathKind, PeerId } from '../io.ts'
import { pointOf } from './id-space.ts'
import { nearestOf } from './live-peers.ts'
import { encodeOverlayMessage, PEERS_PER_MESSAGE_MAX, type TellMessage } from './messages.ts'

/**
 * Whom we tell about whom. While everyone knows everyone, everyone is told of everyone; beyond, those
 * hear of a peer who are near it, and a few at random. Whether they dial is their choice.
 */
export interface IntroducedSession {
  readonly peer: PeerId
  readonly state: 'up' | 'lost' | 'down'
  readonly path: PathKind
  sendMessage(payload: Uint8Array): number
}

/** As many as a whole small network has: nobody is left out there. */
export const TOLD_MAX = 64
const TOLD_AT_RANDOM = 16
/**
 * Who comes was told of those near it, and dials whom it wants. The others whom it is near hear of it
 * from some of the 20 or so that tell: each tells 4 of the 16 nearest, and anyone else. Guesses.
 */
const HEARERS_NEAR = 16
const HEARERS_DRAWN = 4
export const HEARERS_MAX = HEARERS_DRAWN + 1
/**
 * Where everyone tells, each hears from as many on the average, and finds relays among them; one in 3,000
 * from none, and the newcomer was told of it. With 24 a session cost 83 datagrams, with 8 it costs 54.
 */
export const HEARERS_OF_EVERYONE = 8
/** Guess: for one step towards a place, with some to spare. */
export const ANSWERED_MAX = 16

export class Introductions {
  readonly #random: Random
  readonly #sessions: () => Iterable<IntroducedSession>
  readonly #announced = new Set<PeerId>()
  #unannounced = new Set<PeerId>()

  constructor(random: Random, sessions: () => Iterable<IntroducedSession>) {
    this.#random = random
    this.#sessions = sessions
  }

  /** A session began: its remote is told whom we know. */
  welcome(session: IntroducedSession): void {
    const others = this.#others(session)
    if (others.length <= TOLD_MAX) return tell(session, 'peers', others.map(peerOf))
    const near = nearestOf(others, pointOf(session.peer), TOLD_MAX - TOLD_AT_RANDOM)
    const rest = others.filter((other) => !near.includes(other))
    tell(session, 'peers', [...near, ...this.#draw(rest, TOLD_AT_RANDOM)].map(peerOf))
  }

  /** Whom we know near a place that it asked for. */
  answer(session: IntroducedSession, place: string): void {
    const near = nearestOf(this.#others(session), pointOf(place), ANSWERED_MAX)
    tell(session, 'peers', near.map(peerOf))
  }

  /** The remote of a session is found to be reachable. False when it was announced before. */
  came(peer: PeerId): boolean {
    if (this.#announced.has(peer)) return false
    this.#announced.add(peer)
    this.#unannounced.add(peer)
    return true
  }

  left(peer: PeerId): void {
    this.#announced.delete(peer)
    this.#unannounced.delete(peer)
  }

  announce(isEveryone: boolean): void {
    const newcomers = [...this.#unannounced]
    this.#unannounced = new Set()
    const up = placed([...this.#sessions()].filter(({ state }) => state === 'up'))
    const news = new Map<IntroducedSession, PeerId[]>()
    for (const newcomer of newcomers) {
      const others = up.filter(({ session }) => session.peer !== newcomer)
      const hearers = isEveryone
        ? this.#draw(others, HEARERS_OF_EVERYONE)
        : this.#hearers(others, newcomer)
      for (const { session } of hearers) {
        const told = news.get(session)
        if (told === undefined) news.set(session, [newcomer])
        else told.push(newcomer)
      }
    }
    for (const [session, peers] of news) tell(session, 'newcomers', peers)
  }

  #hearers(others: readonly Placed[], newcomer: PeerId): readonly Placed[] {
    const near = nearestOf(others, pointOf(newcomer), HEARERS_NEAR)
    const rest = others.filter((other) => !near.includes(other))
    return [...this.#draw(near, HEARERS_DRAWN), ...this.#draw(rest, 1)]
  }

  /** To whom we have direct sessions, and so can relay. */
  #others(than: IntroducedSession): Placed[] {
    const direct: IntroducedSession[] = []
    for (const session of this.#sessions()) {
      if (session === than || session.state !== 'up' || session.path === 'relayed') continue
      direct.push(session)
    }
    return placed(direct)
  }

  #draw(from: Placed[], count: number): Placed[] {
    if (from.length <= count) return from
    const drawn: Placed[] = []
    const bytes = this.#random.bytes(2 * count)
    for (let i = 0; i < count && from.length > 0; i++) {
      const at = (((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0)) % from.length
      drawn.push(...from.splice(at, 1))
    }
    return drawn
  }
}

interface Placed {
  readonly session: IntroducedSession
  readonly point: ReturnType<typeof pointOf>
}

function placed(sessions: readonly IntroducedSession[]): Placed[] {
  return sessions.map((session) => ({ session, point: pointOf(session.peer) }))
}

function peerOf({ session }: Placed): PeerId {
  return session.peer
}

function tell(
  session: IntroducedSession,
  type: TellMessage['type'],
  peers: readonly PeerId[],
): void {
  for (let i = 0; i < peers.length; i += PEERS_PER_MESSAGE_MAX) {
    const some = peers.slice(i, i + PEERS_PER_MESSAGE_MAX)
    session.sendMessage(encodeOverlayMessage({ type, peers: some }))
  }
}

import { TimerQueue } from '../collections/timer-queue.ts'
import type { Crypto, Random } from '../crypto.ts'
import type { Deadline, Instant, PeerId } from '../io.ts'
import { COOKIE_BYTES, encodeInitiateIk, encodeInitiateXx } from '../wire/datagram.ts'
import { mac1 } from './cookie.ts'
import type { NoiseHandshake } from './noise.ts'
import { type Route, routeKey } from './route.ts'

/**
 * The handshakes that we began: one per remote, over every route known at once. It decides when a
 * first message is sent again and when nobody is there; the answers are read elsewhere.
 */
export interface Attempt {
  readonly key: string
  /** Undefined: XX, towards whoever is at the one route. */
  readonly peer: PeerId | undefined
  /** The X25519 form of its key. */
  readonly remotePublic: Uint8Array | undefined
  readonly routes: Route[]
  readonly cookies: Map<string, Uint8Array>
  readonly noise: NoiseHandshake
  readonly message: Uint8Array
  readonly cid: number
  readonly endsAt: number
  retryMs: number
}

/** First repeat after this long, then doubled: transport.md §5.7 measured WireGuard's 5 s as slow. */
const RETRY_MS = 250
const RETRY_MAX_MS = 5_000
export const HANDSHAKE_GIVE_UP_MS = 20_000
export const ATTEMPTS_MAX = 512
const ROUTES_MAX = 8
const NO_COOKIE = new Uint8Array(COOKIE_BYTES)

export interface AttemptsHost {
  send(route: Route, datagram: Uint8Array): void
  gaveUp(peer: PeerId | undefined, routes: readonly Route[], now: Instant): void
}

export class Attempts {
  readonly #crypto: Crypto
  readonly #random: Random
  readonly #host: AttemptsHost
  readonly #byKey = new Map<string, Attempt>()
  readonly #byCid = new Map<number, Attempt>()
  readonly #timers = new TimerQueue<string>()

  constructor(crypto: Crypto, random: Random, host: AttemptsHost) {
    this.#crypto = crypto
    this.#random = random
    this.#host = host
  }

  get count(): number {
    return this.#byKey.size
  }

  with(peer: PeerId): Attempt | undefined {
    return this.#byKey.get(peer)
  }

  withCid(cid: number): Attempt | undefined {
    return this.#byCid.get(cid)
  }

  /** Whether routes went to an attempt that is under way, or there is no room for another. */
  extend(key: string, routes: readonly Route[]): boolean {
    const running = this.#byKey.get(key)
    if (running === undefined) return this.#byKey.size >= ATTEMPTS_MAX
    for (const route of routes) this.addRoute(running, route)
    return true
  }

  begin(
    facts: Pick<Attempt, 'key' | 'remotePublic' | 'peer' | 'noise' | 'message' | 'cid'>,
    routes: readonly Route[],
    now: Instant,
  ): void {
    const attempt: Attempt = {
      ...facts,
      routes: routes.slice(0, ROUTES_MAX),
      cookies: new Map(),
      endsAt: now + HANDSHAKE_GIVE_UP_MS,
      retryMs: RETRY_MS,
    }
    this.#byKey.set(attempt.key, attempt)
    this.#byCid.set(attempt.cid, attempt)
    this.#transmit(attempt, now)
  }

  addRoute(attempt: Attempt, route: Route): void {
    const key = routeKey(route)
    if (attempt.routes.length >= ROUTES_MAX) return
    if (attempt.routes.some((known) => routeKey(known) === key)) return
    attempt.routes.push(route)
    this.#host.send(route, this.#firstMessage(attempt, route))
  }

  /** The remote wants proof that we receive at our address: repeats with it, once a route. */
  prove(attempt: Attempt, route: Route, cookie: Uint8Array): void {
    const key = routeKey(route)
    if (!attempt.routes.some((known) => routeKey(known) === key) || attempt.cookies.has(key)) return
    attempt.cookies.set(key, cookie.slice())
    this.#host.send(route, this.#firstMessage(attempt, route))
  }

  end(attempt: Attempt): void {
    this.#byKey.delete(attempt.key)
    this.#byCid.delete(attempt.cid)
    this.#timers.clear(attempt.key)
  }

  deadline(): Deadline | undefined {
    const next = this.#timers.earliest()
    return next && { at: next.at as Instant, reason: next.reason }
  }

  onDeadline(now: Instant): void {
    for (;;) {
      const key = this.#timers.takeDue(now)
      const attempt = key === undefined ? undefined : this.#byKey.get(key)
      if (key === undefined) return
      if (attempt === undefined) continue
      if (now < attempt.endsAt) {
        this.#transmit(attempt, now)
        continue
      }
      this.end(attempt)
      this.#host.gaveUp(attempt.peer, attempt.routes, now)
    }
  }

  #transmit(attempt: Attempt, now: Instant): void {
    for (const route of attempt.routes) this.#host.send(route, this.#firstMessage(attempt, route))
    const jitter = 1 + 0.25 * ((this.#random.bytes(1)[0] ?? 0) / 255)
    this.#timers.set(attempt.key, now + attempt.retryMs * jitter, 'handshake retry')
    attempt.retryMs = Math.min(RETRY_MAX_MS, attempt.retryMs * 2)
  }

  #firstMessage(attempt: Attempt, route: Route): Uint8Array {
    const { peer, remotePublic, cid, message } = attempt
    const cookie = attempt.cookies.get(routeKey(route)) ?? NO_COOKIE
    if (peer === undefined || remotePublic === undefined)
      return encodeInitiateXx(cid, message, cookie)
    return encodeInitiateIk(
      cid,
      message,
      (covered) => mac1(this.#crypto, remotePublic, covered),
      cookie,
    )
  }
}

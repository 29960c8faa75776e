import { BoundedMap } from '../collections/bounded-map.ts'
import { TokenBucket } from '../collections/token-bucket.ts'
import type { Crypto, Random } from '../crypto.ts'
import { CookieJar } from './cookie.ts'
import { type Route, routeKey } from './route.ts'

/**
 * Decides which handshakes are worth the price of their key agreements. While few come, all are.
 * Above that, a source first proves that it receives at its address (a cookie, 29 bytes for 182),
 * and then shares the budget with its own network.
 */
export type Admission =
  | { readonly verdict: 'admit' }
  | { readonly verdict: 'prove'; readonly cookie: Uint8Array }
  | { readonly verdict: 'refuse' }

/** Guess: a handshake costs about 0.3 ms in Node, so this is 1.5 % of a core. */
const FREE_PER_S = 50
/** A peer that starts in a network of 64 is met by all of them at once. */
const FREE_BURST = 128
/** Guess: 6 % of a core at most goes to strangers, however many prove their addresses. */
const PROVEN_PER_S = 200
const PER_NETWORK_PER_S = 16
const PER_NETWORK_BURST = 64
/** Networks remembered at once; a full bucket is as good as none, so forgetting costs nothing. */
const NETWORKS_MAX = 1024

export class HandshakeAdmission {
  readonly #jar: CookieJar
  readonly #free: TokenBucket
  readonly #proven: TokenBucket
  readonly #networks = new BoundedMap<string, TokenBucket>(NETWORKS_MAX)

  constructor(crypto: Crypto, random: Random, now: number) {
    this.#jar = new CookieJar(crypto, random)
    this.#free = new TokenBucket(FREE_PER_S, FREE_BURST, now)
    this.#proven = new TokenBucket(PROVEN_PER_S, PROVEN_PER_S, now)
  }

  judge(route: Route, ephemeral: Uint8Array, cookie: Uint8Array, now: number): Admission {
    if (this.#free.take(1, now)) return { verdict: 'admit' }
    const key = routeKey(route)
    if (!this.#jar.check(now, key, ephemeral, cookie)) {
      return { verdict: 'prove', cookie: this.#jar.make(now, key, ephemeral) }
    }
    const isAdmitted = this.#network(route, now).take(1, now) && this.#proven.take(1, now)
    return { verdict: isAdmitted ? 'admit' : 'refuse' }
  }

  #network(route: Route, now: number): TokenBucket {
    const key = route.kind === 'relay' ? route.via : networkOf(route.endpoint.host)
    const known = this.#networks.get(key)
    if (known !== undefined) return known
    const bucket = new TokenBucket(PER_NETWORK_PER_S, PER_NETWORK_BURST, now)
    this.#networks.set(key, bucket)
    return bucket
  }
}

/** The /24 of an IPv4 address, the /48 of an IPv6 one. */
function networkOf(host: string): string {
  if (!host.includes(':')) return host.slice(0, host.lastIndexOf('.'))
  const [head = ''] = host.split('::')
  return head.split(':').slice(0, 3).join(':')
}

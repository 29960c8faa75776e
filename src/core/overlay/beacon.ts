import { BoundedMap } from '../collections/bounded-map.ts'
import type { Random } from '../crypto.ts'
import type { Deadline, Endpoint, Instant } from '../io.ts'
import { LAN_HOST, SOCKET_IPV4 } from '../io.ts'
import { toHex } from '../wire/bytes.ts'
import { BEACON_NONCE_BYTES, encodeBeacon } from '../wire/datagram.ts'

/**
 * Meeting on the local network: a beacon says that some peer is here, and nothing about which. Who
 * hears a new one dials its source. Beacons are as long as the dial they draw.
 */
/** transport.md §5.2: dense at first, for two laptops opened together, then rare. */
const GAPS_MS: readonly number[] = [250, 750, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000]
const HEARD_MAX = 256

export class Beacon {
  readonly #nonce: Uint8Array
  readonly #datagram: Uint8Array
  readonly #heard = new BoundedMap<string, true>(HEARD_MAX)
  #count = 0
  #nextAt: Instant

  constructor(random: Random, now: Instant) {
    this.#nonce = random.bytes(BEACON_NONCE_BYTES)
    this.#datagram = encodeBeacon(this.#nonce)
    this.#nextAt = now
  }

  deadline(): Deadline {
    return { at: this.#nextAt, reason: 'beacon' }
  }

  /** The beacon to send, when one is due. */
  takeDue(now: Instant): { readonly to: Endpoint; readonly data: Uint8Array } | undefined {
    if (now < this.#nextAt) return undefined
    const gap = GAPS_MS[Math.min(this.#count++, GAPS_MS.length - 1)] ?? 0
    this.#nextAt = (now + gap) as Instant
    const to: Endpoint = { kind: 'udp', socket: SOCKET_IPV4, host: LAN_HOST, port: 0 }
    return { to, data: this.#datagram }
  }

  /** The network changed: begin again. */
  restart(now: Instant): void {
    this.#count = 0
    this.#nextAt = now
  }

  /** Where to dial, for a beacon of somebody else that was not heard from there before. */
  hear(nonce: Uint8Array, from: Endpoint): Endpoint | undefined {
    const own = toHex(this.#nonce)
    const key = `${toHex(nonce)}|${from.host}|${from.port}`
    if (toHex(nonce) === own || this.#heard.has(key)) return undefined
    this.#heard.set(key, true)
    return { kind: 'udp', socket: SOCKET_IPV4, host: from.host, port: from.port }
  }

  /** A dial that a beacon drew found nobody: its next beacon may draw another. */
  forget(from: Endpoint): void {
    for (const key of this.#heard.keys()) {
      if (key.endsWith(`|${from.host}|${from.port}`)) this.#heard.delete(key)
    }
  }
}

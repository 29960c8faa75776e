import { UsageError } from '../core/errors.ts'
import type { SeededRandom } from './random.ts'

/**
 * The line by which a host or a NAT box reaches its network. A datagram passes two: up its sender's,
 * then down its receiver's, and suffers the profile of each. So one way takes the sum of both
 * latencies, and a loss rate of 1 % on each line loses 2 % of the datagrams.
 */
export interface LinkProfile {
  /** One way, over this line alone. */
  readonly latencyMs: number
  /** Adds up to this much, evenly spread, without changing the order. */
  readonly jitterMs: number
  readonly lossRate: number
  readonly duplicateRate: number
  /** How many datagrams are held back by `reorderMs`, so that later ones overtake them. */
  readonly reorderRate: number
  readonly reorderMs: number
  /** Bits per second, each way; undefined does not limit. */
  readonly bandwidthBps: number | undefined
  /** Instead of `bandwidthBps` on the way up. */
  readonly uploadBps: number | undefined
  /** What waits for a busy line, each way; a datagram that does not fit is dropped. */
  readonly queueBytes: number
  /** Larger payloads are dropped without a word, as where fragments and ICMP are filtered. */
  readonly datagramBytesMax: number
}

/** Guess, unmeasured: a good home line. 1472 is what 1500 bytes of Ethernet leave to a UDP payload. */
export const DEFAULT_LINK: LinkProfile = {
  latencyMs: 10,
  jitterMs: 0,
  lossRate: 0,
  duplicateRate: 0,
  reorderRate: 0,
  reorderMs: 20,
  bandwidthBps: undefined,
  uploadBps: undefined,
  queueBytes: 128 * 1024,
  datagramBytesMax: 1472,
}

/** IPv4 and UDP headers: what a datagram weighs on the line beside its payload. */
const HEADER_BYTES = 28

/** What becomes of one datagram: lost, or how long each copy takes. */
export type Passage = 'lost' | 'too-big' | 'queue-full' | readonly number[]

interface Lane {
  /** When the last byte accepted will have left. */
  freeAtMs: number
  /** When the last datagram in order comes out. */
  lastOutMs: number
}

/** One line with its two directions. Several hosts may share it: then they share its queues. */
export class Link {
  #profile: LinkProfile
  readonly #up: Lane = { freeAtMs: 0, lastOutMs: 0 }
  readonly #down: Lane = { freeAtMs: 0, lastOutMs: 0 }

  constructor(profile: LinkProfile) {
    this.#profile = checked(profile)
  }

  get profile(): LinkProfile {
    return this.#profile
  }

  /** Takes effect for the datagrams that follow. */
  change(profile: Partial<LinkProfile>): void {
    this.#profile = checked({ ...this.#profile, ...profile })
  }

  /** Whether every datagram takes the same time: its passage may be decided ahead of its arrival. */
  get isSteady(): boolean {
    return this.#profile.bandwidthBps === undefined && this.#profile.jitterMs === 0
  }

  /** Puts one datagram on the line. Calls per direction must not go back in time. */
  pass(way: 'up' | 'down', bytes: number, nowMs: number, random: SeededRandom): Passage {
    const profile = this.#profile
    if (bytes > profile.datagramBytesMax) return 'too-big'
    if (random.chance(profile.lossRate)) return 'lost'
    const first = this.#delay(way, bytes, nowMs, random)
    if (first === undefined) return 'queue-full'
    if (!random.chance(profile.duplicateRate)) return [first]
    const second = this.#delay(way, bytes, nowMs, random)
    return second === undefined ? [first] : [first, second]
  }

  #delay(
    way: 'up' | 'down',
    bytes: number,
    nowMs: number,
    random: SeededRandom,
  ): number | undefined {
    const profile = this.#profile
    const lane = way === 'up' ? this.#up : this.#down
    const bps = way === 'up' ? (profile.uploadBps ?? profile.bandwidthBps) : profile.bandwidthBps
    let outMs = nowMs
    if (bps !== undefined) {
      const weight = bytes + HEADER_BYTES
      const waiting = (Math.max(0, lane.freeAtMs - nowMs) * bps) / 8000
      if (waiting + weight > profile.queueBytes) return undefined
      lane.freeAtMs = Math.max(nowMs, lane.freeAtMs) + (weight * 8000) / bps
      outMs = lane.freeAtMs
    }
    outMs += profile.latencyMs
    if (random.chance(profile.reorderRate)) return outMs + profile.reorderMs - nowMs
    if (profile.jitterMs > 0) outMs += random.fraction() * profile.jitterMs
    if (!this.isSteady) {
      outMs = Math.max(outMs, lane.lastOutMs)
      lane.lastOutMs = outMs
    }
    return outMs - nowMs
  }
}

function checked(profile: LinkProfile): LinkProfile {
  for (const rate of ['lossRate', 'duplicateRate', 'reorderRate'] as const) {
    const value = profile[rate]
    if (!(value >= 0 && value <= 1)) throw badOption(rate, 'a number from 0 to 1', value)
  }
  for (const amount of ['latencyMs', 'jitterMs', 'reorderMs', 'queueBytes'] as const) {
    const value = profile[amount]
    if (!(value >= 0 && value < Number.POSITIVE_INFINITY)) {
      throw badOption(amount, 'a number of at least 0', value)
    }
  }
  for (const bps of [profile.bandwidthBps, profile.uploadBps]) {
    if (bps !== undefined && !(bps > 0)) throw badOption('bandwidthBps', 'more than 0', bps)
  }
  return profile
}

function badOption(name: string, expected: string, got: number): UsageError {
  return new UsageError('EOPTION', name, expected, String(got))
}

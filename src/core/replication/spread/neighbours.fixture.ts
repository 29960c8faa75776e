import assert from 'node:assert/strict'
import { MALFORMED } from '../../errors.ts'
import type { Instant, PeerId } from '../../io.ts'
import { distanceOf, type IdPoint, pointOf } from '../../overlay/id-space.ts'
import type { Placement } from '../../overlay/placement.ts'
import { SeededRandom } from '../../seeded.fixture.ts'
import type { SessionPort } from '../../session/port.ts'
import { fromHex } from '../../wire/bytes.ts'
import type { HeldPacket } from '../cache/held-packet.ts'
import { shortOf } from '../packet-name.ts'
import { Spread } from './spread.ts'
import {
  type Copies,
  decodeSpreadMessage,
  KIND_INTEREST,
  KIND_PACKET,
  type ShortsKind,
  type SpreadMessage,
} from './spread-messages.ts'

/** Packets that spread: their bytes begin with their name, so that a message tells which one it is. */
const PACKET_BYTES = 256

export function heldPacket(number: number, tag = 'aa'.repeat(32)): HeldPacket {
  const name = number.toString(16).padStart(32, '0')
  // The digits that differ come first, as in a hash.
  const id = name.split('').toReversed().join('')
  const bytes = new Uint8Array(PACKET_BYTES)
  bytes.set(fromHex(id) ?? [])
  return { name: id, bytes, tag } as HeldPacket
}

export function shortName(held: HeldPacket): string {
  return shortOf(held.name)
}

/** The other end of a session: what it got, and acknowledges when the test says so. */
export class Neighbour {
  readonly port: SessionPort
  readonly peer: PeerId
  readonly got: SpreadMessage[] = []
  readonly acks: (() => void)[] = []
  rttMs = 100
  isDormant = false
  isSilent = false

  constructor(number: number) {
    const peer = number.toString(16).padStart(16, '0').padEnd(64, '0') as PeerId
    this.peer = peer
    const rttMs = () => this.rttMs
    const isDormant = () => this.isDormant
    const isSilent = () => this.isSilent
    this.port = {
      peer,
      get rttMs() {
        return rttMs()
      },
      get isDormant() {
        return isDormant()
      },
      get isSilent() {
        return isSilent()
      },
    } as SessionPort
  }

  send(payload: Uint8Array, onAcked?: () => void): void {
    const message = decodeSpreadMessage(payload)
    assert.ok(message !== MALFORMED)
    this.got.push(message)
    if (onAcked !== undefined) this.acks.push(onAcked)
  }

  ackAll(): void {
    while (this.acks.length > 0) this.acks.shift()?.()
  }

  /** Packets that were pushed here: names, copies to push and whether a receipt is wanted. */
  get packets(): { short: string; copies: Copies; wantsReceipt: boolean }[] {
    return this.got.flatMap((message) => {
      if (message.kind !== KIND_PACKET) return []
      const { copies, wantsReceipt, packet } = message
      return [{ short: Buffer.from(packet.subarray(0, 8)).toString('hex'), copies, wantsReceipt }]
    })
  }

  /** The messages of a kind, each as its short names. */
  of(kind: ShortsKind): (readonly string[])[] {
    return this.got.flatMap((message) =>
      message.kind === kind && 'shorts' in message ? [message.shorts] : [],
    )
  }

  get interests(): Extract<SpreadMessage, { kind: typeof KIND_INTEREST }>[] {
    return this.got.flatMap((message) => (message.kind === KIND_INTEREST ? [message] : []))
  }
}

export interface NeighbourWish {
  readonly isEverything?: boolean
  readonly links?: number
  readonly tags?: readonly string[]
  /** It has not told what it keeps. */
  readonly isSilent?: boolean
}

/** One peer's spread, its neighbours and a clock. */
export class SpreadBench {
  now = 1_000 as Instant
  readonly spread: Spread
  readonly packets = new Map<string, HeldPacket>()
  readonly neighbours: Neighbour[] = []
  readonly fellows = new Set<PeerId>()
  readonly custodians = new Set<PeerId>()
  readonly nearer: PeerId[] = []
  followed: readonly string[] = []
  secret: readonly string[] = []
  networkSize = 8
  isSmall = true
  isOurs = true
  syncs = 0

  constructor(seed = 1) {
    const bench = this
    const isCustodian = (point: IdPoint) =>
      this.isSmall || [...this.custodians].some((peer) => distanceOf(pointOf(peer), point) === 0)
    const placement: Placement = {
      get networkSize() {
        return bench.networkSize
      },
      get isSmall() {
        return bench.isSmall
      },
      isOurs: () => this.isSmall || this.isOurs,
      custodiansOf: () => isCustodian,
      division: 'of one',
      regionOf: () => 'the only',
      regionsOf: (point) => (isCustodian(point) ? ['the only'] : []),
      ownBits: 0,
      nearer: (_location, count) => this.nearer.slice(0, count),
    }
    const short = (digits: string) =>
      [...this.packets.values()].find(({ name }) => name.startsWith(digits))
    this.spread = new Spread(
      {
        random: new SeededRandom(seed),
        host: {
          placement: () => placement,
          location: (tag) => tag,
          held: (name) => this.packets.get(name),
          heldByShort: short,
          knowsShort: (digits) => short(digits) !== undefined,
          isFellow: (peer) => this.fellows.has(peer),
          followedOpenly: () => this.followed,
          followedPrivately: () => this.secret,
          requestSync: () => this.syncs++,
        },
      },
      this.now,
    )
  }

  neighbour(wish: NeighbourWish = {}): Neighbour {
    const neighbour = new Neighbour(this.neighbours.length + 1)
    this.neighbours.push(neighbour)
    this.spread.sessionUp(neighbour.port, (payload, onAcked) => neighbour.send(payload, onAcked))
    const { isEverything = this.isSmall, links = 20, tags = [] } = wish
    const told = { kind: KIND_INTEREST, isEverything, links, tags } as const
    if (!wish.isSilent) this.spread.message(neighbour.port, told, this.now)
    return neighbour
  }

  hold(number: number, tag?: string): HeldPacket {
    const held = heldPacket(number, tag)
    this.packets.set(held.name, held)
    return held
  }

  says(neighbour: Neighbour, kind: ShortsKind, ...shorts: string[]): void {
    this.spread.message(neighbour.port, { kind, shorts }, this.now)
  }

  pass(ms: number): void {
    const end = (this.now + ms) as Instant
    for (;;) {
      const at = this.spread.deadline()?.at
      if (at === undefined || at > end) break
      this.now = Math.max(this.now, at) as Instant
      this.spread.onDeadline(this.now)
    }
    this.now = end
  }

  /** To whom something went, by what was asked of each. */
  who(asked: (neighbour: Neighbour) => boolean): Neighbour[] {
    return this.neighbours.filter(asked)
  }
}

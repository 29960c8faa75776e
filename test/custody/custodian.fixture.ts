import type { Instant, PathKind, PeerId, UnixMs } from '../../src/core/io.ts'
import { SessionLengths } from '../../src/core/overlay/churn.ts'
import { type IdPoint, pointOf } from '../../src/core/overlay/id-space.ts'
import { LivePeers } from '../../src/core/overlay/live-peers.ts'
import { NetworkPlacement } from '../../src/core/overlay/placement.ts'
import { Replication, STORED_PREFIXES } from '../../src/core/replication/replication.ts'
import { SeededRandom } from '../../src/core/seeded.fixture.ts'
import type { SessionPort } from '../../src/core/session/port.ts'
import { toHex } from '../../src/core/wire/bytes.ts'
import { Scheduled } from '../../src/sim/event-queue.ts'
import type { CheapCrypto } from './cheap-crypto.fixture.ts'

/** What surrounds a custodian: time, the wire and who counts. */
export interface Surroundings {
  readonly crypto: CheapCrypto
  readonly now: Instant
  readonly wall: UnixMs
  readonly networkSize: number
  readonly cacheBytes: number
  /** Placement as in a large network, however small this one is. */
  readonly isForcedLarge: boolean
  schedule(item: Scheduled, atMs: number): void
  unschedule(item: Scheduled): void
  carry(port: Port, payload: Uint8Array, onAcked: (() => void) | undefined): void
  kept(peer: Custodian, name: string): void
  dropped(peer: Custodian, name: string): void
  goalsChanged(peer: Custodian): void
}

class ForcedPlacement extends NetworkPlacement {
  override get isSmall(): boolean {
    return false
  }
}

/** A peer as far as packets are concerned. One that drops silently what it is given has no replication. */
export class Custodian extends Scheduled {
  readonly peerId: PeerId
  readonly point: IdPoint
  readonly random: SeededRandom
  readonly replication: Replication | undefined
  readonly live: LivePeers
  readonly ports = new Map<PeerId, Port>()
  /** Sessions that are being made. */
  readonly pending = new Set<PeerId>()
  /** Numbers of the packets on its disk. */
  readonly held = new Set<number>()
  readonly comesAt: Instant
  goals: readonly IdPoint[] = []
  isAlive = true
  readonly #world: Surroundings
  readonly #lengths = new SessionLengths()

  constructor(world: Surroundings, seed: number, isBlackHole: boolean) {
    super()
    this.#world = world
    this.random = new SeededRandom(seed)
    this.comesAt = world.now
    const { crypto, cacheBytes } = world
    const keys = crypto.signingKeyPair(this.random.bytes(32))
    this.peerId = toHex(keys.publicKey) as PeerId
    this.point = pointOf(this.peerId)
    this.live = new LivePeers(this.peerId)
    if (isBlackHole) return
    const Placing = world.isForcedLarge ? ForcedPlacement : NetworkPlacement
    const placement = new Placing(this.live, () => world.networkSize)
    const host = {
      placement: () => placement,
      now: () => world.now,
      meanStayMs: () => this.#lengths.meanMs(world.now),
      setGoals: (places: readonly string[]) => this.#setGoals(places),
      isFellow: () => false,
      mayBeMail: () => {},
      deliver: () => {},
      held: () => {},
      progress: () => {},
      store: (key: string, value: Uint8Array | undefined) => this.#store(key, value),
      requestSync: () => this.replication?.synced(true),
      reject: () => {},
    }
    const author = { ...keys, peerId: this.peerId }
    const config = { crypto, random: this.random, author, cacheBytes, host }
    const { now, wall } = world
    this.replication = new Replication(config, now, wall)
    for (const _ of STORED_PREFIXES) this.replication.loaded([], { now, wall })
    this.rearm()
  }

  get isBlackHole(): boolean {
    return this.replication === undefined
  }

  up(port: Port): void {
    const { now } = this.#world
    this.ports.set(port.peer, port)
    this.live.add(port.peer)
    this.#lengths.began(port.peer, now)
    const send = (payload: Uint8Array, onAcked?: () => void) =>
      this.#world.carry(port, payload, onAcked)
    this.replication?.sessionUp(port, send, now)
    this.rearm()
  }

  gone(port: Port, hasLeft: boolean): void {
    const { now } = this.#world
    this.ports.delete(port.peer)
    this.live.delete(port.peer)
    this.#lengths.ended(port.peer, hasLeft, now)
    this.replication?.sessionGone(port, now)
    this.rearm()
  }

  receive(port: Port, payloads: readonly Uint8Array[]): void {
    if (this.replication === undefined) return
    const { now, wall } = this.#world
    const at = { now, wall }
    for (const payload of payloads) this.replication.message(port, payload, at)
    this.rearm()
  }

  acked(acks: readonly (() => void)[]): void {
    for (const onAcked of acks) onAcked()
    this.rearm()
  }

  /** Its timer; may come too early. */
  override fire(): void {
    const { now, wall } = this.#world
    const due = this.replication?.deadline()?.at
    if (due !== undefined && due <= now) this.replication?.onDeadline({ now, wall })
    this.rearm()
  }

  rearm(): void {
    const due = this.isAlive ? this.replication?.deadline()?.at : undefined
    if (due === undefined || (this.slot >= 0 && this.atMs <= due)) return
    this.#world.unschedule(this)
    this.#world.schedule(this, Math.max(due, this.#world.now))
  }

  vanish(): void {
    this.isAlive = false
    this.#world.unschedule(this)
  }

  #setGoals(places: readonly string[]): void {
    if (places.length === 0 && this.goals.length === 0) return
    this.goals = places.map((place) => pointOf(place))
    this.#world.goalsChanged(this)
  }

  #store(key: string, value: Uint8Array | undefined): void {
    if (!key.startsWith('packet/')) return
    if (value === undefined) this.#world.dropped(this, key.slice(7))
    else this.#world.kept(this, key.slice(7))
  }
}

/** Messages under way in one direction; a black hole's transport acknowledges them like any other. */
export interface SentTogether extends Scheduled {
  add(payload: Uint8Array, onAcked: (() => void) | undefined): void
}

/** One side of a session that loses nothing and takes the same time for every message. */
export class Port implements SessionPort {
  readonly owner: Custodian
  readonly peer: PeerId
  readonly binding: Uint8Array
  readonly isInitiator: boolean
  readonly path: PathKind = 'direct'
  readonly latencyMs: number
  /** Nobody begins to compare with who is dormant. */
  readonly isDormant: boolean
  readonly isSilent = false
  /** Neither one of the nearest nor for lack of others: wanted by whoever began it. */
  readonly isFar: boolean
  isOpen = true
  /** Sent last, and not arrived yet. */
  batch: SentTogether | undefined
  other: Port | undefined

  constructor(
    owner: Custodian,
    peer: PeerId,
    session: {
      readonly binding: Uint8Array
      readonly latencyMs: number
      readonly isFar: boolean
      readonly isDormant: boolean
    },
    isInitiator: boolean,
  ) {
    this.owner = owner
    this.peer = peer
    this.binding = session.binding
    this.latencyMs = session.latencyMs
    this.isFar = session.isFar
    this.isDormant = session.isDormant
    this.isInitiator = isInitiator
  }

  get rttMs(): number {
    return 2 * this.latencyMs
  }

  sendMessage(): number {
    throw new Error('the replication sends by what it was given')
  }

  sendDatagram(): boolean {
    return false
  }

  openStream(): number {
    throw new Error('packets need no streams')
  }

  writeStream(): void {}
  finishStream(): void {}
  resetStream(): void {}
  consumeStream(): void {}
}

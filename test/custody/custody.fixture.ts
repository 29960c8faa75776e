import type { Instant, UnixMs } from '../../src/core/io.ts'
import { commonBits, pointOf } from '../../src/core/overlay/id-space.ts'
import { nearestOf } from '../../src/core/overlay/live-peers.ts'
import { GOAL_PEERS, LEAF_PEERS, RANDOM_PEERS } from '../../src/core/overlay/neighbour-choice.ts'
import type { PacketKeys } from '../../src/core/replication/packet-seal.ts'
import { KIND_END, KIND_SYNC } from '../../src/core/replication/reconcile/reconcile-wire.ts'
import { isReconcileMessage } from '../../src/core/replication/reconcile/reconciler.ts'
import type { Moment } from '../../src/core/replication/replication.ts'
import { KIND_PACKET } from '../../src/core/replication/spread/spread-messages.ts'
import { SeededRandom } from '../../src/core/seeded.fixture.ts'
import { EventQueue, Scheduled } from '../../src/sim/event-queue.ts'
import { percentile } from '../../src/sim/report.ts'
import { CheapCrypto } from './cheap-crypto.fixture.ts'
import { Custodian, Port, type SentTogether, type Surroundings } from './custodian.fixture.ts'

/**
 * Do packets outlive those who keep them? Every peer has the real replication (store, spread,
 * reconciliation, repair) and the real placement over real neighbour counts. What is simulated: sessions
 * are reliable ports with a fixed latency; whom a peer has sessions with is chosen from all who live; the
 * cryptography is `cheap-crypto.fixture.ts`, since ten million Ed25519 verifications take an hour.
 */
export interface CustodyOptions {
  readonly peers: number
  readonly hours: number
  readonly meanStayMs: number
  readonly blackHoleShare: number
  readonly packets: number
  readonly tags: number
  /** All packets are published within this time. */
  readonly publishingMs: number
  readonly isForcedLarge: boolean
  /** No reconciliation ever begins. */
  readonly isRepairOff: boolean
  readonly seed: number
  readonly onHour?: (row: HourRow) => void
}

export interface HourRow {
  readonly hour: number
  readonly published: number
  readonly lost: number
  readonly minCopies: number
  readonly medianCopies: number
  /** In and out, per peer and hour. */
  readonly packetBytes: number
  readonly reconcileBytes: number
  readonly restBytes: number
  /** Begun per peer and hour, and of those refused. */
  readonly reconciliations: number
  readonly refused: number
  /** Packets received per packet that was new to its receiver. */
  readonly packetsPerNew: number
}

export interface CustodyResult {
  readonly rows: readonly HourRow[]
  readonly lost: readonly { readonly tag: number; readonly atMs: number }[]
  readonly comers: number
  readonly events: number
}

const HOUR_MS = 3_600_000
const START_WALL = 1_780_000_000_000
const START_NOW = 1_000
/** What frames, seals and headers add to a message. */
const MESSAGE_OVERHEAD_BYTES = 40
const LATENCY_MIN_MS = 20
const LATENCY_RANGE_MS = 80
const CONNECT_MS = 200
const CONNECT_RANGE_MS = 600
const SILENCE_MS = 30_000
const MEND_MS = 2_000
const MEND_RANGE_MS = 3_000
const MEND_PERIOD_MS = 60_000
const WRITERS_PER_TAG = 2
const WRITER_READY_MS = 5_000
const WRITING_MS = 60_000
/** After the last of its packets is held by others, or given up on. */
const WRITER_LINGERS_MS = 5_000
/** Makes packets of about 300 bytes. */
const VALUE_BYTES = 60
const LIFE_MINUTES = 7 * 24 * 60
const CACHE_BYTES = 16 * 1024 * 1024

class Action extends Scheduled {
  readonly #act: () => void

  constructor(act: () => void) {
    super()
    this.#act = act
  }

  override fire(): void {
    this.#act()
  }
}

/** What one side of a session sent at one instant. */
class Batch extends Scheduled implements SentTogether {
  readonly #world: Surroundings
  readonly #from: Port
  readonly #to: Port
  #payloads: Uint8Array[] = []
  readonly #acks: (() => void)[] = []
  #isArrived = false

  constructor(world: Surroundings, from: Port, to: Port) {
    super()
    this.#world = world
    this.#from = from
    this.#to = to
  }

  add(payload: Uint8Array, onAcked: (() => void) | undefined): void {
    this.#payloads.push(payload)
    if (onAcked !== undefined) this.#acks.push(onAcked)
  }

  /** It arrives, then the acknowledgements do. */
  override fire(): void {
    const { owner, isOpen, latencyMs } = this.#from
    if (this.#isArrived) {
      if (isOpen && owner.isAlive) owner.acked(this.#acks)
      return
    }
    this.#isArrived = true
    if (this.#from.batch === this) this.#from.batch = undefined
    if (!this.#to.isOpen || !this.#to.owner.isAlive) return
    this.#to.owner.receive(this.#to, this.#payloads)
    this.#payloads = []
    if (this.#acks.length > 0) this.#world.schedule(this, this.#world.now + latencyMs)
  }
}

interface Traffic {
  packetBytes: number
  reconcileBytes: number
  restBytes: number
  packets: number
  begun: number
  refused: number
  isNew: number
}

const NO_TRAFFIC: Traffic = {
  packetBytes: 0,
  reconcileBytes: 0,
  restBytes: 0,
  packets: 0,
  begun: 0,
  refused: 0,
  isNew: 0,
}

export function simulateCustody(options: CustodyOptions): CustodyResult {
  return new CustodyWorld(options).run()
}

class CustodyWorld implements Surroundings {
  readonly crypto = new CheapCrypto()
  readonly cacheBytes = CACHE_BYTES
  readonly isForcedLarge: boolean
  now = START_NOW as Instant
  readonly #options: CustodyOptions
  readonly #random: SeededRandom
  readonly #queue = new EventQueue()
  /** In the order of their ids. */
  readonly #alive: Custodian[] = []
  readonly #numbers = new Map<string, number>()
  readonly #copies: number[] = []
  readonly #tagOf: number[] = []
  readonly #lost = new Map<number, { readonly tag: number; readonly atMs: number }>()
  readonly #rows: HourRow[] = []
  #traffic = { ...NO_TRAFFIC }
  /** The tag of whoever publishes. */
  #writing = 0
  #comers = 0
  #events = 0

  constructor(options: CustodyOptions) {
    this.#options = options
    this.isForcedLarge = options.isForcedLarge
    this.#random = new SeededRandom(options.seed)
  }

  get wall(): UnixMs {
    return (START_WALL + this.now) as UnixMs
  }

  get networkSize(): number {
    return this.#alive.length
  }

  run(): CustodyResult {
    const { peers, hours, tags, blackHoleShare } = this.#options
    for (let i = 0; i < peers; i++) this.#comes(i < blackHoleShare * peers)
    for (const peer of this.#alive) this.#mend(peer)
    for (let tag = 0; tag < tags; tag++)
      for (let i = 0; i < WRITERS_PER_TAG; i++) this.#planWriter(tag, i)
    const endMs = START_NOW + hours * HOUR_MS
    for (let hour = Math.min(1, hours); hour <= hours; hour++)
      this.#after(hour * HOUR_MS, () => this.#endHour(hour))
    for (;;) {
      const next = this.#queue.first
      if (next === undefined || next.atMs > endMs) break
      this.#queue.take()
      this.now = next.atMs as Instant
      this.#events++
      next.fire()
    }
    const lost = [...this.#lost.values()]
    return { rows: this.#rows, lost, comers: this.#comers, events: this.#events }
  }

  schedule(item: Scheduled, atMs: number): void {
    this.#queue.add(item, atMs)
  }

  unschedule(item: Scheduled): void {
    this.#queue.remove(item)
  }

  /** A black hole's transport acknowledges like any other. */
  carry(port: Port, payload: Uint8Array, onAcked: (() => void) | undefined): void {
    if (!port.isOpen) return
    if (this.#options.isRepairOff && payload[0] === KIND_SYNC) return
    this.#count(payload)
    const to = port.other
    if (to === undefined || !to.owner.isAlive) return
    const sent = port.batch
    if (sent === undefined || sent.atMs !== this.now + port.latencyMs) {
      port.batch = new Batch(this, port, to)
      port.batch.add(payload, onAcked)
      this.schedule(port.batch, this.now + port.latencyMs)
    } else sent.add(payload, onAcked)
  }

  kept(peer: Custodian, name: string): void {
    const number = this.#numbers.get(name) ?? this.#published(name)
    if (peer.held.has(number)) return
    peer.held.add(number)
    this.#traffic.isNew++
    this.#copies[number] = (this.#copies[number] ?? 0) + 1
    this.#lost.delete(number)
  }

  dropped(peer: Custodian, name: string): void {
    const number = this.#numbers.get(name)
    if (number === undefined || !peer.held.delete(number)) return
    this.#lose(number)
  }

  goalsChanged(peer: Custodian): void {
    if (peer.ports.size > 0) this.#mend(peer)
  }

  /** Whoever writes it keeps it first. */
  #published(name: string): number {
    const number = this.#copies.length
    this.#numbers.set(name, number)
    this.#copies.push(0)
    this.#tagOf.push(this.#writing)
    return number
  }

  get #moment(): Moment {
    return { now: this.now, wall: this.wall }
  }

  #lose(number: number): void {
    const copies = (this.#copies[number] ?? 0) - 1
    this.#copies[number] = copies
    if (copies > 0) return
    this.#lost.set(number, { tag: this.#tagOf[number] ?? 0, atMs: this.now - START_NOW })
  }

  #count(payload: Uint8Array): void {
    const traffic = this.#traffic
    const bytes = payload.length + MESSAGE_OVERHEAD_BYTES
    if ((payload[0] ?? 0) >= KIND_PACKET) {
      traffic.packetBytes += bytes
      traffic.packets++
    } else if (isReconcileMessage(payload)) {
      traffic.reconcileBytes += bytes
      if (payload[0] === KIND_SYNC) traffic.begun++
      if (payload[0] === KIND_END && payload[2] === 2) traffic.refused++
    } else traffic.restBytes += bytes
  }

  #endHour(hour: number): void {
    const { onHour } = this.#options
    const traffic = this.#traffic
    this.#traffic = { ...NO_TRAFFIC }
    // What one sends another receives.
    const perPeer = (bytes: number) => Math.round((2 * bytes) / this.#alive.length)
    const row: HourRow = {
      hour,
      published: this.#copies.length,
      lost: this.#copies.filter((copies) => copies === 0).length,
      minCopies: Math.min(...this.#copies),
      medianCopies: percentile(this.#copies, 50),
      packetBytes: perPeer(traffic.packetBytes),
      reconcileBytes: perPeer(traffic.reconcileBytes),
      restBytes: perPeer(traffic.restBytes),
      reconciliations: traffic.begun / this.#alive.length,
      refused: traffic.refused / this.#alive.length,
      packetsPerNew: traffic.packets / Math.max(1, traffic.isNew),
    }
    this.#rows.push(row)
    onHour?.(row)
  }

  #after(ms: number, act: () => void): void {
    this.#queue.add(new Action(act), this.now + ms)
  }

  #between(from: number, range: number): number {
    return from + Math.floor(this.#random.next() * range)
  }

  #comes(isBlackHole: boolean): Custodian {
    const peer = new Custodian(this, this.#random.below(0x100000000), isBlackHole)
    this.#comers++
    this.#enter(peer)
    const stayMs = -Math.log(1 - this.#random.next()) * this.#options.meanStayMs
    this.#after(stayMs, () => {
      this.#vanishes(peer)
      const next = this.#comes(this.#random.next() < this.#options.blackHoleShare)
      this.#mend(next)
    })
    this.#tend(peer)
    return peer
  }

  #enter(peer: Custodian): void {
    this.#alive.splice(firstFrom(this.#alive, peer.point.high >>> 0), 0, peer)
  }

  /** What the overlay looks after now and then. */
  #tend(peer: Custodian): void {
    this.#after(this.#between(MEND_PERIOD_MS / 2, MEND_PERIOD_MS), () => {
      if (!peer.isAlive) return
      this.#mend(peer)
      this.#letGo(peer)
      this.#tend(peer)
    })
  }

  #vanishes(peer: Custodian): void {
    peer.vanish()
    this.#alive.splice(this.#alive.indexOf(peer), 1)
    for (const number of peer.held) this.#lose(number)
    for (const { other } of peer.ports.values())
      this.#after(SILENCE_MS, () => {
        if (other === undefined || !other.isOpen || !other.owner.isAlive) return
        other.isOpen = false
        other.owner.gone(other, true)
        this.#after(this.#between(MEND_MS, MEND_RANGE_MS), () => this.#mend(other.owner))
      })
  }

  /** Makes the sessions that a peer lacks. */
  #mend(peer: Custodian): void {
    if (!peer.isAlive) return
    const near = this.#nearest(peer)
    for (const other of near) this.#connect(peer, other, false)
    for (const goal of peer.goals)
      for (const other of nearestOf(this.#alive, goal, GOAL_PEERS))
        if (other !== peer) this.#connect(peer, other, true)
    const edge = near.at(-1)
    if (edge === undefined) return
    const edgeBits = commonBits(edge.point, peer.point)
    const nearIds = new Set(near.map(({ peerId }) => peerId))
    const isFar = (id: string) => !nearIds.has(id as Custodian['peerId'])
    const farIds = [...peer.ports.keys(), ...peer.pending].filter(isFar)
    const bits = new Set(farIds.map((id) => commonBits(pointOf(id), peer.point)))
    let far = farIds.length
    for (let tries = 0; tries < 64 && far <= edgeBits + RANDOM_PEERS; tries++) {
      const other = this.#alive[this.#random.below(this.#alive.length)]
      if (other === undefined || other === peer || nearIds.has(other.peerId)) continue
      const shared = commonBits(other.point, peer.point)
      // Buckets without anybody come first.
      if (tries < 48 && bits.size < edgeBits && bits.has(shared)) continue
      bits.add(shared)
      if (this.#connect(peer, other, true)) far++
    }
  }

  /** Lets go of sessions that neither side wants any more. */
  #letGo(peer: Custodian): void {
    for (const port of [...peer.ports.values()]) {
      const { other } = port
      if (port.isFar || other === undefined || !other.owner.isAlive) continue
      if (isLeaf(peer, port.peer) || isLeaf(other.owner, peer.peerId)) continue
      port.isOpen = false
      other.isOpen = false
      peer.gone(port, false)
      other.owner.gone(other, false)
    }
  }

  /** Within the smallest part of the id space that holds enough: those are the XOR nearest. */
  #nearest(peer: Custodian): Custodian[] {
    const alive = this.#alive
    const high = peer.point.high >>> 0
    for (let size = 2 ** 20; ; size *= 2) {
      const from = Math.floor(high / size) * size
      const first = firstFrom(alive, from)
      const end = firstFrom(alive, from + size)
      if (end - first <= LEAF_PEERS && size < 2 ** 32) continue
      const near = nearestOf(alive.slice(first, end), peer.point, LEAF_PEERS + 1)
      return near.filter((other) => other !== peer).slice(0, LEAF_PEERS)
    }
  }

  #connect(from: Custodian, to: Custodian, isFar: boolean): boolean {
    if (from.ports.has(to.peerId) || from.pending.has(to.peerId)) return false
    from.pending.add(to.peerId)
    to.pending.add(from.peerId)
    const latencyMs = this.#between(LATENCY_MIN_MS, LATENCY_RANGE_MS)
    this.#after(this.#between(CONNECT_MS, CONNECT_RANGE_MS), () => {
      from.pending.delete(to.peerId)
      to.pending.delete(from.peerId)
      if (!from.isAlive || !to.isAlive) return
      const binding = this.#random.bytes(32)
      const session = { binding, latencyMs, isFar, isDormant: this.#options.isRepairOff }
      const port = new Port(from, to.peerId, session, true)
      const other = new Port(to, from.peerId, session, false)
      port.other = other
      other.other = port
      to.up(other)
      from.up(port)
    })
    return true
  }

  #planWriter(tag: number, index: number): void {
    const { packets, tags, publishingMs } = this.#options
    const writers = tags * WRITERS_PER_TAG
    const writer = tag * WRITERS_PER_TAG + index
    const count =
      Math.floor(((writer + 1) * packets) / writers) - Math.floor((writer * packets) / writers)
    const latestMs = publishingMs - WRITER_READY_MS - WRITING_MS
    const key = this.crypto.signingKeyPair(new Uint8Array(32).fill(tag + 1))
    const keys = { tag: key, sealKey: new Uint8Array(32).fill(tag + 1) }
    this.#after(this.#between(0, latestMs), () => this.#writerComes(tag, keys, count))
  }

  /** A member comes, publishes and leaves; nobody takes its place. */
  #writerComes(tag: number, keys: PacketKeys, count: number): void {
    const writer = new Custodian(this, this.#random.below(0x100000000), false)
    this.#enter(writer)
    this.#tend(writer)
    writer.replication?.subscribe('writing', { at: () => keys, firstS: 0 }, 'causal', this.#moment)
    this.#mend(writer)
    let waiting = count
    const onHeld = () => {
      waiting--
      if (waiting === 0) this.#after(WRITER_LINGERS_MS, () => this.#vanishes(writer))
    }
    const publish = () => {
      const salt = writer.random.bytes(12)
      const value = writer.random.bytes(VALUE_BYTES)
      const draft = { event: 'text', value, lifeMinutes: LIFE_MINUTES, salt }
      this.#writing = tag
      writer.replication?.publish('writing', draft, this.#moment, onHeld)
      writer.rearm()
    }
    for (let i = 0; i < count; i++)
      this.#after(WRITER_READY_MS + this.#between(0, WRITING_MS), publish)
  }
}

/** Whether somebody is among the nearest that a peer has a session with. */
function isLeaf(of: Custodian, id: Custodian['peerId']): boolean {
  const live = of.live.get(id)
  const edge = of.live.nearest[LEAF_PEERS - 1]
  return live !== undefined && (edge === undefined || live.distance <= edge.distance)
}

/** Where in the order of ids the first stands whose upper 32 bits are at least this. */
function firstFrom(ordered: readonly Custodian[], high: number): number {
  let from = 0
  let to = ordered.length
  while (from < to) {
    const middle = (from + to) >> 1
    if ((ordered[middle]?.point.high ?? 0) >>> 0 < high) from = middle + 1
    else to = middle
  }
  return from
}

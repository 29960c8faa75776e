import assert from 'node:assert/strict'
import { sodiumNative } from '../../crypto/sodium-native.ts'
import type {
  Handle,
  Instant,
  LeaveReason,
  PathKind,
  PeerEvent,
  PeerId,
  RejectCode,
  UnixMs,
} from '../io.ts'
import { type Placement, smallPlacement } from '../overlay/placement.ts'
import { STORED_PREFIXES } from '../replication/replication.ts'
import { SeededRandom } from '../seeded.fixture.ts'
import type { SessionPort } from '../session/port.ts'
import { toHex } from '../wire/bytes.ts'
import { Groups, type GroupsCommand, type GroupsConfig } from './groups.ts'
import { EPOCH_S, SubclusterKeys } from './subcluster-keys.ts'

/**
 * Peers joined by sessions in memory: every message arrives once, in an order that the seed draws, and
 * is acknowledged; bytes of one stream keep their order; time moves when the test says so.
 */
export const crypto = sodiumNative()
export const CLUSTER_ID = new Uint8Array(32).fill(3)
export const SHARED_KEY = new Uint8Array(32).fill(4)
/** Before the packet in its record: version and duty. */
const STORED_HEAD_BYTES = 2
const START_WALL = 1_780_000_000_000
const DATAGRAM_BYTES_MAX = 1170

export interface FakePeerOptions {
  /** Of an earlier run. */
  readonly disk?: Map<string, Uint8Array>
  readonly placement?: Placement
}

export class FakePeer {
  readonly groups: Groups
  readonly peerId: PeerId
  readonly events: PeerEvent[] = []
  readonly rejected: RejectCode[] = []
  readonly mesh: Mesh
  /** Outlives the peer. */
  readonly disk: Map<string, Uint8Array>

  constructor(mesh: Mesh, seed: number, options: FakePeerOptions = {}) {
    this.mesh = mesh
    this.disk = options.disk ?? new Map()
    const placement = options.placement ?? smallPlacement(() => mesh.size)
    const keys = crypto.signingKeyPair(new Uint8Array(32).fill(seed))
    this.peerId = toHex(keys.publicKey) as PeerId
    const config: GroupsConfig = {
      crypto,
      random: new SeededRandom(seed),
      identity: { ...keys, peerId: this.peerId },
      clusterId: CLUSTER_ID,
      cacheBytes: 16 * 1024 * 1024,
      placement: () => placement,
      meanStayMs: () => undefined,
      setGoals: () => {},
      store: (key, value) => {
        if (value === undefined) this.disk.delete(key)
        else this.disk.set(key, value)
      },
      load: (prefix) => this.#load(prefix),
      requestSync: () => this.groups.synced(true),
      emit: (event) => this.events.push(event),
      reject: (code) => this.rejected.push(code),
    }
    this.groups = new Groups(config, mesh.now, mesh.wall)
    for (const prefix of STORED_PREFIXES) this.#load(prefix)
  }

  #load(prefix: string): void {
    const records = [...this.disk]
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, value]) => ({ key, value }))
    this.groups.loaded(prefix, records, this.mesh.now, this.mesh.wall)
  }

  do(command: GroupsCommand): void {
    this.groups.command(command, this.mesh.now, this.mesh.wall)
  }

  join(subcluster: Handle = 1, sharedKey: Uint8Array = SHARED_KEY): void {
    this.do({ type: 'join', subcluster, sharedKey, order: 'causal' })
  }

  send(
    operation: Handle,
    to: FakePeer,
    event: string,
    value: Uint8Array,
    subcluster: Handle = 1,
  ): void {
    this.do({ type: 'send', operation, subcluster, peer: to.peerId, event, value })
  }

  publish(
    operation: Handle,
    event: string,
    value: Uint8Array,
    delivery: 'durable' | 'live' | 'lossy' = 'durable',
  ): void {
    const lifeMs = 3_600_000
    this.do({ type: 'publish', operation, subcluster: 1, event, value, delivery, lifeMs })
  }

  of<T extends PeerEvent['type']>(type: T): Extract<PeerEvent, { type: T }>[] {
    return this.events.filter(
      (event): event is Extract<PeerEvent, { type: T }> => event.type === type,
    )
  }

  /** Who is here, by what the application was told. */
  members(subcluster: Handle = 1): PeerId[] {
    const here = new Set<PeerId>()
    for (const event of this.of('member')) {
      if (event.subcluster !== subcluster) continue
      if (event.change.state === 'joined') here.add(event.peer)
      else here.delete(event.peer)
    }
    return [...here]
  }
}

type Item =
  | { readonly kind: 'message'; readonly number: number; readonly payload: Uint8Array }
  | { readonly kind: 'ack'; readonly number: number }
  | { readonly kind: 'datagram'; readonly payload: Uint8Array }
  | { readonly kind: 'open' | 'end' | 'reset'; readonly stream: number }
  | { readonly kind: 'data'; readonly stream: number; readonly data: Uint8Array }
  | { readonly kind: 'writable'; readonly stream: number }

/** One side of a session. */
export class FakePort implements SessionPort {
  readonly owner: FakePeer
  readonly peer: PeerId
  readonly binding: Uint8Array
  readonly isInitiator: boolean
  path: PathKind = 'direct'
  readonly rttMs = 0
  readonly isDormant = false
  readonly isSilent = false
  /** Nothing arrives here for the time being. */
  isCut = false
  /** On its way to the owner. */
  readonly inbound: Item[] = []
  /** Everything the owner ever sent, for tests that look. */
  readonly sent: Uint8Array[] = []
  readonly consumed = new Map<number, number>()
  readonly resets: number[] = []
  other: FakePort | undefined
  #nextMessage = 0
  #nextStream: number

  constructor(owner: FakePeer, peer: PeerId, binding: Uint8Array, isInitiator: boolean) {
    this.owner = owner
    this.peer = peer
    this.binding = binding
    this.isInitiator = isInitiator
    this.#nextStream = isInitiator ? 0 : 1
  }

  sendMessage(payload: Uint8Array): number {
    this.sent.push(payload)
    const number = this.#nextMessage++
    this.other?.inbound.push({ kind: 'message', number, payload })
    return number
  }

  sendDatagram(payload: Uint8Array): boolean {
    if (payload.length > DATAGRAM_BYTES_MAX) return false
    this.other?.inbound.push({ kind: 'datagram', payload })
    return true
  }

  openStream(): number {
    const stream = this.#nextStream
    this.#nextStream += 2
    this.other?.inbound.push({ kind: 'open', stream })
    this.inbound.push({ kind: 'writable', stream })
    return stream
  }

  writeStream(stream: number, data: Uint8Array): void {
    for (let at = 0; at < data.length; at += 3)
      this.other?.inbound.push({ kind: 'data', stream, data: data.slice(at, at + 3) })
  }

  finishStream(stream: number): void {
    this.other?.inbound.push({ kind: 'end', stream })
  }

  resetStream(stream: number): void {
    this.resets.push(stream)
    this.other?.inbound.push({ kind: 'reset', stream })
  }

  consumeStream(stream: number, bytes: number): void {
    this.consumed.set(stream, (this.consumed.get(stream) ?? 0) + bytes)
  }

  /** Messages go in any order, what belongs to a stream in its own. */
  takeAny(random: SeededRandom): Item | undefined {
    if (this.inbound.length === 0) return undefined
    let at = random.below(this.inbound.length)
    if ('stream' in (this.inbound[at] as Item))
      at = this.inbound.findIndex((item) => 'stream' in item)
    return this.inbound.splice(at, 1)[0]
  }

  receive(item: Item): void {
    const { groups, mesh } = this.owner
    switch (item.kind) {
      case 'message':
        groups.message(this, item.payload, mesh.now, mesh.wall)
        this.other?.inbound.push({ kind: 'ack', number: item.number })
        return
      case 'ack':
        return groups.messageAcked(this, item.number)
      case 'datagram':
        return groups.datagram(this, item.payload, mesh.now)
      case 'open':
        groups.streamOpened(this, item.stream)
        return groups.streamWritable(this, item.stream, 1000)
      case 'writable':
        return groups.streamWritable(this, item.stream, 1000)
      case 'data':
        return groups.streamData(this, item.stream, item.data)
      case 'end':
        return groups.streamEnded(this, item.stream)
      case 'reset':
        return groups.streamReset(this, item.stream, 0)
    }
  }
}

export class Mesh {
  now = 1000 as Instant
  readonly random: SeededRandom
  readonly ports: FakePort[] = []
  /** Why peers were woken, in order. */
  readonly woken: string[] = []
  #bindings = 0

  constructor(seed = 1) {
    this.random = new SeededRandom(seed)
  }

  /** Peers that somebody is connected with, at least one. */
  get size(): number {
    return Math.max(1, new Set(this.ports.map(({ owner }) => owner)).size)
  }

  get wall(): UnixMs {
    return (START_WALL + this.now) as UnixMs
  }

  peer(seed: number, options: FakePeerOptions = {}): FakePeer {
    return new FakePeer(this, seed, options)
  }

  connect(a: FakePeer, b: FakePeer): readonly [FakePort, FakePort] {
    const binding = new Uint8Array(32).fill(++this.#bindings)
    const atA = new FakePort(a, b.peerId, binding, true)
    const atB = new FakePort(b, a.peerId, binding, false)
    atA.other = atB
    atB.other = atA
    this.ports.push(atA, atB)
    a.groups.sessionUp(atA, this.now, this.wall)
    b.groups.sessionUp(atB, this.now, this.wall)
    return [atA, atB]
  }

  /** The sides end separately, as they notice; what is under way is lost. */
  disconnect(port: FakePort, why: LeaveReason): void {
    const other = port.other
    port.other = undefined
    port.inbound.length = 0
    if (other !== undefined) {
      other.other = undefined
      other.inbound.length = 0
    }
    if (this.ports.includes(port)) this.ports.splice(this.ports.indexOf(port), 1)
    port.owner.groups.sessionDown(port, why, this.now)
  }

  /** Both sides notice. */
  part(port: FakePort, why: LeaveReason): void {
    const { other } = port
    this.disconnect(port, why)
    if (other !== undefined) this.disconnect(other, why)
  }

  /** Both sides of a session lose contact: what they send waits. */
  cut(port: FakePort): void {
    for (const side of [port, port.other]) {
      if (side === undefined) continue
      side.isCut = true
      side.owner.groups.sessionLost(side, this.now, this.wall)
    }
  }

  mend(port: FakePort): void {
    for (const side of [port, port.other]) {
      if (side === undefined) continue
      side.isCut = false
      side.owner.groups.sessionBack(side, this.now)
    }
  }

  /** One thing arrives somewhere; false: nothing is under way. */
  step(): boolean {
    const busy = this.ports.filter(({ inbound, isCut }) => inbound.length > 0 && !isCut)
    const port = busy[this.random.below(busy.length)]
    const item = port?.takeAny(this.random)
    if (port === undefined || item === undefined) return false
    port.receive(item)
    return true
  }

  settle(): void {
    let steps = 0
    while (this.step()) assert.ok(++steps < 1_000_000, 'the mesh comes to rest')
  }

  /** Lets what is under way arrive, and then time pass, stopping at every deadline on the way. */
  pass(ms: number, peers: readonly FakePeer[]): void {
    const end = this.now + ms
    this.settle()
    for (;;) {
      const due = peers.filter(({ groups }) => (groups.deadline()?.at ?? end + 1) <= end)
      const next = due.map(({ groups }) => groups.deadline()?.at ?? end).sort((x, y) => x - y)[0]
      if (next === undefined) break
      this.now = Math.max(this.now, next) as Instant
      for (const { groups } of due) {
        const deadline = groups.deadline()
        if (deadline === undefined || deadline.at > this.now) continue
        this.woken.push(deadline.reason)
        groups.onDeadline(this.now, this.wall)
      }
      this.settle()
    }
    this.now = end as Instant
  }
}

/** Packets on a peer's disk, in hex. */
export function packetsOn(peer: FakePeer): string[] {
  const records = [...peer.disk].filter(([key]) => key.startsWith('packet/'))
  return records.map(([, value]) => toHex(value.subarray(STORED_HEAD_BYTES)))
}

/** Tags of the subcluster of `SHARED_KEY`, of the days around now. */
export function subclusterTags(mesh: Mesh): string[] {
  const keys = new SubclusterKeys(crypto, SHARED_KEY, CLUSTER_ID)
  const days = Array.from({ length: 20 }, (_, i) => mesh.wall / 1000 + (i - 10) * EPOCH_S)
  return days.map((second) => toHex(keys.at(second)?.tag.publicKey ?? new Uint8Array()))
}

export function text(value: Uint8Array): string {
  return String.fromCharCode(...value)
}

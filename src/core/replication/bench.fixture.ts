import { sodiumNative } from '../../crypto/sodium-native.ts'
import type { Crypto } from '../crypto.ts'
import { SubclusterKeys } from '../groups/subcluster-keys.ts'
import type { DeliveryOrder, Instant, PacketInfo, PeerId, RejectCode, UnixMs } from '../io.ts'
import { type Placement, smallPlacement } from '../overlay/placement.ts'
import { SeededRandom } from '../seeded.fixture.ts'
import type { SessionPort } from '../session/port.ts'
import { ascii, fromHex, toHex } from '../wire/bytes.ts'
import { nameOf, shortOf } from './packet-name.ts'
import type { PacketKeys, SealedPacket } from './packet-seal.ts'
import { sealPacket } from './packet-seal.ts'
import { Replication, STORED_PREFIXES } from './replication.ts'
import { type Copies, encodePacketMessage } from './spread/spread-messages.ts'
import type { Delivered, Progress } from './subscriptions.ts'

/** One peer's replication, with neighbours whose messages the test makes, a disk and a clock. */
export const crypto = sodiumNative()
export const WALL_S = 1_780_000_000
export const DAY_S = 86_400
const CLUSTER_ID = new Uint8Array(32).fill(9)
/** What the tests' subscription is called. */
export const KEY = 'subcluster 1'

export function subclusterKeys(fill = 7): SubclusterKeys {
  return new SubclusterKeys(crypto, new Uint8Array(32).fill(fill), CLUSTER_ID)
}

export interface PacketWish {
  readonly author?: number
  readonly createdS?: number
  readonly lifeMinutes?: number
  readonly lamport?: number
  /** By name. */
  readonly parents?: readonly string[]
  readonly payload?: Uint8Array
  readonly text?: string
  readonly keys?: PacketKeys
}

export interface MadePacket extends SealedPacket {
  readonly name: string
  readonly short: string
}

/** A packet of the subcluster of `subclusterKeys(7)`; each with another salt. */
export function made(number: number, wish: PacketWish = {}): MadePacket {
  const { author = 1, createdS = WALL_S, lifeMinutes = 60, parents = [] } = wish
  const keys = wish.keys ?? subclusterKeys().at(createdS)
  const sealed = sealPacket(
    crypto,
    keys ?? { tag: crypto.signingKeyPair(new Uint8Array(32)), sealKey: new Uint8Array(32) },
    crypto.signingKeyPair(new Uint8Array(32).fill(author)),
    {
      event: 'news',
      lamport: wish.lamport ?? number,
      parents: parents.map((name) => fromHex(name) ?? new Uint8Array(16)),
      payload: wish.payload ?? ascii(wish.text ?? `${number}`),
      createdS,
      lifeMinutes,
      salt: new SeededRandom(number).bytes(12),
    },
  )
  const name = nameOf(sealed.id)
  return { ...sealed, name, short: shortOf(name) }
}

export class FakeLink {
  readonly port: SessionPort
  readonly peer: PeerId
  readonly sent: Uint8Array[] = []
  readonly acks: (() => void)[] = []

  constructor(number: number, isInitiator: boolean, peer?: PeerId) {
    this.peer = peer ?? (number.toString(16).padStart(64, '0') as PeerId)
    const binding = new Uint8Array(32).fill(number)
    const told = { rttMs: 20, isDormant: false, isSilent: false, path: 'direct' } as const
    this.port = { ...told, peer: this.peer, binding, isInitiator } as SessionPort
  }

  /** First bytes of what was sent here, and the messages of one of them. */
  of(kind: number): Uint8Array[] {
    return this.sent.filter(([first]) => first === kind)
  }

  get packets(): Uint8Array[] {
    return this.sent.filter(([first]) => (first ?? 0) >= 0x80).map((bytes) => bytes.subarray(1))
  }
}

export interface BenchWish {
  readonly seed?: number
  readonly disk?: Map<string, Uint8Array>
  readonly placement?: Placement
  readonly cacheBytes?: number
  readonly crypto?: Crypto
  /** When nothing is loaded yet. */
  readonly isUnloaded?: boolean
}

export class ReplicationBench {
  now = 1_000 as Instant
  wall = (1000 * WALL_S) as UnixMs
  readonly replication: Replication
  readonly disk: Map<string, Uint8Array>
  readonly delivered: Delivered[] = []
  readonly progress: Progress[] = []
  readonly rejected: RejectCode[] = []
  readonly told: string[] = []
  readonly self: PeerId
  /** Whether a sync is answered at once. */
  isDiskFast = true
  syncs = 0
  #links = 0

  constructor(wish: BenchWish = {}) {
    const { seed = 1, placement = smallPlacement(() => 3) } = wish
    const author = crypto.signingKeyPair(new Uint8Array(32).fill(100 + seed))
    this.self = toHex(author.publicKey) as PeerId
    this.disk = wish.disk ?? new Map()
    this.replication = new Replication(
      {
        crypto: wish.crypto ?? crypto,
        random: new SeededRandom(seed),
        author: { ...author, peerId: this.self },
        cacheBytes: wish.cacheBytes ?? 16 * 1024 * 1024,
        host: {
          placement: () => placement,
          now: () => this.now,
          meanStayMs: () => undefined,
          setGoals: () => {},
          isFellow: () => false,
          deliver: (delivered) => this.delivered.push(delivered),
          mayBeMail: () => {},
          held: (_peer, shorts) => this.told.push(...shorts),
          progress: (progress) => this.progress.push(progress),
          store: (key, value) => {
            if (value === undefined) this.disk.delete(key)
            else this.disk.set(key, value)
          },
          requestSync: () => {
            this.syncs++
            if (this.isDiskFast) this.replication.synced(true)
          },
          reject: (code) => this.rejected.push(code),
        },
      },
      this.now,
      this.wall,
    )
    if (!wish.isUnloaded) this.load()
  }

  get at(): { readonly now: Instant; readonly wall: UnixMs } {
    return { now: this.now, wall: this.wall }
  }

  load(): void {
    for (const prefix of STORED_PREFIXES) {
      const found = [...this.disk].filter(([key]) => key.startsWith(prefix))
      this.replication.loaded(
        found.map(([key, value]) => ({ key, value })),
        this.at,
      )
    }
  }

  /** Not the one to begin a comparison, unless the test says so. */
  link(isInitiator = false, peer?: PeerId): FakeLink {
    const link = new FakeLink(++this.#links, isInitiator, peer)
    const send = (payload: Uint8Array, onAcked?: () => void) => {
      link.sent.push(payload)
      if (onAcked !== undefined) link.acks.push(onAcked)
    }
    this.replication.sessionUp(link.port, send, this.now)
    return link
  }

  subscribe(keys = subclusterKeys(), order: DeliveryOrder = 'causal', key = KEY): void {
    this.replication.subscribe(key, keys, order, this.at)
  }

  /** What a neighbour gives. Returns why it was refused. */
  give(
    link: FakeLink,
    packet: Uint8Array,
    copies?: Copies,
    wantsReceipt = false,
  ): string | undefined {
    this.says(link, encodePacketMessage(packet, copies, wantsReceipt))
    return this.rejected.splice(0).join() || undefined
  }

  says(link: FakeLink, payload: Uint8Array): void {
    this.replication.message(link.port, payload.slice(), this.at)
  }

  publish(value: Uint8Array, onHeld: (info: PacketInfo | undefined) => void = () => {}): void {
    const salt = new SeededRandom(this.disk.size + 50_000).bytes(12)
    const draft = { event: 'news', value, lifeMinutes: 60, salt }
    this.replication.publish(KEY, draft, this.at, onHeld)
  }

  pass(ms: number): void {
    const end = this.now + ms
    for (;;) {
      const at = this.replication.deadline()?.at ?? end + 1
      if (at > end) break
      this.#advance(at)
      this.replication.onDeadline(this.at)
    }
    this.#advance(end)
  }

  /** Time that nobody was awake in: what became due meanwhile is done at its end. */
  sleep(ms: number): void {
    this.#advance(this.now + ms)
    for (let i = 0; i < 100; i++) {
      if ((this.replication.deadline()?.at ?? this.now + 1) > this.now) return
      this.replication.onDeadline(this.at)
    }
  }

  #advance(to: number): void {
    const later = Math.max(this.now, to)
    this.wall = (this.wall + later - this.now) as UnixMs
    this.now = later as Instant
  }

  /** What was delivered, as text, with its gap. */
  get texts(): string[] {
    return this.delivered.map(({ value, packet }) => {
      const said = String.fromCharCode(...value)
      return packet.gap ? `${said} gap` : said
    })
  }

  /** Names of the packets on disk. */
  get kept(): string[] {
    const names = [...this.disk.keys()].filter((key) => key.startsWith('packet/'))
    return names.map((key) => key.slice('packet/'.length))
  }
}

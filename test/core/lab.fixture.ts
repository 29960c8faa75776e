import { createPeer } from '../../src/core/index.ts'
import type {
  Command,
  Core,
  Endpoint,
  Input,
  Instant,
  PeerEvent,
  PeerId,
  UnixMs,
} from '../../src/core/io.ts'
import { toHex } from '../../src/core/wire/bytes.ts'
import { sodiumNative } from '../../src/crypto/sodium-native.ts'
import { SeededRandom } from '../../src/sim/index.ts'
import { Rogue } from './rogue.fixture.ts'

/**
 * Bare cores on a wire that the test holds in its hands: it sees every datagram, and can inject any
 * from any source. For attacks; scenarios belong into the simulator.
 */
export const CLUSTER_ID = new Uint8Array(32).fill(7)
export const SHARED_KEY = new Uint8Array(32).fill(9)
const LATENCY_MS = 10
const WALL_START_MS = 1_790_000_000_000

export interface Sent {
  readonly from: LabPeer
  readonly to: Endpoint
  readonly data: Uint8Array
}

export class LabPeer {
  readonly core: Core
  readonly peerId: PeerId
  readonly endpoint: Endpoint
  readonly events: PeerEvent[] = []
  readonly #lab: Lab

  constructor(lab: Lab, made: { core: Core; peerId: PeerId; endpoint: Endpoint }) {
    this.#lab = lab
    this.core = made.core
    this.peerId = made.peerId
    this.endpoint = made.endpoint
  }

  command(command: Command): void {
    this.core.handle({ type: 'command', command }, this.#lab.now, this.#lab.wall)
    this.#lab.drain(this)
  }

  counter(name: string): number {
    return this.core.snapshot().counters[name] ?? 0
  }

  /** Everything of its state that a snapshot shows, but for what was merely counted. */
  get state(): string {
    const { counters: _, ...state } = this.core.snapshot()
    return JSON.stringify(state)
  }
}

export class Lab {
  readonly peers: LabPeer[] = []
  /** Everything sent since the test last emptied it. */
  sent: Sent[] = []
  #now = 0
  #onTheWay: { at: number; to: LabPeer; from: Endpoint; data: Uint8Array }[] = []

  get now(): Instant {
    return this.#now as Instant
  }

  get wall(): UnixMs {
    return (WALL_START_MS + this.#now) as UnixMs
  }

  /** A peer that is told of the first one's address. */
  add(): LabPeer {
    const { crypto, random, identity, endpoint } = this.#next()
    const bootstrap = this.peers.slice(0, 1).map((peer) => ({
      peer: undefined,
      addresses: [{ host: peer.endpoint.host, port: peer.endpoint.port }],
    }))
    const core = createPeer(
      {
        crypto,
        random,
        identity,
        clusterId: CLUSTER_ID,
        bootstrap,
        lan: false,
        relay: true,
        cacheBytes: 16 * 1024 * 1024,
      },
      this.now,
      this.wall,
    )
    const peerId = toHex(identity.publicKey) as PeerId
    return this.#start(new LabPeer(this, { core, peerId, endpoint }))
  }

  /** A peer that sends whatever it likes. `claims`: the id that it pretends to have. */
  addRogue(claims?: PeerId): { readonly rogue: Rogue; readonly at: LabPeer } {
    const { endpoint, ...made } = this.#next()
    const rogue = new Rogue(made, claims, this.now)
    const at = this.#start(new LabPeer(this, { core: rogue, peerId: rogue.peerId, endpoint }))
    return { rogue, at }
  }

  /** Lets a rogue do something, and sends what comes of it. */
  act({ rogue, at }: { rogue: Rogue; at: LabPeer }, action: (rogue: Rogue) => void): void {
    rogue.act(() => action(rogue), this.now)
    this.drain(at)
  }

  #next() {
    const index = this.peers.length + 1
    const crypto = sodiumNative()
    const random = new SeededRandom(`peer ${index}`)
    const identity = crypto.signingKeyPair(random.bytes(32))
    const endpoint: Endpoint = { kind: 'udp', socket: 0, host: `44.0.0.${index}`, port: 1000 }
    return { crypto, random, identity, endpoint }
  }

  #start(peer: LabPeer): LabPeer {
    this.peers.push(peer)
    this.drain(peer)
    const addresses = [{ host: peer.endpoint.host, port: peer.endpoint.port }]
    peer.core.handle({ type: 'socket', socket: 0, state: 'up', addresses }, this.now, this.wall)
    this.drain(peer)
    return peer
  }

  /** A datagram reaches `to` at once, as if `from` had sent it. */
  inject(to: LabPeer, from: Endpoint, data: Uint8Array): void {
    to.core.handle({ type: 'datagram', from, data }, this.now, this.wall)
    this.drain(to)
  }

  run(durationMs: number): void {
    const end = this.#now + durationMs
    for (;;) {
      const arrival = this.#onTheWay[0]
      const timer = this.#earliestTimer()
      const at = Math.min(arrival?.at ?? Infinity, timer?.at ?? Infinity)
      if (at > end) break
      this.#now = Math.max(this.#now, at)
      if (arrival !== undefined && arrival.at === at) {
        this.#onTheWay.shift()
        this.inject(arrival.to, arrival.from, arrival.data)
      } else if (timer !== undefined) {
        timer.peer.core.handle({ type: 'deadline' }, this.now, this.wall)
        this.drain(timer.peer)
      }
    }
    this.#now = end
  }

  /** Storage is empty, keeps nothing, and answers at once. */
  drain(peer: LabPeer): void {
    const answers: Input[] = []
    for (;;) {
      const output = peer.core.poll()
      if (output?.type === 'event') peer.events.push(output.event)
      else if (output?.type === 'transmit') this.#carry(peer, output.to, output.data)
      else if (output?.type === 'load')
        answers.push({ type: 'loaded', prefix: output.prefix, records: [] })
      else if (output?.type === 'sync') answers.push({ type: 'synced', isKept: true })
      if (output !== undefined) continue
      const answer = answers.shift()
      if (answer === undefined) return
      peer.core.handle(answer, this.now, this.wall)
    }
  }

  #carry(from: LabPeer, address: Endpoint, data: Uint8Array): void {
    this.sent.push({ from, to: address, data })
    const to = this.peers.find(({ endpoint }) => endpoint.host === address.host)
    if (to === undefined) return
    this.#onTheWay.push({ at: this.#now + LATENCY_MS, to, from: from.endpoint, data })
  }

  #earliestTimer(): { peer: LabPeer; at: number } | undefined {
    let earliest: { peer: LabPeer; at: number } | undefined
    for (const peer of this.peers) {
      const deadline = peer.core.deadline()
      if (deadline !== undefined && (earliest === undefined || deadline.at < earliest.at)) {
        earliest = { peer, at: deadline.at }
      }
    }
    return earliest
  }
}

import type { Instant, PeerId } from '../../io.ts'
import type { HeldPacket } from '../cache/packet-store.ts'
import { type MadePacket, StoreBench, WALL } from '../cache/packets.fixture.ts'
import { LeafFetch } from './leaf-fetch.ts'
import { LeafService } from './leaf-service.ts'

/**
 * One who fetches and some who hold, over links in virtual time. A message takes half a round trip and
 * its acknowledgement the other half; nothing is lost, as in a session.
 */
const LARGE_BYTES = 200_000_000

interface InTransit {
  readonly at: number
  readonly deliver: () => void
}

export interface HolderNode {
  readonly peer: PeerId
  readonly rttMs: number
  readonly bench: StoreBench
  readonly service: LeafService
  /** Messages that it sent, by first byte. */
  readonly sent: Map<number, number>
  /** Makes it say nothing any more. */
  isSilent: boolean
  /** What it sends instead. */
  forge: ((message: Uint8Array) => Uint8Array) | undefined
}

export function peerId(number: number): PeerId {
  return number.toString(16).padStart(64, '0') as PeerId
}

export class LeafWorld {
  now = 0 as Instant
  readonly bench = new StoreBench({ ownBytes: LARGE_BYTES, cacheBytes: LARGE_BYTES })
  readonly holders = new Map<PeerId, HolderNode>()
  /** Requests, by whom they were sent to. */
  readonly requests = new Map<PeerId, Uint8Array[]>()
  readonly progress: { readonly name: string; readonly at: number; readonly bytes: number }[] = []
  readonly whole: string[] = []
  readonly rejected: string[] = []
  readonly fetch: LeafFetch
  readonly #transit: InTransit[] = []

  constructor() {
    this.fetch = new LeafFetch({
      send: (peer, message) => this.#request(peer, message),
      rttMs: (peer) => this.holders.get(peer)?.rttMs,
      take: (name, level, index, bytes) => this.bench.store.addLeaf(name, level, index, bytes),
      progress: ({ name, leaves }, at) =>
        this.progress.push({ name, at, bytes: leaves?.receivedBytes ?? 0 }),
      whole: ({ name }) => this.whole.push(name),
    })
  }

  /** The root as it lies in the fetcher's store, wanted. */
  want(made: MadePacket): HeldPacket {
    const held = this.bench.store.add(made.packet, made.id, 'own', 'author', WALL)
    if (held === undefined) throw new Error('the fixture has room for it')
    this.fetch.want(held, this.now)
    return held
  }

  /** `share`: which of the leaves it has. */
  addHolder(rttMs: number, made: readonly MadePacket[], share = (_at: number) => true): HolderNode {
    const peer = peerId(this.holders.size + 1)
    const bench = new StoreBench({ ownBytes: LARGE_BYTES, write: () => {} })
    const sent = new Map<number, number>()
    const service = new LeafService({
      held: (short) => bench.store.byShort(short),
      send: (_, message, onAcked) => this.#answer(node, message, onAcked),
    })
    const node: HolderNode = {
      ...{ peer, rttMs, bench, service, sent },
      ...{ isSilent: false, forge: undefined },
    }
    for (const one of made) {
      bench.store.add(one.packet, one.id, 'own', 'author', WALL)
      for (const [at, { level, index, bytes }] of one.leaves.entries())
        if (share(at)) bench.store.addLeaf(one.name, level, index, bytes)
    }
    this.holders.set(peer, node)
    return node
  }

  /** Runs until nothing is in transit, or for so long. */
  run(forMs: number): void {
    const until = this.now + forMs
    for (;;) {
      const deadline = this.fetch.deadline()?.at ?? Number.POSITIVE_INFINITY
      const [next] = this.#transit
      const at = Math.min(deadline, next?.at ?? Number.POSITIVE_INFINITY)
      if (at > until) break
      this.now = Math.max(this.now, at) as Instant
      if (next !== undefined && next.at <= at) {
        this.#transit.shift()
        next.deliver()
      } else this.fetch.onDeadline(this.now)
    }
    this.now = until as Instant
  }

  #request(peer: PeerId, message: Uint8Array): void {
    this.requests.set(peer, [...(this.requests.get(peer) ?? []), message])
    const node = this.holders.get(peer)
    if (node === undefined) throw new Error('asked of nobody')
    this.#after(node.rttMs / 2, () => {
      if (!node.isSilent) node.service.message(peer, message)
    })
  }

  #answer(node: HolderNode, message: Uint8Array, onAcked: () => void): void {
    if (node.isSilent) return
    const kind = message[0] ?? 0
    node.sent.set(kind, (node.sent.get(kind) ?? 0) + 1)
    const given = node.forge?.(message.slice()) ?? message
    this.#after(node.rttMs / 2, () => {
      const code = this.fetch.message(node.peer, given, this.now)
      if (code !== undefined) this.rejected.push(code)
    })
    this.#after(node.rttMs, onAcked)
  }

  /** In the order of time, then of sending. */
  #after(ms: number, deliver: () => void): void {
    const at = this.now + ms
    let place = this.#transit.length
    while (place > 0 && (this.#transit[place - 1]?.at ?? 0) > at) place--
    this.#transit.splice(place, 0, { at, deliver })
  }
}

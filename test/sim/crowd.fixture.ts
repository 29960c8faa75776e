import type { PeerId } from '../../src/core/io.ts'
import type { NatOptions, SimPeer, World } from '../../src/sim/index.ts'
import { percentile } from '../../src/sim/report.ts'
import { addMember, bytesOf, SUBCLUSTER, textOf } from './subcluster.fixture.ts'

/**
 * A crowd of peers, some behind hard NATs, some in the subcluster that is looked at and the others
 * strangers to it: what the scenarios of spreading and keeping have in common.
 */
export const STRANGERS_KEY = new Uint8Array(32).fill(1)
const HARD: NatOptions = {
  mapping: 'address-and-port-dependent',
  filtering: 'address-and-port-dependent',
  allocation: 'random',
}
/** Whom a newcomer knows: a few peers that were there lately. */
const ACQUAINTANCES = 6

export interface CrowdOptions {
  readonly size: number
  /** Shares of all peers. */
  readonly hardNats: number
  readonly subscribed: number
  /** One way of a line, drawn for each peer between these. */
  readonly lineMs: readonly [number, number]
  readonly lossRate: number
  /** Shares of peers whose clocks are wrong by so much. */
  readonly wrongClocks?: { readonly share: number; readonly byMs: number }
}

export interface Delivery {
  readonly text: string
  readonly to: SimPeer
  readonly afterMs: number
}

export class Crowd {
  readonly net: World
  readonly options: CrowdOptions
  readonly peers: SimPeer[] = []
  readonly members = new Set<SimPeer>()
  readonly deliveries: Delivery[] = []
  readonly #publishedAt = new Map<string, number>()
  readonly #random: World['random']
  #operations = 0
  #count = 0

  constructor(net: World, options: CrowdOptions) {
    this.net = net
    this.options = options
    this.#random = net.random.fork('crowd')
  }

  /** Peers come one after the other within this time. */
  arrive(overMs: number): void {
    for (let i = 0; i < this.options.size; i++) {
      this.add()
      this.net.run(overMs / this.options.size)
    }
  }

  /** One more peer, which knows a few of those that are there and reachable. */
  add(): SimPeer {
    const { hardNats, subscribed, lineMs, lossRate, wrongClocks } = this.options
    const i = this.#count++
    const [least, most] = lineMs
    const latencyMs = least + (most - least) * this.#random.fraction()
    const link = { latencyMs, lossRate }
    const isHard = i >= ACQUAINTANCES && spread(i, hardNats)
    const isWrong = wrongClocks !== undefined && spread(i, wrongClocks.share)
    const clockSkewMs = isWrong ? wrongClocks.byMs * (i % 2 === 0 ? 1 : -1) : 0
    const open = this.peers.filter(({ host }) => host.isPublic)
    const known = this.#random.shuffled(open).slice(0, ACQUAINTANCES)
    const place = isHard ? { nat: { ...HARD, link } } : { link }
    // Every other peer by its number, so that NATs and subscriptions are independent.
    const isMember = spread(i * 7 + 3, subscribed)
    const key = isMember ? undefined : STRANGERS_KEY
    const peer = addMember(this.net, { ...place, clockSkewMs, bootstrap: known }, key)
    if (isMember) this.#watch(peer)
    this.peers.push(peer)
    return peer
  }

  /** Gone without a word. */
  drop(peer: SimPeer): void {
    peer.host.crash()
    this.peers.splice(this.peers.indexOf(peer), 1)
    this.members.delete(peer)
  }

  publish(by: SimPeer, text: string, lifeMs = 86_400_000): void {
    this.#publishedAt.set(text, this.net.nowMs)
    by.command({
      type: 'publish',
      operation: ++this.#operations,
      subcluster: SUBCLUSTER,
      event: 'news',
      value: bytesOf(text),
      delivery: 'durable',
      lifeMs,
    })
  }

  /** Of all that were published, what the members of now have been given, by member. */
  missing(texts: readonly string[], by = new Map<string, PeerId>()): number {
    let missing = 0
    for (const member of this.members) {
      const has = new Set(member.seen('packet').map(({ value }) => textOf(value)))
      for (const text of texts) if (!has.has(text) && by.get(text) !== member.peerId) missing++
    }
    return missing
  }

  /** The share of pairs of packet and peer present in which the peer keeps the packet. */
  heldShare(packets: number): number {
    let held = 0
    for (const peer of this.peers) held += Math.min(packets, counterOf(peer, 'packetsKept'))
    return held / (packets * this.peers.length)
  }

  sum(counter: string): number {
    return this.peers.reduce((sum, peer) => sum + counterOf(peer, counter), 0)
  }

  latency(percent: number): number {
    return Math.round(
      percentile(
        this.deliveries.map(({ afterMs }) => afterMs),
        percent,
      ),
    )
  }

  #watch(peer: SimPeer): void {
    this.members.add(peer)
    peer.onEvent((event) => {
      if (event.type !== 'packet') return
      const text = textOf(event.value)
      const at = this.#publishedAt.get(text)
      if (at !== undefined) this.deliveries.push({ text, to: peer, afterMs: this.net.nowMs - at })
    })
  }
}

export function counterOf(peer: SimPeer, counter: string): number {
  return peer.snapshot().counters[counter] ?? 0
}

/** True for `share` of all numbers, evenly. */
function spread(i: number, share: number): boolean {
  return Math.floor((i + 1) * share) > Math.floor(i * share)
}

import type { PeerId } from '../../src/core/io.ts'
import type { NatOptions, SimPeer, World } from '../../src/sim/index.ts'
import { percentile } from '../../src/sim/report.ts'
import { addMember, bytesOf, SUBCLUSTER, textOf, textsOf } from './subcluster.fixture.ts'

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

  /** Gone, with a good-bye or without a word. */
  drop(peer: SimPeer, isPolite: boolean): void {
    if (isPolite) peer.host.stop()
    else peer.host.crash()
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
      const has = new Set(textsOf(member, 'packet'))
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

/** v6 in the same three scenes: what its guide claims, and what research (gossip.md §1, §4) measured of it. */
const V6 = {
  reach: '94 to 99 % reached, 2.5 s on average',
  churn: '50 % hold it (claimed)',
  partition: 'a sync brings 1,023 of 6,604 packets',
}

export interface Scene {
  readonly rows: readonly (readonly (string | number)[])[]
  readonly faults: readonly string[]
}

export const SCENE_HEADING = ['scene', 'what', 'goal', 'measured', 'v6']

/** Members publish in turn; who gets it, and how soon. */
export function reach(crowd: Crowd, packets: number, name = 'publish'): Scene {
  const texts = publishInTurn(crowd, packets)
  crowd.net.run(5_000)
  const missing = crowd.missing([...texts.keys()], texts)
  const deliveries = packets * (crowd.members.size - 1)
  const duplicates = crowd.sum('packetsDuplicate') / (packets * (crowd.peers.length - 1))
  const p99 = crowd.latency(99)
  const faults: string[] = []
  if (missing > 0) faults.push(`${name}: ${missing} of ${deliveries} deliveries missing`)
  if (p99 > 1_000) faults.push(`${name}: p99 ${p99} ms`)
  const reached = `${(100 * (1 - missing / deliveries)).toFixed(2)} %`
  return {
    faults,
    rows: [
      [name, 'subscribers reached', '100 %', reached, V6.reach],
      [
        '',
        'p50, p99, max ms',
        'p99 ≤ 1000',
        `${crowd.latency(50)}, ${p99}, ${crowd.latency(100)}`,
        '',
      ],
      ['', 'duplicates a peer', '', duplicates.toFixed(3), '2 to 4'],
    ],
  }
}

/**
 * Every peer is replaced ten times in a minute, a quarter of them without a word, for so many seconds.
 */
export function churn(crowd: Crowd, packets: number, newcomer: () => number, seconds = 60): Scene {
  const texts = publishInTurn(crowd, packets)
  crowd.net.run(3_000)
  const { size } = crowd.options
  const stepMs = 60_000 / (10 * size)
  const shares: number[] = []
  for (let i = 0; i < (10 * size * seconds) / 60; i++) {
    const leaver = crowd.peers[newcomer() % crowd.peers.length]
    if (leaver !== undefined) crowd.drop(leaver, i % 4 !== 0)
    crowd.add()
    crowd.net.run(stepMs)
    if (i % (size >> 2) === 0) shares.push(crowd.heldShare(packets))
  }
  const last = addReader(crowd)
  crowd.net.run(5_000)
  const read = new Set(textsOf(last, 'packet'))
  const lost = [...texts.keys()].filter((text) => !read.has(text)).length
  const least = Math.min(...shares)
  const mean = shares.reduce((sum, each) => sum + each, 0) / shares.length
  const faults: string[] = []
  if (mean < 0.95) faults.push(`churn: ${(100 * mean).toFixed(1)} % hold it`)
  if (lost > 0) faults.push(`churn: ${lost} of ${packets} packets are lost`)
  const held = `${(100 * mean).toFixed(1)} % (least ${(100 * least).toFixed(1)} %)`
  return {
    faults,
    rows: [
      [`1000 % churn a minute, ${seconds} s`, 'of those present hold it', '≥ 95 %', held, V6.churn],
      ['', 'packets lost', '0', `${lost} of ${packets}`, ''],
    ],
  }
}

/** Two halves that cannot hear each other for ten minutes, and publish. */
export function partition(crowd: Crowd, packets: number): Scene {
  const { net, peers } = crowd
  const middle = peers.length >> 1
  const [left, right] = [peers.slice(0, middle), peers.slice(middle)]
  const heal = net.partition(
    left.map(({ host }) => host),
    right.map(({ host }) => host),
  )
  net.run(300_000)
  const texts = publishInTurn(crowd, packets, 'apart')
  net.run(300_000)
  const apart = crowd.missing([...texts.keys()], texts)
  heal()
  const healedAt = net.nowMs
  const isWhole = () => crowd.missing([...texts.keys()], texts) === 0
  while (!isWhole() && net.nowMs - healedAt < 60_000) net.run(100)
  const afterMs = net.nowMs - healedAt
  const faults: string[] = []
  if (apart === 0) faults.push('partition: nothing was missing while it lasted')
  if (!isWhole() || afterMs > 10_000) faults.push(`partition: not whole after ${afterMs} ms`)
  const whole = isWhole() ? `${afterMs} ms` : `${crowd.missing([...texts.keys()], texts)} missing`
  return {
    faults,
    rows: [['50/50 for 10 min', 'everyone has everything after', '≤ 10 s', whole, V6.partition]],
  }
}

function publishInTurn(crowd: Crowd, packets: number, name = 'packet'): Map<string, PeerId> {
  const members = [...crowd.members]
  const texts = new Map<string, PeerId>()
  for (let i = 0; i < packets; i++) {
    const member = members[(i * 7) % members.length]
    if (member === undefined) continue
    const text = `${name} ${i}`
    texts.set(text, member.peerId)
    crowd.publish(member, text)
    crowd.net.run(100)
  }
  return texts
}

/** A member that comes last: it reads what the others kept. */
function addReader(crowd: Crowd): SimPeer {
  const open = crowd.peers.filter(({ host }) => host.isPublic).slice(0, 3)
  return addMember(crowd.net, { bootstrap: open })
}

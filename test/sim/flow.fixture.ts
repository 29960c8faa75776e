import assert from 'node:assert/strict'
import type { PeerOptions, SimPeer, World } from '../../src/sim/index.ts'
import { addMember, bytesOf, send, textOf, untilMet } from './subcluster.fixture.ts'

/** Two members who talk while the network between them is changed. */
export interface Pair {
  readonly a: SimPeer
  readonly b: SimPeer
  readonly crowd: readonly SimPeer[]
}

type Place = Omit<PeerOptions, 'clusterId' | 'bootstrap'>

/** Two members at two places, who know `helpers` public peers and meet through them. */
export function pairAt(net: World, placeA: Place, placeB: Place, helpers = 4): Pair {
  const crowd: SimPeer[] = []
  for (let i = 0; i < helpers; i++) {
    crowd.push(addMember(net, { bootstrap: crowd.map(({ host }) => host) }, STRANGERS_KEY))
  }
  const bootstrap = crowd.map(({ host }) => host)
  const a = addMember(net, { ...placeA, bootstrap })
  const b = addMember(net, { ...placeB, bootstrap })
  untilMet(net, [a, b], 10_000)
  return { a, b, crowd }
}

const STRANGERS_KEY = new Uint8Array(32).fill(1)

export function sessionOf(peer: SimPeer, other: SimPeer) {
  const session = peer.snapshot().sessions.find(({ peer: id }) => id === other.peerId)
  assert.ok(session, `${peer.name} has no session with ${other.name}`)
  return session
}

export function untilPath(net: World, pair: Pair, kind: string, limitMs: number): number {
  const { a, b } = pair
  return net.runUntil(() => sessionOf(a, b).path === kind && sessionOf(b, a).path === kind, limitMs)
}

/** Numbered messages from one member to the other, every so often, and when each came. */
export class Flow {
  readonly #net: World
  readonly #from: SimPeer
  readonly #to: SimPeer
  readonly #id = flows++
  readonly #arrivals: { readonly number: number; readonly atMs: number }[] = []
  #sent = 0
  #isOn = false

  constructor(net: World, from: SimPeer, to: SimPeer) {
    this.#net = net
    this.#from = from
    this.#to = to
    to.onEvent((event) => {
      if (event.type !== 'message' || event.event !== this.#name) return
      this.#arrivals.push({ number: Number(textOf(event.value)), atMs: net.nowMs })
    })
  }

  get sent(): number {
    return this.#sent
  }

  get received(): number {
    return this.#arrivals.length
  }

  start(everyMs: number): this {
    this.#isOn = true
    const step = () => {
      if (!this.#isOn) return
      this.say()
      this.#net.after(everyMs, step)
    }
    step()
    return this
  }

  say(): void {
    const number = this.#sent++
    const operation = 1_000_000 * (1 + this.#id) + number
    send(this.#from, operation, this.#to, this.#name, bytesOf(`${number}`))
  }

  get #name(): string {
    return `flow${this.#id}`
  }

  /** Stops and waits for the last; throws unless each came exactly once and in order. */
  finish(limitMs = 10_000): void {
    this.#isOn = false
    this.#net.runUntil(() => this.#arrivals.length >= this.#sent, limitMs)
    this.#net.run(3_000)
    assert.deepEqual(
      this.#arrivals.map(({ number }) => number),
      Array.from({ length: this.#sent }, (_, number) => number),
      `${this.#from.name} to ${this.#to.name}: each once, in order`,
    )
  }

  /** The longest time without an arrival after `sinceMs`, the time since the last one included. */
  longestSilenceMs(sinceMs: number): number {
    const times = [sinceMs, ...this.#arrivals.map(({ atMs }) => atMs).filter((at) => at > sinceMs)]
    return Math.max(...times.map((at, i) => (times[i + 1] ?? at) - at))
  }
}

let flows = 0

import { EventQueue, Scheduled } from '../../sim/event-queue.ts'
import { DEFAULT_NAT, type NatProfile, NatTable } from '../../sim/nat.ts'
import { SeededRandom } from '../../sim/random.ts'
import type { Endpoint, Instant, LocalAddress, PeerId } from '../io.ts'
import { SOCKET_IPV4, SOCKET_SCRATCH } from '../io.ts'
import { answerBinding, decodeBindingRequest, encodeBindingResponse } from '../wire/stun.ts'
import type { NatMessage } from './messages.ts'
import type { Reflector } from './reflector.ts'
import { ScratchSockets } from './scratch-sockets.ts'
import { Survey } from './survey.ts'

/**
 * One surveying peer behind one simulated NAT, and public peers around it that answer as real ones do:
 * STUN from the wire's own code, knocks from a `Survey` of their own. Sessions are a latency only.
 */
export type Lie = 'wrong-address' | 'our-other-address' | 'refuses-knocks' | 'knocks-from-main'

export interface NatWorldOptions {
  readonly seed: string
  readonly profile: Partial<NatProfile>
  readonly reflectors: number
  readonly liars?: Readonly<Record<number, Lie>>
  readonly latencyMs?: number
  /** Of latency, drawn for each datagram: answers overtake each other. */
  readonly jitterMs?: number
  readonly loss?: number
  /** The peer's own host; an external one makes the NAT a mere firewall. */
  readonly insideHost?: string
  /** Milliseconds between the first reflector and the second, and so on. */
  readonly arrivalGapMs?: number
}

const MAIN_PORT = 41_641
const EXTERNAL = '198.18.0.1'

class Turn extends Scheduled {
  readonly #run: () => void
  constructor(run: () => void) {
    super()
    this.#run = run
  }
  fire(): void {
    this.#run()
  }
}

interface Public {
  readonly peer: PeerId
  readonly host: string
  readonly survey: Survey
  readonly lie: Lie | undefined
}

export class NatWorld {
  readonly survey: Survey
  readonly scratch: ScratchSockets
  readonly table: NatTable
  /** Times at which `changed` was called. */
  readonly changes: number[] = []
  /** Datagrams the surveying peer sent; messages to one peer at one time share one. */
  datagrams = 0
  knocksAsked = 0
  knocksServed = 0
  longestKnockBytes = 0
  nowMs = 0
  readonly #options: NatWorldOptions
  readonly #random: SeededRandom
  readonly #queue = new EventQueue()
  readonly #publics: Public[] = []
  readonly #up: Reflector[] = []
  readonly #ports = new Map<number, number>([[SOCKET_IPV4, MAIN_PORT]])
  readonly #lastMessage = new Map<PeerId, number>()

  constructor(options: NatWorldOptions) {
    this.#options = options
    const random = new SeededRandom(options.seed)
    this.#random = random
    const profile = { ...DEFAULT_NAT, ...options.profile }
    const addresses = Array.from({ length: profile.externalAddresses }, (_, i) =>
      i === 0 ? EXTERNAL : `198.18.0.${i + 1}`,
    )
    this.table = new NatTable(profile, addresses, random.fork('nat'))
    const firstPort = random.below(28_000)
    this.scratch = new ScratchSockets({
      bind: (socket) => {
        const port = 32_768 + ((firstPort + 7_919 * socket) % 28_000)
        this.#ports.set(socket, port)
        this.#at(0, () => this.scratch.report(socket, [{ host: this.insideHost, port }]))
      },
      unbind: (socket) => this.#ports.delete(socket),
    })
    const host = {
      transmit: (to: Endpoint, data: Uint8Array) => this.#leave(to, data.slice()),
      helpers: () => this.#up,
      local: () => [{ host: this.insideHost, port: MAIN_PORT }],
      changed: (now: Instant) => this.changes.push(now),
    }
    this.survey = new Survey({ random: random.fork('peer'), scratch: this.scratch, host }, this.now)
    for (let i = 0; i < options.reflectors; i++) this.#addPublic(i)
  }

  get now(): Instant {
    return this.nowMs as Instant
  }

  get insideHost(): string {
    return this.#options.insideHost ?? '192.168.1.10'
  }

  get openSockets(): number {
    return this.#ports.size - 1
  }

  run(untilMs: number): void {
    for (;;) {
      const event = this.#queue.first
      const deadlines = [this.survey, ...this.#publics.map(({ survey }) => survey)]
      let next = event?.atMs ?? Number.POSITIVE_INFINITY
      let due: Survey | undefined
      for (const survey of deadlines) {
        const at = survey.deadline()?.at
        if (at !== undefined && at < next) [next, due] = [at, survey]
      }
      if (next > untilMs) break
      this.nowMs = Math.max(this.nowMs, next)
      if (due !== undefined) due.onDeadline(this.now)
      else this.#queue.take()?.fire()
    }
    this.nowMs = untilMs
  }

  /** The peer's main socket writes to the reflector, as a session does. */
  observe(index: number): void {
    const each = this.#publics[index]
    if (each === undefined) return
    const seen = this.#mainAt(each)
    if (seen !== undefined) {
      this.survey.observed(each.peer, each.host, this.#told(each, seen), this.now)
    }
  }

  /** What a mapping of the main socket towards this reflector is. */
  #mainAt(each: Public): LocalAddress | undefined {
    const inside = { host: this.insideHost, port: MAIN_PORT }
    return this.table.outbound(inside, { host: each.host, port: MAIN_PORT }, this.nowMs)
  }

  #addPublic(index: number): void {
    const host = `198.18.${index + 1}.1`
    const peer = `${index}`.padStart(64, '0') as PeerId
    const lie = this.#options.liars?.[index]
    const ports = new Map<number, number>([[SOCKET_IPV4, MAIN_PORT]])
    const scratch = new ScratchSockets({
      bind: (socket) => ports.set(socket, 20_000 + socket - SOCKET_SCRATCH),
      unbind: (socket) => ports.delete(socket),
    })
    const survey = new Survey(
      {
        random: this.#random.fork(`public ${index}`),
        scratch,
        host: {
          transmit: (to, data) => {
            this.knocksServed++
            this.longestKnockBytes = Math.max(this.longestKnockBytes, data.length)
            const socket = lie === 'knocks-from-main' ? SOCKET_IPV4 : to.socket
            const port = ports.get(socket) ?? 0
            this.#enter({ host, port }, to, data)
          },
          helpers: () => [],
          local: () => [{ host, port: MAIN_PORT }],
          changed: () => {},
        },
      },
      this.now,
    )
    const each = { peer, host, survey, lie }
    this.#publics.push(each)
    const endpoint: Endpoint = { kind: 'udp', socket: SOCKET_IPV4, host, port: MAIN_PORT }
    this.#at(index * (this.#options.arrivalGapMs ?? 0), () => {
      this.observe(index)
      this.#up.push({ peer, endpoint, send: (message) => this.#message(each, message) })
      this.survey.helperUp(this.now)
    })
  }

  #message(each: Public, message: NatMessage): void {
    if (this.#lastMessage.get(each.peer) !== this.nowMs) this.datagrams++
    this.#lastMessage.set(each.peer, this.nowMs)
    this.knocksAsked++
    const seen = this.#mainAt(each)
    if (seen === undefined || message.type !== 'knock' || each.lie === 'refuses-knocks') return
    const endpoint: Endpoint = { kind: 'udp', socket: SOCKET_IPV4, ...seen }
    this.#at(this.#latencyMs(), () => {
      each.survey.knock({ peer: 'me' as PeerId, endpoint }, message, this.now)
    })
  }

  #leave(to: Endpoint, data: Uint8Array): void {
    this.datagrams++
    const port = this.#ports.get(to.socket)
    if (port === undefined || this.#isLost()) return
    const external = this.table.outbound({ host: this.insideHost, port }, to, this.nowMs)
    if (external === undefined) return
    if (to.host === external.host) {
      if (this.table.profile.hairpin) this.#deliver(external, to, data)
      return
    }
    const each = this.#publics.find(({ host }) => host === to.host)
    if (each === undefined) return
    this.#at(this.#latencyMs(), () => this.#answer(each, external, data))
  }

  #answer(each: Public, external: LocalAddress, data: Uint8Array): void {
    const transaction = decodeBindingRequest(data)
    const answer =
      transaction !== undefined && each.lie !== undefined
        ? encodeBindingResponse(transaction, this.#told(each, external))
        : answerBinding(data, external)
    if (answer === undefined) return
    this.#enter({ host: each.host, port: MAIN_PORT }, external, answer)
  }

  #told(each: Public, truth: LocalAddress): LocalAddress {
    switch (each.lie) {
      case 'wrong-address':
        return { host: '203.0.113.66', port: 1 + ((truth.port * 7) % 65_535) }
      case 'our-other-address':
        return { host: truth.host, port: 1 + ((truth.port * 7) % 65_535) }
      default:
        return truth
    }
  }

  #enter(from: LocalAddress, to: LocalAddress, data: Uint8Array): void {
    if (this.#isLost()) return
    this.#at(this.#latencyMs(), () => this.#deliver(from, to, data))
  }

  #deliver(from: LocalAddress, to: LocalAddress, data: Uint8Array): void {
    const inside = this.table.inbound({ host: to.host, port: to.port }, from, this.nowMs)
    if (typeof inside === 'string') return
    const socket = [...this.#ports].find(([, port]) => port === inside.port)?.[0]
    if (socket === undefined) return
    const endpoint: Endpoint = { kind: 'udp', socket, host: from.host, port: from.port }
    this.survey.receive(data, endpoint, this.now)
  }

  #isLost(): boolean {
    return this.#random.chance(this.#options.loss ?? 0)
  }

  #latencyMs(): number {
    const { latencyMs = 20, jitterMs = 0 } = this.#options
    return latencyMs + jitterMs * this.#random.fraction()
  }

  #at(afterMs: number, run: () => void): void {
    this.#queue.add(new Turn(run), this.nowMs + afterMs)
  }
}

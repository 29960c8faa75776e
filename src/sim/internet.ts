import { UsageError } from '../core/errors.ts'
import { DYNAMIC_PORTS, FIRST_DYNAMIC_PORT, publicIpv4, publicIpv6 } from './addresses.ts'
import { CheckFailure } from './check-failure.ts'
import { type Timeline, tickAt } from './clock.ts'
import { EventQueue, Scheduled } from './event-queue.ts'
import { Partitions } from './fault.ts'
import { Host, type HostPlace } from './host.ts'
import { DEFAULT_LINK, Link, type LinkProfile } from './link.ts'
import { DEFAULT_NAT, type NatProfile } from './nat.ts'
import { type Inside, NatBox } from './nat-box.ts'
import { Network, Realm } from './network.ts'
import { SeededRandom } from './random.ts'
import { Trace } from './trace.ts'

export interface InternetOptions {
  /** The only source of chance. */
  readonly seed: number | string
  /** Lines differ from `DEFAULT_LINK` by this, unless they say otherwise. */
  readonly defaultLink?: Partial<LinkProfile> | undefined
}

export interface NatOptions extends Partial<NatProfile> {
  readonly name?: string
  readonly inside?: Inside
  /** The box that this one is behind. */
  readonly behind?: NatBox
  readonly link?: Partial<LinkProfile> | Link
}

export interface HostOptions {
  readonly name?: string | undefined
  /** A box to be behind, or what a box of its own is like. None: a public address. */
  readonly nat?: NatBox | NatOptions | undefined
  /**
   * The site's line to the internet. Behind a box that stands already, the host's own line to that
   * box, which is otherwise perfect.
   */
  readonly link?: Partial<LinkProfile> | Link | undefined
  /** A global IPv6 address, which is never translated. */
  readonly ipv6?: boolean | 'firewalled' | undefined
  readonly clockSkewMs?: number | undefined
  readonly port?: number | undefined
  /** A public address to have, instead of one in a network of its own. */
  readonly address?: string | undefined
  /** Public hosts with the same segment hear each other's multicast. Homes need no name. */
  readonly segment?: string | undefined
}

/** More than this at one instant means that time stands still: two parties answer each other at once. */
const EVENTS_PER_INSTANT_MAX = 1_000_000
const WIRE: LinkProfile = { ...DEFAULT_LINK, latencyMs: 0, datagramBytesMax: 65_507 }

/**
 * An internet in virtual time: hosts, NAT boxes and lines, and one queue of what happens next. It
 * knows no protocol; `World` puts peers on it. Equal seeds and equal calls give equal runs, on every
 * JavaScript engine.
 */
export class Internet implements Timeline {
  readonly seed: number | string
  readonly random: SeededRandom
  readonly queue = new EventQueue()
  readonly network: Network
  readonly partitions = new Partitions()
  readonly trace = new Trace()
  readonly #hosts: Host[] = []
  readonly #names = new Set<string>()
  readonly #segments = new Map<string, Set<Host>>()
  readonly #homes = new Map<NatBox, Set<Host>>()
  readonly #internet4 = new Realm('internet', undefined, '', 0)
  readonly #internet6 = new Realm('internet6', undefined, '', 0)
  readonly #defaultLink: LinkProfile
  #nowMs = 0
  #addresses4 = 0
  #addresses6 = 0
  #boxes = 0
  #events = 0
  #failure: CheckFailure | undefined

  constructor(options: InternetOptions) {
    this.seed = options.seed
    this.random = new SeededRandom(options.seed)
    this.#defaultLink = { ...DEFAULT_LINK, ...options.defaultLink }
    this.network = new Network(this, this.random.fork('network'))
  }

  /** Virtual time since the beginning. */
  get nowMs(): number {
    return this.#nowMs
  }

  get hosts(): readonly Host[] {
    return this.#hosts
  }

  /** Events that have happened. */
  get events(): number {
    return this.#events
  }

  /** A line that several hosts or boxes may share. */
  addLink(profile: Partial<LinkProfile> = {}): Link {
    return new Link({ ...this.#defaultLink, ...profile })
  }

  addNat(options: NatOptions = {}): NatBox {
    const { name = `nat${this.#boxes}`, inside = 'home', behind, link, ...profile } = options
    this.#boxes++
    const whole = { ...DEFAULT_NAT, ...profile }
    const box = new NatBox({
      name,
      network: this.network,
      profile: whole,
      inside,
      outer: behind?.inner ?? this.#internet4,
      link: this.#linkOf(link),
      addresses: this.#externalAddresses(whole.externalAddresses, behind),
      random: this.random.fork(`nat ${name}`),
    })
    if (inside === 'home') this.#homes.set(box, new Set())
    return box
  }

  addHost(options: HostOptions = {}): Host {
    const number = this.#hosts.length
    const name = options.name ?? `h${number}`
    if (this.#names.has(name)) {
      throw new UsageError('EOPTION', 'name', 'a name no other host has', name)
    }
    this.#names.add(name)
    const draw = this.random.fork(`port ${name}`)
    const port = options.port ?? FIRST_DYNAMIC_PORT + draw.below(DYNAMIC_PORTS)
    const place = this.#placeFor(options)
    const host = new Host(this, number, name, port, place, options.clockSkewMs ?? 0)
    this.#hosts.push(host)
    return host
  }

  /** Takes a host elsewhere: it gets other addresses, and its core is told so. */
  move(host: Host, to: Pick<HostOptions, 'nat' | 'link' | 'ipv6' | 'address' | 'segment'>): void {
    host.attachTo(this.#placeFor(to))
  }

  /** Restarts a router. `changesAddress`: its provider gives it other external addresses. */
  rebootNat(box: NatBox, options: { readonly changesAddress?: boolean } = {}): void {
    if (options.changesAddress !== true) box.reboot()
    else {
      const behind = box.outer.gateway instanceof NatBox ? box.outer.gateway : undefined
      box.reboot(this.#externalAddresses(box.profile.externalAddresses, behind))
    }
  }

  /**
   * Cuts two sets of hosts off from each other; `isOneWay` lets answers of `b` through to `a`.
   * Returns what heals it.
   */
  partition(
    a: readonly Host[],
    b: readonly Host[],
    options: { readonly isOneWay?: boolean } = {},
  ): () => void {
    const [first, second] = [a, b].map((hosts) => hosts.map((host) => host.number))
    const heals = [this.partitions.add(first ?? [], second ?? [])]
    if (options.isOneWay !== true) heals.push(this.partitions.add(second ?? [], first ?? []))
    return () => {
      for (const heal of heals) heal()
    }
  }

  /** Calls `action` when `delayMs` of virtual time have passed. */
  after(delayMs: number, action: () => void): void {
    this.queue.add(new Action(action), tickAt(this.#nowMs + Math.max(0, delayMs)))
  }

  /** Lets `durationMs` of virtual time pass. Throws what went wrong in the meantime. */
  run(durationMs: number): void {
    const endMs = tickAt(this.#nowMs + durationMs)
    this.#until(endMs, undefined)
    this.#nowMs = endMs
  }

  /**
   * Lets time pass until `predicate` holds, which is asked after every event; returns how long it
   * took. Throws when that is more than `limitMs`.
   */
  runUntil(predicate: () => boolean, limitMs: number): number {
    const startMs = this.#nowMs
    const endMs = tickAt(startMs + limitMs)
    if (!predicate() && !this.#until(endMs, predicate)) {
      this.#nowMs = endMs
      throw new CheckFailure(this, undefined, `not so after ${limitMs} ms: ${predicate}`)
    }
    return this.#nowMs - startMs
  }

  /** Makes the run fail: `run` throws after the event in hand. The first failure counts. */
  fail(host: Host, what: string, cause: unknown): void {
    const detail = cause instanceof Error ? cause.message : String(cause)
    this.#failure ??= new CheckFailure(this, host.name, `${what}: ${detail}`, cause)
  }

  /** Whether the predicate came true; false when the time was up. */
  #until(endMs: number, predicate: (() => boolean) | undefined): boolean {
    let atThisInstant = 0
    this.#throwFailure()
    for (;;) {
      const next = this.queue.first
      if (next === undefined || next.atMs > endMs) return false
      this.queue.take()
      atThisInstant = next.atMs === this.#nowMs ? atThisInstant + 1 : 0
      if (atThisInstant > EVENTS_PER_INSTANT_MAX) throw this.#standstill()
      this.#nowMs = next.atMs
      this.#events++
      next.fire()
      this.#throwFailure()
      if (predicate?.() === true) return true
    }
  }

  #standstill(): CheckFailure {
    const restless = this.#hosts.find((host) => host.urgentReason !== undefined)
    const why = restless === undefined ? 'a datagram or action' : `'${restless.urgentReason}'`
    const what = `time stands still after ${EVENTS_PER_INSTANT_MAX} events: ${why} comes at once again`
    return new CheckFailure(this, restless?.name, what)
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure
  }

  #placeFor(options: HostOptions): HostPlace {
    const { nat, link, ipv6, segment } = options
    const site =
      nat === undefined || nat instanceof NatBox
        ? undefined
        : this.addNat(link === undefined ? nat : { ...nat, link })
    const box = nat instanceof NatBox ? nat : site
    const own = box === undefined ? this.#linkOf(link) : this.#insideLink(site, link)
    return {
      ipv4: {
        address: options.address ?? box?.allocateAddress() ?? publicIpv4(this.#addresses4++),
        realm: box?.inner ?? this.#internet4,
        link: own,
      },
      ipv6:
        ipv6 === undefined || ipv6 === false
          ? undefined
          : {
              address: publicIpv6(this.#addresses6++),
              realm: this.#internet6,
              link: box?.link ?? own,
              isFirewalled: ipv6 === 'firewalled',
            },
      nat: box,
      segment: box === undefined ? this.#segment(segment) : this.#homes.get(box),
    }
  }

  #segment(name: string | undefined): Set<Host> | undefined {
    if (name === undefined) return undefined
    const segment = this.#segments.get(name) ?? new Set()
    this.#segments.set(name, segment)
    return segment
  }

  /** A site's own box sits at the site's line already; a host at a shared box may have a line to it. */
  #insideLink(site: NatBox | undefined, link: HostOptions['link']): Link {
    return site !== undefined || link === undefined ? new Link(WIRE) : this.#linkOf(link)
  }

  #linkOf(link: Partial<LinkProfile> | Link | undefined): Link {
    return link instanceof Link ? link : this.addLink(link)
  }

  #externalAddresses(count: number, behind: NatBox | undefined): string[] {
    return Array.from(
      { length: count },
      () => behind?.allocateAddress() ?? publicIpv4(this.#addresses4++),
    )
  }
}

class Action extends Scheduled {
  readonly #action: () => void

  constructor(action: () => void) {
    super()
    this.#action = action
  }

  fire(): void {
    this.#action()
  }
}

import { UsageError } from '../core/errors.ts'
import type { LocalAddress } from '../core/io.ts'
import type { SeededRandom } from './random.ts'

/** RFC 4787 §4.1 for mapping, §5 for filtering. */
export type Dependence = 'endpoint-independent' | 'address-dependent' | 'address-and-port-dependent'

/**
 * How the external port is chosen (RFC 4787 §4.2, §4.3).
 * `preserving`: the inside port, or the next free one above it; `sequential`: the one after the last;
 * `random`: any; `block`: at random within a run of ports that belongs to one inside host.
 */
export type Allocation = 'preserving' | 'sequential' | 'random' | 'block'

export interface NatProfile {
  readonly mapping: Dependence
  readonly filtering: Dependence
  readonly allocation: Allocation
  /** Ports in a block, for `block`. */
  readonly blockPorts: number
  /** Ports that other customers' mappings take each second, for `sequential`; 0 for none. */
  readonly noisePerS: number
  /** A mapping, and the leave a remote has to answer, end this long after the last datagram out. */
  readonly lifetimeMs: number
  /** A mapping ends at this age however busy it is; undefined for never. */
  readonly absoluteLifetimeMs: number | undefined
  /** Whether datagrams from outside prolong a mapping too (RFC 4787 REQ-6 permits it). */
  readonly refreshesInbound: boolean
  /** Whether hosts inside reach each other by external address (RFC 4787 §6). */
  readonly hairpin: boolean
  readonly externalAddresses: number
  /** `paired`: one inside host keeps one external address (RFC 4787 REQ-2). */
  readonly pooling: 'paired' | 'arbitrary'
  /** Lets no UDP through. */
  readonly blocksUdp: boolean
}

/** A home router as Linux makes them; the lifetime is what RFC 4787 REQ-5 asks for at least. */
export const DEFAULT_NAT: NatProfile = {
  mapping: 'endpoint-independent',
  filtering: 'address-and-port-dependent',
  allocation: 'preserving',
  blockPorts: 512,
  noisePerS: 0,
  lifetimeMs: 120_000,
  absoluteLifetimeMs: undefined,
  refreshesInbound: false,
  hairpin: false,
  externalAddresses: 1,
  pooling: 'paired',
  blocksUdp: false,
}

const FIRST_PORT = 1024
const LAST_PORT = 65_535
const PORTS = LAST_PORT - FIRST_PORT + 1
/** Tables are searched for dead entries when they reach this size, and again at twice what is left. */
const SWEEP_ENTRIES = 1024
/** The variance of the noise is short of Poisson's by one part in this many. */
const NOISE_DRAWS_PER_PORT = 8
/** Above this mean the noise is the mean itself: nobody predicts past so many ports. */
const NOISE_MEAN_MAX = 512

interface Mapping {
  /** Undefined for a forward. */
  readonly key: string | undefined
  readonly inside: LocalAddress
  readonly external: LocalAddress
  readonly createdMs: number
  refreshedMs: number
  /** Who may answer, and when it was last written to. Keys as `filtering` asks. */
  readonly contacts: Map<string, number>
  sweepContactsAt: number
}

/** Why nothing comes in. */
export type Refusal = 'no-mapping' | 'filtered'

/** One NAT's tables: which external socket stands for which inside one, and who may write to it. */
export class NatTable {
  readonly profile: NatProfile
  readonly #random: SeededRandom
  readonly #byKey = new Map<string, Mapping>()
  readonly #byExternal = new Map<string, Mapping>()
  readonly #pairedAddress = new Map<string, string>()
  readonly #blocks = new Map<string, number>()
  /** By inside socket. */
  readonly #forwards = new Map<string, Mapping>()
  #addresses: readonly string[]
  #nextPort = FIRST_PORT
  #noiseUntilMs = 0
  #nextBlock = 0
  #sweepAt = SWEEP_ENTRIES

  constructor(profile: NatProfile, addresses: readonly string[], random: SeededRandom) {
    this.profile = checked(profile)
    this.#addresses = addresses
    this.#random = random
    this.#nextPort = FIRST_PORT + random.below(PORTS)
    this.#nextBlock = random.below(this.#blockCount())
  }

  /** Mappings that have not been found dead. */
  get size(): number {
    return this.#byKey.size
  }

  /** Forgets everything, as a power cut does; `addresses` replace the external ones when given. */
  reset(addresses: readonly string[] = this.#addresses): void {
    this.#addresses = addresses
    this.#byKey.clear()
    this.#byExternal.clear()
    this.#pairedAddress.clear()
    this.#blocks.clear()
    this.#forwards.clear()
  }

  /**
   * Forwards an external port to an inside socket, as port mapping protocols ask for: whoever writes to
   * it gets in, and what the socket sends leaves from there, until `removeForward` or a reset.
   * Returns the external socket. Throws when another inside socket has that port.
   */
  forward(inside: LocalAddress, externalPort: number, nowMs: number): LocalAddress {
    const isPort = Number.isInteger(externalPort) && externalPort > 0 && externalPort <= LAST_PORT
    const external = { host: this.#chooseAddress(inside.host), port: externalPort }
    const holder = this.#byExternal.get(socketKey(external))
    const isTaken =
      holder !== undefined &&
      this.#isAlive(holder, nowMs) &&
      socketKey(holder.inside) !== socketKey(inside)
    if (!isPort || isTaken) {
      throw new UsageError('EOPTION', 'externalPort', 'a port that is free', `${externalPort}`)
    }
    if (holder !== undefined) this.#forget(holder)
    this.removeForward(inside)
    const mapping = newMapping(undefined, inside, external, nowMs)
    this.#forwards.set(socketKey(inside), mapping)
    this.#byExternal.set(socketKey(external), mapping)
    return external
  }

  removeForward(inside: LocalAddress): void {
    const forward = this.#forwards.get(socketKey(inside))
    if (forward !== undefined) this.#forget(forward)
  }

  /** The external socket for a datagram on its way out; undefined when it may not or no port is left. */
  outbound(inside: LocalAddress, remote: LocalAddress, nowMs: number): LocalAddress | undefined {
    if (this.profile.blocksUdp) return undefined
    const insideKey = socketKey(inside)
    const forward = this.#forwards.get(insideKey)
    if (forward !== undefined) return forward.external
    const key = `${insideKey}>${dependentKey(this.profile.mapping, remote)}`
    let mapping = this.#byKey.get(key)
    if (mapping !== undefined && !this.#isAlive(mapping, nowMs)) {
      this.#forget(mapping)
      mapping = undefined
    }
    mapping ??= this.#create(key, inside, nowMs)
    if (mapping === undefined) return undefined
    mapping.refreshedMs = nowMs
    if (this.profile.filtering !== 'endpoint-independent') {
      mapping.contacts.set(dependentKey(this.profile.filtering, remote), nowMs)
      if (mapping.contacts.size >= mapping.sweepContactsAt) this.#sweepContacts(mapping, nowMs)
    }
    return mapping.external
  }

  /** The inside socket that a datagram from `remote` to `external` reaches, or why it reaches none. */
  inbound(external: LocalAddress, remote: LocalAddress, nowMs: number): LocalAddress | Refusal {
    const mapping = this.#byExternal.get(socketKey(external))
    if (mapping === undefined || this.profile.blocksUdp) return 'no-mapping'
    if (!this.#isAlive(mapping, nowMs)) {
      this.#forget(mapping)
      return 'no-mapping'
    }
    if (isForward(mapping)) return mapping.inside
    const { filtering, lifetimeMs, refreshesInbound } = this.profile
    if (filtering !== 'endpoint-independent') {
      const key = dependentKey(filtering, remote)
      const writtenMs = mapping.contacts.get(key)
      if (writtenMs === undefined || nowMs - writtenMs > lifetimeMs) return 'filtered'
      if (refreshesInbound) mapping.contacts.set(key, nowMs)
    }
    if (refreshesInbound) mapping.refreshedMs = nowMs
    return mapping.inside
  }

  #create(key: string, inside: LocalAddress, nowMs: number): Mapping | undefined {
    if (this.#byKey.size >= this.#sweepAt) this.#sweep(nowMs)
    const host = this.#chooseAddress(inside.host)
    const port = this.#choosePort(host, inside, nowMs)
    if (port === undefined) return undefined
    const mapping = newMapping(key, inside, { host, port }, nowMs)
    this.#byKey.set(key, mapping)
    this.#byExternal.set(socketKey(mapping.external), mapping)
    return mapping
  }

  #chooseAddress(insideHost: string): string {
    const draw = () => this.#addresses[this.#random.below(this.#addresses.length)] ?? ''
    if (this.profile.pooling === 'arbitrary') return draw()
    const paired = this.#pairedAddress.get(insideHost) ?? draw()
    this.#pairedAddress.set(insideHost, paired)
    return paired
  }

  #choosePort(host: string, inside: LocalAddress, nowMs: number): number | undefined {
    switch (this.profile.allocation) {
      case 'preserving':
        return this.#firstFree(host, inside.port, FIRST_PORT, PORTS, nowMs)
      case 'sequential': {
        this.#makeNoise(nowMs)
        const port = this.#firstFree(host, this.#nextPort, FIRST_PORT, PORTS, nowMs)
        if (port !== undefined) this.#nextPort = port + 1
        return port
      }
      case 'random':
        return this.#firstFree(
          host,
          FIRST_PORT + this.#random.below(PORTS),
          FIRST_PORT,
          PORTS,
          nowMs,
        )
      case 'block': {
        const base = this.#blockOf(host, inside.host)
        if (base === undefined) return undefined
        const start = base + this.#random.below(this.profile.blockPorts)
        return this.#firstFree(host, start, base, this.profile.blockPorts, nowMs)
      }
    }
  }

  /**
   * Moves on by what others have taken since the last time: about a Poisson number, drawn as a binomial
   * one, for engines differ in the last digit of a logarithm.
   */
  #makeNoise(nowMs: number): void {
    const mean = (this.profile.noisePerS * (nowMs - this.#noiseUntilMs)) / 1000
    this.#noiseUntilMs = nowMs
    if (mean <= 0) return
    const draws = mean > NOISE_MEAN_MAX ? 0 : Math.ceil(NOISE_DRAWS_PER_PORT * mean)
    let ports = draws === 0 ? Math.floor(mean) : 0
    for (let i = 0; i < draws; i++) if (this.#random.chance(mean / draws)) ports++
    this.#nextPort = FIRST_PORT + ((this.#nextPort - FIRST_PORT + ports) % PORTS)
  }

  #blockOf(host: string, insideHost: string): number | undefined {
    const key = `${host} ${insideHost}`
    let block = this.#blocks.get(key)
    if (block === undefined) {
      if (this.#blocks.size >= this.#blockCount()) return undefined
      block = this.#nextBlock++ % this.#blockCount()
      this.#blocks.set(key, block)
    }
    return FIRST_PORT + block * this.profile.blockPorts
  }

  #blockCount(): number {
    return Math.max(1, Math.floor(PORTS / this.profile.blockPorts))
  }

  /** From `start` upwards, and round within the `count` ports from `base`. */
  #firstFree(
    host: string,
    start: number,
    base: number,
    count: number,
    nowMs: number,
  ): number | undefined {
    const offset = Math.max(0, start - base)
    for (let i = 0; i < count; i++) {
      const port = base + ((offset + i) % count)
      const holder = this.#byExternal.get(socketKey({ host, port }))
      if (holder === undefined) return port
      if (this.#isAlive(holder, nowMs)) continue
      this.#forget(holder)
      return port
    }
    return undefined
  }

  #isAlive(mapping: Mapping, nowMs: number): boolean {
    if (isForward(mapping)) return true
    const { lifetimeMs, absoluteLifetimeMs } = this.profile
    if (nowMs - mapping.refreshedMs > lifetimeMs) return false
    return absoluteLifetimeMs === undefined || nowMs - mapping.createdMs <= absoluteLifetimeMs
  }

  #forget(mapping: Mapping): void {
    if (mapping.key === undefined) this.#forwards.delete(socketKey(mapping.inside))
    else this.#byKey.delete(mapping.key)
    this.#byExternal.delete(socketKey(mapping.external))
  }

  #sweep(nowMs: number): void {
    for (const mapping of this.#byKey.values()) {
      if (!this.#isAlive(mapping, nowMs)) this.#forget(mapping)
    }
    this.#sweepAt = Math.max(SWEEP_ENTRIES, 2 * this.#byKey.size)
  }

  #sweepContacts(mapping: Mapping, nowMs: number): void {
    for (const [key, writtenMs] of mapping.contacts) {
      if (nowMs - writtenMs > this.profile.lifetimeMs) mapping.contacts.delete(key)
    }
    mapping.sweepContactsAt = Math.max(SWEEP_ENTRIES, 2 * mapping.contacts.size)
  }
}

function isForward(mapping: Mapping): boolean {
  return mapping.key === undefined
}

function newMapping(
  key: string | undefined,
  inside: LocalAddress,
  external: LocalAddress,
  nowMs: number,
): Mapping {
  return {
    key,
    inside,
    external,
    createdMs: nowMs,
    refreshedMs: nowMs,
    contacts: new Map(),
    sweepContactsAt: SWEEP_ENTRIES,
  }
}

function socketKey(socket: LocalAddress): string {
  return `${socket.host}:${socket.port}`
}

function dependentKey(dependence: Dependence, remote: LocalAddress): string {
  if (dependence === 'endpoint-independent') return ''
  return dependence === 'address-dependent' ? remote.host : socketKey(remote)
}

function checked(profile: NatProfile): NatProfile {
  const { blockPorts, externalAddresses, lifetimeMs, noisePerS } = profile
  if (!Number.isInteger(blockPorts) || blockPorts < 1 || blockPorts > PORTS) {
    throw new UsageError('EOPTION', 'blockPorts', `an integer from 1 to ${PORTS}`, `${blockPorts}`)
  }
  if (!Number.isInteger(externalAddresses) || externalAddresses < 1 || externalAddresses > 256) {
    throw new UsageError(
      'EOPTION',
      'externalAddresses',
      'an integer from 1 to 256',
      `${externalAddresses}`,
    )
  }
  if (!(lifetimeMs > 0)) {
    throw new UsageError('EOPTION', 'lifetimeMs', 'more than 0', `${lifetimeMs}`)
  }
  if (!(noisePerS >= 0)) {
    throw new UsageError('EOPTION', 'noisePerS', '0 or more', `${noisePerS}`)
  }
  return profile
}

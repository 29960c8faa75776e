import { assert, UsageError } from '../core/errors.ts'
import {
  type Command,
  type Core,
  type Endpoint,
  type Instant,
  LAN_HOST,
  type LocalAddress,
  type PeerEvent,
  type PortMapping,
  type RejectCode,
  type Snapshot,
  SOCKET_IPV4,
  SOCKET_IPV6,
  SOCKET_LAN,
  SOCKET_SCRATCH,
  type UnixMs,
} from '../core/io.ts'
import { Driver, type DriverTrace, type Port } from '../driver/drive.ts'
import type { TransportReceiver } from '../driver/ports.ts'
import { DYNAMIC_PORTS, FIRST_DYNAMIC_PORT } from './addresses.ts'
import { HostClock } from './clock.ts'
import { Interface } from './interface.ts'
import type { Internet } from './internet.ts'
import type { Link } from './link.ts'
import type { NatBox } from './nat-box.ts'
import { Flight, type Realm } from './network.ts'
import type { SeededRandom } from './random.ts'
import { SimStorage } from './storage.ts'
import { digestOf } from './trace.ts'

/** What a core is made with: nothing else of its surroundings may reach it. */
export interface CoreContext {
  readonly random: SeededRandom
  readonly now: Instant
  readonly wall: UnixMs
}

export type MakeCore = (context: CoreContext) => Core

export interface HostCallbacks {
  /** What it throws fails the run. */
  readonly onEvent?: ((event: PeerEvent) => void) | undefined
  readonly trace?: ((step: DriverTrace) => void) | undefined
}

/** Where a host is attached: one address on one line in one realm. */
export interface Attachment {
  readonly address: string
  readonly realm: Realm
  readonly link: Link
}

/** Guess, unmeasured: how long multicast takes on one segment. */
const BEACON_MS = 0.25
/**
 * Scratch ports lie this far apart, for systems scatter them: a NAT that takes the next free port
 * would find neighbours in each other's way. Odd, so that every dynamic port gets its turn.
 */
const SCRATCH_STRIDE = 5_099

/** One boot of a core. Without a receiver it can neither send nor hear. */
interface Run {
  readonly core: Core
  readonly clock: HostClock
  receiver: TransportReceiver | undefined
  driver: Driver | undefined
}

export interface HostPlace {
  readonly ipv4: Attachment
  readonly ipv6: (Attachment & { readonly isFirewalled: boolean }) | undefined
  /** The innermost box the host is behind. */
  readonly nat: NatBox | undefined
  /** Hosts with the same segment hear each other's multicast. */
  readonly segment: Set<Host> | undefined
}

/** One machine, which runs at most one core at a time. Its disk survives crashes and restarts. */
export class Host {
  readonly number: number
  readonly name: string
  readonly storage = new SimStorage()
  /** The UDP port of its sockets, kept over restarts. */
  readonly port: number
  /** Remote faults the core has counted since the host was made. */
  readonly rejections = new Map<RejectCode, number>()
  /** Storage and transport errors that the driver has reported. */
  readonly portErrors: { readonly port: Port; readonly error: unknown }[] = []
  readonly #internet: Internet
  readonly #random: SeededRandom
  #place: HostPlace
  #ipv4: Interface
  #ipv6: Interface | undefined
  /** The addresses of its scratch sockets, by socket number. */
  readonly #scratch = new Map<number, LocalAddress>()
  #scratchPorts = 0
  #skewMs: number
  #run: Run | undefined
  #made: { readonly makeCore: MakeCore; readonly callbacks: HostCallbacks } | undefined
  #runs = 0
  #hadIpv6 = false
  #isAsleep = false

  /** Use `Internet.addHost`. */
  constructor(
    internet: Internet,
    number: number,
    name: string,
    port: number,
    place: HostPlace,
    skewMs: number,
  ) {
    this.#internet = internet
    this.number = number
    this.name = name
    this.port = port
    this.#random = internet.random.fork(name)
    this.#skewMs = skewMs
    this.#place = place
    this.#ipv4 = this.#attachIpv4()
    this.#ipv6 = this.#attachIpv6()
    place.segment?.add(this)
  }

  get place(): HostPlace {
    return this.#place
  }

  /** Its IPv4 address as it sees it: a private one behind a NAT. */
  get address(): LocalAddress {
    return { host: this.#place.ipv4.address, port: this.port }
  }

  get ipv6Address(): LocalAddress | undefined {
    const { ipv6 } = this.#place
    return ipv6 === undefined ? undefined : { host: ipv6.address, port: this.port }
  }

  get isPublic(): boolean {
    return this.#place.nat === undefined
  }

  get isRunning(): boolean {
    return this.#run !== undefined
  }

  get isAsleep(): boolean {
    return this.#isAsleep
  }

  /** The link of its site: what separates it from the internet or from its carrier. */
  get link(): Link {
    return this.#place.nat?.link ?? this.#place.ipv4.link
  }

  /** Boots a core. It starts with what the host's storage holds. */
  start(makeCore: MakeCore, callbacks: HostCallbacks = {}): void {
    if (this.#run !== undefined) {
      throw new UsageError('ESTARTED', 'start', `${this.name} not to be running`, 'a running core')
    }
    this.#made = { makeCore, callbacks }
    this.#isAsleep = false
    const clock = new HostClock(this.#internet, this.#skewMs)
    const random = this.#random.fork(`run ${this.#runs++}`)
    const core = makeCore({ random, now: clock.now(), wall: clock.wall() })
    const run: Run = { core, clock, receiver: undefined, driver: undefined }
    this.#run = run
    const driver = new Driver({
      core,
      clock,
      storage: this.storage,
      transport: {
        open: (on) => {
          run.receiver = on
          this.#announceSockets(on)
        },
        bind: (socket) => {
          if (run.receiver !== undefined) this.#bind(socket, run.receiver)
        },
        unbind: (socket) => this.#unbind(socket),
        send: (to, data) => {
          if (run.receiver !== undefined) this.#send(to, data)
        },
        close: () => {
          run.receiver = undefined
          this.#closeScratch()
        },
      },
      onEvent: (event) => {
        if (event.type === 'rejected') {
          this.rejections.set(event.code, (this.rejections.get(event.code) ?? 0) + 1)
        }
        callbacks.onEvent?.(event)
      },
      onFault: (error) => this.#internet.fail(this, 'the core failed', error),
      onAppError: (error) => this.#internet.fail(this, 'a callback threw', error),
      onPortError: (error, port) => this.portErrors.push({ port, error }),
    })
    driver.trace = callbacks.trace
    run.driver = driver
    driver.start()
  }

  command(command: Command): void {
    this.#running().driver?.command(command)
  }

  snapshot(): Snapshot {
    return this.#running().core.snapshot()
  }

  /** Why the core wants waking at this very moment; undefined when it does not. */
  get urgentReason(): string | undefined {
    const { clock, driver } = this.#run ?? {}
    const deadline = driver?.deadline
    if (clock === undefined || deadline === undefined) return undefined
    return deadline.at <= clock.now() ? deadline.reason : undefined
  }

  /** Closes the core in good order: it says good-bye. */
  stop(): void {
    const { driver, clock } = this.#running()
    driver?.close()
    clock.stop()
    this.#run = undefined
  }

  /** The process is gone, without a word. `losesWrites` takes back the last writes to the disk. */
  crash(losesWrites = 0): void {
    const run = this.#running()
    run.clock.stop()
    run.receiver = undefined
    this.#closeScratch()
    this.#run = undefined
    this.#isAsleep = false
    if (losesWrites > 0) this.storage.loseWrites(losesWrites)
  }

  /** Crashes if it runs, then boots the same kind of core with the same storage. */
  restart(): void {
    if (this.#made === undefined) {
      throw new UsageError('ENOTSTARTED', 'restart', `${this.name} started before`, 'no core')
    }
    if (this.#run !== undefined) this.crash()
    this.start(this.#made.makeCore, this.#made.callbacks)
  }

  /** Freezes the machine: no timer fires, and what is sent to it is lost. */
  sleep(): void {
    const { clock } = this.#running()
    if (this.#isAsleep) return
    this.#isAsleep = true
    clock.fallAsleep()
  }

  /** Thaws it. The wall clock has moved on; monotonic time has too only if `monotonicJumps`. */
  wake(options: { readonly monotonicJumps?: boolean } = {}): void {
    const { clock } = this.#running()
    if (!this.#isAsleep) return
    this.#isAsleep = false
    clock.wakeUp(options.monotonicJumps ?? false)
  }

  /** Sets the wall clock to this much ahead of true time. */
  setClockSkew(skewMs: number): void {
    this.#skewMs = skewMs
    if (this.#run !== undefined) this.#run.clock.skewMs = skewMs
  }

  /** Use `Internet.move`. Scratch sockets end: what they were opened for is gone with the address. */
  attachTo(place: HostPlace): void {
    const lost = [...this.#scratch.keys()]
    this.#closeScratch()
    this.#ipv4.detach()
    this.#ipv6?.detach()
    this.#place.segment?.delete(this)
    this.#place = place
    this.#ipv4 = this.#attachIpv4()
    this.#ipv6 = this.#attachIpv6()
    place.segment?.add(this)
    const receiver = this.#run?.receiver
    if (receiver === undefined) return
    for (const socket of lost) receiver.socket(socket, 'down', [])
    this.#announceSockets(receiver)
  }

  /** Tells the core what a router forwards to it; `NatBox.forward` makes one do so. */
  tellPortMapping(mapping: PortMapping | undefined): void {
    this.#running().receiver?.portMapping(mapping)
  }

  /** Scratch sockets that are open. */
  get scratchSockets(): number {
    return this.#scratch.size
  }

  /** A datagram reached one of its sockets; `Interface` calls it. */
  receive(flight: Flight, socket: number): void {
    const { network, partitions, trace, nowMs } = this.#internet
    const receiver = this.#run?.receiver
    if (receiver === undefined || this.#isAsleep) {
      network.drop('host-down')
      return
    }
    if (partitions.separates(flight.sender, this.number)) {
      network.drop('partitioned')
      return
    }
    const { data, source, digest } = flight
    network.traffic.delivered++
    network.traffic.deliveredBytes += data.length
    trace.add(
      {
        atMs: nowMs,
        host: this.name,
        direction: 'receive',
        remoteHost: source.host,
        remotePort: source.port,
        data,
      },
      digest,
    )
    receiver.datagram({ kind: 'udp', socket, host: source.host, port: source.port }, data)
  }

  #send(to: Endpoint, lent: Uint8Array): void {
    const { network, trace, nowMs } = this.#internet
    const data = lent.slice()
    const digest = digestOf(data)
    network.traffic.sent++
    network.traffic.sentBytes += data.length
    trace.add(
      {
        atMs: nowMs,
        host: this.name,
        direction: 'send',
        remoteHost: to.host,
        remotePort: to.port,
        data,
      },
      digest,
    )
    if (to.host === LAN_HOST) this.#sendBeacon(data, digest)
    else {
      const isIpv6 = to.host.includes(':')
      const via = isIpv6 ? this.#ipv6 : this.#ipv4
      const isMain = to.socket === via?.socket
      const source = isMain ? via?.address : isIpv6 ? undefined : this.#scratch.get(to.socket)
      if (via === undefined || source === undefined) {
        network.drop('unreachable')
        return
      }
      const destination = { host: to.host, port: to.port }
      via.send(new Flight(network, this.number, data, digest, source, destination, false))
    }
  }

  #bind(socket: number, on: TransportReceiver): void {
    assert(socket >= SOCKET_SCRATCH && !this.#scratch.has(socket), 'a scratch socket is bound once')
    for (let tries = 0; tries < DYNAMIC_PORTS; tries++) {
      const offset = this.port + ++this.#scratchPorts * SCRATCH_STRIDE
      const port = FIRST_DYNAMIC_PORT + (offset % DYNAMIC_PORTS)
      if (!this.#ipv4.open(port, socket)) continue
      const address = { host: this.#ipv4.address.host, port }
      this.#scratch.set(socket, address)
      on.socket(socket, 'up', [address])
      return
    }
    on.socket(socket, 'down', [])
  }

  #unbind(socket: number): void {
    const address = this.#scratch.get(socket)
    if (address === undefined) return
    this.#ipv4.close(address.port)
    this.#scratch.delete(socket)
  }

  #closeScratch(): void {
    for (const { port } of this.#scratch.values()) this.#ipv4.close(port)
    this.#scratch.clear()
  }

  #sendBeacon(data: Uint8Array, digest: ReturnType<typeof digestOf>): void {
    const { network } = this.#internet
    for (const mate of this.#place.segment ?? []) {
      if (mate === this) continue
      const target = mate.#ipv4
      const copy = data.slice()
      new Flight(network, this.number, copy, digest, this.address, mate.address, true).after(
        BEACON_MS,
        (arrived) => target.arrive(arrived),
      )
    }
  }

  #announceSockets(on: TransportReceiver): void {
    on.socket(SOCKET_IPV4, 'up', [this.address])
    const ipv6 = this.ipv6Address
    if (ipv6 !== undefined) on.socket(SOCKET_IPV6, 'up', [ipv6])
    else if (this.#hadIpv6) on.socket(SOCKET_IPV6, 'down', [])
    this.#hadIpv6 = ipv6 !== undefined
    if (this.#place.segment !== undefined) on.socket(SOCKET_LAN, 'up', [])
  }

  #attachIpv4(): Interface {
    return new Interface(this, SOCKET_IPV4, this.#place.ipv4, false, this.#internet)
  }

  #attachIpv6(): Interface | undefined {
    const { ipv6 } = this.#place
    if (ipv6 === undefined) return undefined
    return new Interface(this, SOCKET_IPV6, ipv6, ipv6.isFirewalled, this.#internet)
  }

  #running(): Run {
    if (this.#run === undefined) {
      throw new UsageError('ENOTSTARTED', this.name, 'a running core', 'none')
    }
    return this.#run
  }
}

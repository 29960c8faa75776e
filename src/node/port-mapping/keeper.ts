import type { Instant, PortMapping, UnixMs } from '../../core/io.ts'
import type { Clock } from '../../driver/ports.ts'
import { isUsable, type Lease, type Probe } from './lease.ts'
import type { Uplink } from './uplink.ts'
import { within } from './within.ts'

export interface KeeperParts {
  readonly port: number
  readonly clock: Clock
  /** In order of preference. */
  readonly probes: readonly Probe[]
  readUplink(hosts: readonly string[]): Promise<Uplink | undefined>
  on(mapping: PortMapping | undefined): void
}

/** Above what all probes together take: bounds a probe that would not end. */
const FIND_MS_MAX = 10_000
/** How long until a router is looked for again. Guess, unmeasured: somebody who turns it on can wait so long. */
const SEARCH_EVERY_MS = 600_000
/** RFC 6887 §11.2.1: no renewal follows another sooner. */
const RENEWAL_MS_MIN = 4_000
/** RFC 6887 §15: a client must not believe in longer lifetimes. */
const LIFETIME_MS_MAX = 86_400_000
/** The clock stands still in a suspended machine, the lease does not: this often it is compared. */
const LOOK_MS = 60_000

/**
 * Keeps one port mapped: finds a router that will do it, renews what it granted, tells of each change,
 * and gives the mapping back in the end. Decides when to ask and whom to believe; how to ask is the
 * probes'. Failure is silence.
 */
export class PortMappingKeeper {
  readonly #parts: KeeperParts
  readonly #closing = new AbortController()
  readonly #ended: Promise<void>
  #hosts: readonly string[]
  #held: Held | undefined
  #told: string | undefined
  #isNews = false
  #wake: () => void = () => {}

  constructor(parts: KeeperParts, hosts: readonly string[]) {
    this.#parts = parts
    this.#hosts = hosts
    this.#ended = this.#run()
  }

  /** The addresses of the socket, which may have changed, or what is behind them. */
  networkChanged(hosts: readonly string[]): void {
    this.#hosts = hosts
    this.#isNews = true
    this.#wake()
  }

  /** Reports nothing from here on. Resolves when the mapping is given back, or could not be. */
  close(): Promise<void> {
    this.#closing.abort()
    this.#wake()
    return this.#ended
  }

  get #isClosed(): boolean {
    return this.#closing.signal.aborted
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      this.#isNews = false
      await this.#round()
      await this.#pause()
    }
    await quiet(this.#held?.lease.release())
  }

  async #round(): Promise<void> {
    const uplink = await quiet(this.#parts.readUplink(this.#hosts))
    if (this.#isClosed) return
    const held = this.#held
    if (held !== undefined) {
      const isThere = uplink !== undefined && isSame(held.uplink, uplink)
      const renewed = isThere ? await quiet(held.lease.renew()) : undefined
      if (renewed !== undefined && isUsable(renewed.mapping))
        return this.#hold(renewed, held.uplink)
      // A router that was away for a moment is asked again while its word still holds.
      if (isThere && this.#elapsedMs(held.since) < lifetimeMs(held.lease)) return
      this.#held = undefined
    }
    const lease = uplink === undefined ? undefined : await this.#find(uplink)
    if (lease !== undefined && uplink !== undefined) this.#hold(lease, uplink)
    else this.#tell(undefined)
  }

  /** Probes all at once; the first in order of preference that can be had. There is never a second. */
  async #find(uplink: Uplink): Promise<Lease | undefined> {
    const { probes, port } = this.#parts
    return within(FIND_MS_MAX, this.#closing.signal, async (signal) => {
      const offers = probes.map((probe) => quiet(probe({ uplink, port }, signal)))
      for (const offer of offers) {
        const lease = await quiet((await offer)?.())
        if (lease === undefined) continue
        if (isUsable(lease.mapping)) return lease
        await quiet(lease.release())
      }
      return undefined
    })
  }

  #hold(lease: Lease, uplink: Uplink): void {
    this.#held = { lease, uplink, since: this.#reading() }
    this.#tell(lease.mapping)
  }

  #tell(mapping: PortMapping | undefined): void {
    const text = mapping && JSON.stringify(mapping)
    if (text === this.#told || this.#isClosed) return
    this.#told = text
    this.#parts.on(mapping)
  }

  /** Until half of what is left of the lease is over (RFC 6887 §11.2.1), or there is news. */
  async #pause(): Promise<void> {
    const held = this.#held
    const since = this.#reading()
    const restMs = held && lifetimeMs(held.lease) - this.#elapsedMs(held.since)
    const ms = restMs === undefined ? SEARCH_EVERY_MS : Math.max(restMs / 2, RENEWAL_MS_MIN)
    while (!this.#isClosed && !this.#isNews) {
      const leftMs = ms - this.#elapsedMs(since)
      if (leftMs <= 0) return
      await this.#sleep(Math.min(leftMs, LOOK_MS))
    }
  }

  #sleep(ms: number): Promise<void> {
    const { clock } = this.#parts
    return new Promise((resolve) => {
      const cancel = clock.at((clock.now() + ms) as Instant, resolve)
      this.#wake = () => {
        cancel()
        resolve()
      }
    })
  }

  #reading(): Reading {
    const { clock } = this.#parts
    return { now: clock.now(), wall: clock.wall() }
  }

  #elapsedMs(since: Reading): number {
    const { now, wall } = this.#reading()
    return Math.max(now - since.now, wall - since.wall)
  }
}

interface Reading {
  readonly now: Instant
  readonly wall: UnixMs
}

interface Held {
  readonly lease: Lease
  readonly uplink: Uplink
  readonly since: Reading
}

function lifetimeMs(lease: Lease): number {
  return Math.min(lease.lifetimeMs, LIFETIME_MS_MAX)
}

function isSame(a: Uplink, b: Uplink): boolean {
  return a.host === b.host && a.gateway?.host === b.gateway?.host
}

async function quiet<T>(work: Promise<T> | undefined): Promise<T | undefined> {
  try {
    return await work
  } catch {
    return undefined
  }
}

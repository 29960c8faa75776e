import { BoundedMap } from '../collections/bounded-map.ts'
import type { LocalAddress, PeerId } from '../io.ts'

/**
 * Where remotes see us. One remote may lie, so an address counts once two remotes agree, or while
 * there is only one to ask.
 */
const REPORTERS_MAX = 64
const QUORUM = 2
/** A host has one address a family and an interface or two; more would only cost probes. */
const CANDIDATES_MAX = 4

export class ReflexiveAddresses {
  readonly #byReporter = new BoundedMap<PeerId, LocalAddress>(REPORTERS_MAX)

  /** True when it changes what `candidates` says. */
  report(reporter: PeerId, address: LocalAddress): boolean {
    const before = keyOf(this.candidates())
    this.#byReporter.set(reporter, { host: address.host, port: address.port })
    return keyOf(this.candidates()) !== before
  }

  forget(reporter: PeerId): void {
    this.#byReporter.delete(reporter)
  }

  /** Our own network changed: what was seen before says nothing. */
  clear(): void {
    for (const reporter of [...this.#byReporter.keys()]) this.#byReporter.delete(reporter)
  }

  /** Most often reported first. */
  candidates(): readonly LocalAddress[] {
    const votes = new Map<string, { address: LocalAddress; count: number }>()
    for (const address of this.#byReporter.values()) {
      const key = `${address.host}|${address.port}`
      const entry = votes.get(key)
      if (entry === undefined) votes.set(key, { address, count: 1 })
      else entry.count++
    }
    const quorum = Math.min(QUORUM, this.#byReporter.size)
    return [...votes.values()]
      .filter((entry) => entry.count >= quorum)
      .sort((a, b) => b.count - a.count)
      .slice(0, CANDIDATES_MAX)
      .map((entry) => entry.address)
  }
}

function keyOf(addresses: readonly LocalAddress[]): string {
  return addresses.map((address) => `${address.host}|${address.port}`).join(',')
}

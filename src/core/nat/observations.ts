import { BoundedMap } from '../collections/bounded-map.ts'
import type { LocalAddress, PeerId } from '../io.ts'
import { classifyHost } from '../wire/address.ts'

/**
 * Where remotes see our main sockets. One remote may lie, so an address counts once two agree that
 * have hosts of their own, or while there is only one to ask. What peers of our own network see says
 * nothing about the way out of it, and counts only while nobody else says anything.
 */
const REPORTERS_MAX = 64
const QUORUM = 2
/**
 * …and they are so many against those who agree on another. Guess: a few that move with us, or see
 * another address of a pool, are enough; a few liars among many are not.
 */
const SHARE = 1 / 3
/** A host has one address a family and an interface or two; more would only cost probes. */
const ADDRESSES_MAX = 4

interface Observation {
  readonly reporter: PeerId
  /** Where we see the reporter; two reporters at one host are one witness. */
  readonly reporterHost: string
  readonly isFromOutside: boolean
  readonly address: LocalAddress
}

/** What public remotes say of the main IPv4 socket, for judging its mapping. */
export interface OutsideReport {
  readonly reporter: PeerId
  readonly reporterHost: string
  readonly address: LocalAddress
}

export class Observations {
  readonly #byReporter = new BoundedMap<string, Observation>(2 * REPORTERS_MAX)

  /** `reporterHost` is undefined when the reporter is reached through others. */
  report(reporter: PeerId, reporterHost: string | undefined, address: LocalAddress): void {
    const { host, port } = address
    const isFromOutside = reporterHost !== undefined && classifyHost(reporterHost) === 'global'
    this.#byReporter.set(`${familyOf(address)}${reporter}`, {
      reporter,
      reporterHost: reporterHost ?? reporter,
      isFromOutside,
      address: { host, port },
    })
  }

  forget(reporter: PeerId): void {
    for (const family of [4, 6]) this.#byReporter.delete(`${family}${reporter}`)
  }

  /** The main IPv4 socket has another mapping: what was seen before is of the one that ended. */
  forgetIpv4(): void {
    for (const key of [...this.#byReporter.keys()]) {
      if (key.startsWith('4')) this.#byReporter.delete(key)
    }
  }

  /** Our own network changed: what was seen before says nothing. */
  clear(): void {
    for (const key of [...this.#byReporter.keys()]) this.#byReporter.delete(key)
  }

  /** Addresses that a quorum agrees on, both families, most often reported first. */
  addresses(): readonly LocalAddress[] {
    return [...this.#agreed(4, keyOf), ...this.#agreed(6, keyOf)]
      .sort((a, b) => b.count - a.count)
      .slice(0, ADDRESSES_MAX)
      .map((vote) => vote.address)
  }

  /**
   * IPv4 hosts that a quorum of public remotes agrees on, each with the port that was reported last: a
   * NAT with endpoint-dependent mappings shows every remote another port of the same host.
   */
  hosts(): readonly LocalAddress[] {
    if (this.outsideReports().length === 0) return []
    return this.#agreed(4, (address) => address.host)
      .slice(0, ADDRESSES_MAX)
      .map((vote) => vote.address)
  }

  outsideReports(): readonly OutsideReport[] {
    return this.#of(4).filter((observation) => observation.isFromOutside)
  }

  #of(family: 4 | 6): readonly Observation[] {
    const all = [...this.#byReporter.values()].filter(({ address }) => familyOf(address) === family)
    const outside = all.filter((observation) => observation.isFromOutside)
    return outside.length > 0 ? outside : all
  }

  #agreed(family: 4 | 6, key: (address: LocalAddress) => string) {
    const observations = this.#of(family)
    const isOneHost = new Set(observations.map((each) => each.reporterHost)).size <= 1
    const votes = new Map<string, { address: LocalAddress; witnesses: Set<string> }>()
    for (const { reporter, reporterHost, address } of observations) {
      const vote = votes.get(key(address)) ?? { address, witnesses: new Set<string>() }
      vote.address = address
      vote.witnesses.add(isOneHost ? reporter : reporterHost)
      votes.set(key(address), vote)
    }
    const witnesses = new Set([...votes.values()].flatMap((vote) => [...vote.witnesses])).size
    const counts = [...votes.values()].map((vote) => vote.witnesses.size)
    const least = Math.max(Math.min(QUORUM, witnesses), SHARE * Math.max(0, ...counts))
    return [...votes.values()]
      .map((vote) => ({ address: vote.address, count: vote.witnesses.size }))
      .filter((vote) => vote.count >= least)
      .sort((a, b) => b.count - a.count)
  }
}

function familyOf(address: LocalAddress): 4 | 6 {
  return address.host.includes(':') ? 6 : 4
}

function keyOf(address: LocalAddress): string {
  return `${address.host}|${address.port}`
}

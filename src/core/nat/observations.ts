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
  readonly family: 4 | 6
  readonly address: LocalAddress
}

/** What public remotes say of the main IPv4 socket, for judging its mapping. */
export interface OutsideReport {
  readonly reporter: PeerId
  readonly reporterHost: string
  readonly address: LocalAddress
}

/** What follows from the reports: asked for several times after each, and the sum of all. */
interface Conclusions {
  readonly addresses: readonly LocalAddress[]
  readonly hosts: readonly LocalAddress[]
  readonly outside: readonly OutsideReport[]
}

export class Observations {
  readonly #byReporter = new BoundedMap<string, Observation>(2 * REPORTERS_MAX)
  #conclusions: Conclusions | undefined

  /** `reporterHost` is undefined when the reporter is reached through others. */
  report(reporter: PeerId, reporterHost: string | undefined, address: LocalAddress): void {
    const { host, port } = address
    const isFromOutside = reporterHost !== undefined && classifyHost(reporterHost) === 'global'
    const family = host.includes(':') ? 6 : 4
    const key = `${family}${reporter}`
    const before = this.#byReporter.get(key)
    const observation: Observation = {
      reporter,
      reporterHost: reporterHost ?? reporter,
      isFromOutside,
      family,
      address: { host, port },
    }
    this.#byReporter.set(key, observation)
    if (!this.#isAsConcluded(before, observation)) this.#conclusions = undefined
  }

  forget(reporter: PeerId): void {
    for (const family of [4, 6]) this.#delete(`${family}${reporter}`)
  }

  /** The main IPv4 socket has another mapping: what was seen before is of the one that ended. */
  forgetIpv4(): void {
    for (const key of [...this.#byReporter.keys()]) if (key.startsWith('4')) this.#delete(key)
  }

  /** Our own network changed: what was seen before says nothing. */
  clear(): void {
    for (const key of [...this.#byReporter.keys()]) this.#delete(key)
  }

  /** Addresses that a quorum agrees on, both families, most often reported first. */
  addresses(): readonly LocalAddress[] {
    return this.#concluded().addresses
  }

  /**
   * IPv4 hosts that a quorum of public remotes agrees on, each with the port that was reported last: a
   * NAT with endpoint-dependent mappings shows every remote another port of the same host.
   */
  hosts(): readonly LocalAddress[] {
    return this.#concluded().hosts
  }

  outsideReports(): readonly OutsideReport[] {
    return this.#concluded().outside
  }

  /** Most reports repeat what was said; but of several ports of a host the last counts. */
  #isAsConcluded(before: Observation | undefined, { reporterHost, address }: Observation): boolean {
    if (before?.reporterHost !== reporterHost || keyOf(before.address) !== keyOf(address))
      return false
    const concluded = this.#conclusions?.hosts.find(({ host }) => host === address.host)
    return concluded === undefined || concluded.port === address.port
  }

  #delete(key: string): void {
    if (this.#byReporter.delete(key)) this.#conclusions = undefined
  }

  #concluded(): Conclusions {
    this.#conclusions ??= this.#conclude()
    return this.#conclusions
  }

  #conclude(): Conclusions {
    const ipv4 = this.#of(4)
    const outside = ipv4.filter((observation) => observation.isFromOutside)
    const addresses = [...agreed(ipv4, keyOf), ...agreed(this.#of(6), keyOf)]
      .sort((a, b) => b.count - a.count)
      .slice(0, ADDRESSES_MAX)
      .map((vote) => vote.address)
    const hosts = outside.length === 0 ? [] : agreed(ipv4, (address) => address.host)
    return {
      addresses,
      hosts: hosts.slice(0, ADDRESSES_MAX).map((vote) => vote.address),
      outside,
    }
  }

  #of(family: 4 | 6): readonly Observation[] {
    const all = [...this.#byReporter.values()].filter(
      (observation) => observation.family === family,
    )
    const outside = all.filter((observation) => observation.isFromOutside)
    return outside.length > 0 ? outside : all
  }
}

function agreed(
  observations: readonly Observation[],
  key: (address: LocalAddress) => string,
): readonly { readonly address: LocalAddress; readonly count: number }[] {
  const hosts = new Set(observations.map((each) => each.reporterHost))
  const witnesses = new Set<string>()
  const votes = new Map<string, { address: LocalAddress; readonly witnesses: Set<string> }>()
  for (const { reporter, reporterHost, address } of observations) {
    const name = key(address)
    const witness = hosts.size <= 1 ? reporter : reporterHost
    witnesses.add(witness)
    const vote = votes.get(name)
    if (vote === undefined) votes.set(name, { address, witnesses: new Set([witness]) })
    else {
      vote.address = address
      vote.witnesses.add(witness)
    }
  }
  const counts = [...votes.values()].map((vote) => vote.witnesses.size)
  const least = Math.max(Math.min(QUORUM, witnesses.size), SHARE * Math.max(0, ...counts))
  return [...votes.values()]
    .map((vote) => ({ address: vote.address, count: vote.witnesses.size }))
    .filter((vote) => vote.count >= least)
    .sort((a, b) => b.count - a.count)
}

function keyOf(address: LocalAddress): string {
  return `${address.host}|${address.port}`
}

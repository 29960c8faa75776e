import type { Deadline, Instant, LocalAddress, NatVector } from '../io.ts'
import { SOCKET_IPV4 } from '../io.ts'
import { MappingDeaths } from './mapping-deaths.ts'
import type { Observations } from './observations.ts'
import { agreedAddress, type Sighting, type Whereabouts } from './whereabouts.ts'

/**
 * How old the main socket's mapping gets. Where remotes see it changes when its mapping ends, and a
 * path that dies is reason to look; while one death is unexplained it looks again and again. So a path
 * that died by the remote's NAT is not put down to ours. Only mappings that do not depend on the remote
 * are watched: there are no others to be seen by asking somebody else.
 */
export interface MappingWatchOptions {
  readonly whereabouts: Whereabouts
  readonly observations: Observations
  mapping(): NatVector['mapping']
}

const REFLECTORS = 4
/** Guess: a fifth of the shortest age that counts, and then some. */
const AGAIN_MS = 15_000
/** Paths that die together die of one cause. */
const REST_MS = 1_000

export class MappingWatch {
  readonly #options: MappingWatchOptions
  readonly #deaths = new MappingDeaths()
  #seen: { readonly address: LocalAddress; readonly since: Instant } | undefined
  #lookedAt = Number.NEGATIVE_INFINITY

  constructor(options: MappingWatchOptions) {
    this.#options = options
  }

  get absoluteLifetimeMs(): number | undefined {
    return this.#deaths.absoluteLifetimeMs
  }

  /** A direct path died in use. */
  pathDied(now: Instant, done: (now: Instant) => void): void {
    if (now >= this.#lookedAt + REST_MS) this.#look(now, done)
  }

  /** Remotes told where they see us. */
  observed(now: Instant): void {
    const [address] = this.#options.observations
      .addresses()
      .filter(({ host }) => !host.includes(':'))
    if (address === undefined || isSame(address, this.#seen?.address)) return
    const before = this.#seen
    this.#seen = { address, since: now }
    if (before?.address.host !== address.host) return
    if (this.#options.mapping() !== 'endpoint-independent') return
    this.#deaths.died(now - before.since)
    this.#lookedAt = now
  }

  /** Our network changed. */
  clear(): void {
    this.#deaths.clear()
    this.#seen = undefined
  }

  deadline(): Deadline | undefined {
    if (!this.#deaths.isUnexplained) return undefined
    return { at: (this.#lookedAt + AGAIN_MS) as Instant, reason: 'nat-mapping' }
  }

  onDeadline(now: Instant, done: (now: Instant) => void): void {
    const due = this.deadline()
    if (due !== undefined && now >= due.at) this.#look(now, done)
  }

  #look(now: Instant, done: (now: Instant) => void): void {
    this.#lookedAt = now
    if (this.#options.mapping() !== 'endpoint-independent') return
    this.#options.whereabouts.look(SOCKET_IPV4, REFLECTORS, now, (sightings, at) => {
      this.#saw(sightings, at)
      done(at)
    })
  }

  #saw(sightings: readonly Sighting[], now: Instant): void {
    const address = agreedAddress(sightings)
    if (address === undefined) return
    const { observations } = this.#options
    if (isSame(address, this.#seen?.address)) {
      if (this.#seen !== undefined) this.#deaths.lived(now - this.#seen.since)
      return
    }
    // What others said before is of the mapping that ended.
    observations.forgetIpv4()
    for (const sighting of sightings) {
      observations.report(sighting.reporter, sighting.reporterHost, sighting.address)
    }
    this.observed(now)
  }
}

function isSame(a: LocalAddress, b: LocalAddress | undefined): boolean {
  return a.host === b?.host && a.port === b.port
}

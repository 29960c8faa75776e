import type { Instant, LocalAddress, NatVector, PeerId } from '../io.ts'
import type { SprayBudget } from './spray-budget.ts'

/**
 * One attempt's leave to spray one host: given once a neighbour sees the remote there, the host was not
 * sprayed too often, and, for a birthday, it is this remote's turn.
 */
export interface PermitHost {
  readonly budget: SprayBudget
  nat(): NatVector
  /** An IPv4 mapping of ours: its host is that of the others too. */
  external(): LocalAddress | undefined
  /** Whether a neighbour sees the remote there. Asks if not; the answer calls `witnessed`. */
  isWitnessed(peer: PeerId, host: string, now: Instant): boolean
  /** False: wait for `turnGiven`. */
  takeTurn(peer: PeerId): boolean
  releaseTurn(peer: PeerId, now: Instant): void
  count(name: string, by: number): void
}

/** What a remote foretold is stale when no witness has spoken by then. */
const WITNESS_MS = 2_000

interface Waiting {
  readonly host: string
  readonly until: Instant
  readonly run: (now: Instant) => void
}

export class SprayPermit {
  readonly #peer: PeerId
  readonly #host: PermitHost
  #granted: string | undefined
  #forWitness: Waiting | undefined
  #forTurn: Waiting | undefined

  constructor(peer: PeerId, host: PermitHost) {
    this.#peer = peer
    this.#host = host
  }

  /** Runs `run`, at once or later, or never. */
  whenGranted(host: string, now: Instant, run: (now: Instant) => void): void {
    const { hairpin } = this.#host.nat()
    // Behind one NAT with us: it does not turn datagrams round, however many there are.
    if (host === this.#host.external()?.host && hairpin !== true) return
    const granted = (at: Instant) => {
      if (this.#grant(host, at)) run(at)
    }
    if (this.#host.isWitnessed(this.#peer, host, now)) return granted(now)
    this.#forWitness = { host, until: (now + WITNESS_MS) as Instant, run: granted }
  }

  /** The same, and nobody else's birthday is going on. */
  whenTurn(host: string, patienceMs: number, now: Instant, run: (now: Instant) => void): void {
    this.whenGranted(host, now, (at) => {
      if (this.#host.takeTurn(this.#peer)) return run(at)
      this.#forTurn = { host, until: (at + patienceMs) as Instant, run }
    })
  }

  witnessed(now: Instant): void {
    const waiting = this.#forWitness
    if (waiting === undefined) return
    if (!this.#host.isWitnessed(this.#peer, waiting.host, now)) return
    this.#forWitness = undefined
    if (now < waiting.until) waiting.run(now)
  }

  turnGiven(now: Instant): void {
    const waiting = this.#forTurn
    this.#forTurn = undefined
    if (waiting !== undefined && now < waiting.until) waiting.run(now)
    else this.#host.releaseTurn(this.#peer, now)
  }

  releaseTurn(now: Instant): void {
    this.#host.releaseTurn(this.#peer, now)
  }

  /** Nothing waits any more. `foundAt`: the host of the direct path that there is. */
  end(foundAt: string | undefined, now: Instant): void {
    this.#forWitness = undefined
    this.#forTurn = undefined
    // Found elsewhere, it proves nothing about the host that was sprayed.
    if (foundAt !== undefined && foundAt === this.#granted) this.#host.budget.found(foundAt)
    this.#host.releaseTurn(this.#peer, now)
  }

  #grant(host: string, now: Instant): boolean {
    if (this.#granted === host) return true
    if (this.#granted !== undefined || !this.#host.budget.begin(host, now)) {
      this.#host.count('spraysRefused', 1)
      return false
    }
    this.#granted = host
    this.#host.count('sprays', 1)
    return true
  }
}

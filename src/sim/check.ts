import type { RejectCode, Snapshot } from '../core/io.ts'
import { CheckFailure } from './check-failure.ts'
import type { Internet } from './internet.ts'

/**
 * Named invariants of a run. Each throws `CheckFailure`, with the seed, the time and who broke it. The
 * ones with state are told what happens as it happens, and so fail at the moment of the fault.
 */

/** Every message reaches every peer it is meant for once, and nobody else. */
export class ExactlyOnceDelivery {
  readonly #internet: Internet
  readonly #expected = new Map<string, ReadonlySet<string>>()
  readonly #delivered = new Map<string, Set<string>>()

  constructor(internet: Internet) {
    this.#internet = internet
  }

  sent(message: string, to: readonly string[]): void {
    this.#expected.set(message, new Set(to))
    this.#delivered.set(message, new Set())
  }

  received(message: string, by: string): void {
    const delivered = this.#delivered.get(message)
    if (delivered === undefined) throw this.#failure(by, `got ${message}, which nobody sent`)
    if (this.#expected.get(message)?.has(by) !== true) {
      throw this.#failure(by, `got ${message}, which is not for it`)
    }
    if (delivered.has(by)) throw this.#failure(by, `got ${message} twice`)
    delivered.add(by)
  }

  /** What has not arrived, as `message at peer`. */
  missing(): string[] {
    const missing: string[] = []
    for (const [message, expected] of this.#expected) {
      for (const peer of expected) {
        if (this.#delivered.get(message)?.has(peer) !== true) missing.push(`${message} at ${peer}`)
      }
    }
    return missing
  }

  /** Throws when anything has not arrived. */
  finish(): void {
    const missing = this.missing()
    if (missing.length === 0) return
    const shown = missing.slice(0, 5).join(', ')
    const more = missing.length > 5 ? ` and ${missing.length - 5} more` : ''
    throw this.#failure(undefined, `${missing.length} deliveries are missing: ${shown}${more}`)
  }

  #failure(where: string | undefined, what: string): CheckFailure {
    return new CheckFailure(this.#internet, where, `exactly-once delivery: ${what}`)
  }
}

/** What one peer sends to another under one event arrives in the order it was sent, without a hole. */
export class OrderPerPeerAndEvent {
  readonly #internet: Internet
  readonly #next = new Map<string, number>()

  constructor(internet: Internet) {
    this.#internet = internet
  }

  /** `sequence` counts 0, 1, 2, … for each sender, receiver and event. */
  received(by: string, from: string, event: string, sequence: number): void {
    const key = JSON.stringify([by, from, event])
    const expected = this.#next.get(key) ?? 0
    if (sequence !== expected) {
      throw new CheckFailure(
        this.#internet,
        by,
        `order: ${event} number ${sequence} from ${from}, expected number ${expected}`,
      )
    }
    this.#next.set(key, expected + 1)
  }
}

/** Something with a name that can tell what it knows: a `SimPeer`, or a `Host`. */
export interface Observed {
  readonly name: string
  snapshot(): Snapshot
}

/** Every one of the peers has a session that is up with every other. */
export function checkEveryoneConnected(internet: Internet, peers: readonly Observed[]): void {
  const all = peers.map((peer) => ({ name: peer.name, snapshot: peer.snapshot() }))
  for (const { name, snapshot } of all) {
    const up = new Set<string>(
      snapshot.sessions.filter(({ state }) => state === 'up').map(({ peer }) => peer),
    )
    for (const other of all) {
      if (other.name === name || up.has(other.snapshot.peerId)) continue
      const what = `connected: no session with ${other.name}, ${up.size} with others`
      throw new CheckFailure(internet, name, what)
    }
  }
}

/** No host has counted more remote faults of a kind than `allowed` says; none where it says nothing. */
export function checkRejections(
  internet: Internet,
  allowed: Partial<Record<RejectCode, number>> = {},
): void {
  for (const host of internet.hosts) {
    for (const [code, count] of host.rejections) {
      const bound = allowed[code] ?? 0
      if (count <= bound) continue
      const what = `rejections: ${count} × ${code}, at most ${bound} allowed`
      throw new CheckFailure(internet, host.name, what)
    }
  }
}

/** All have come to the same: `fingerprint` says what that is. */
export function checkConvergence<T extends { readonly name: string }>(
  internet: Internet,
  peers: readonly T[],
  fingerprint: (peer: T) => string,
): void {
  const [first, ...others] = peers
  if (first === undefined) return
  const expected = fingerprint(first)
  for (const peer of others) {
    const got = fingerprint(peer)
    if (got === expected) continue
    const what = `convergence: ${first.name} has ${expected}, ${peer.name} has ${got}`
    throw new CheckFailure(internet, peer.name, what)
  }
}

/** A port whose failures are not part of the test has not failed. */
export function checkPorts(internet: Internet): void {
  for (const host of internet.hosts) {
    const [first] = host.portErrors
    if (first === undefined) continue
    const what = `ports: ${host.portErrors.length} errors, first at ${first.port}: ${first.error}`
    throw new CheckFailure(internet, host.name, what, first.error)
  }
}

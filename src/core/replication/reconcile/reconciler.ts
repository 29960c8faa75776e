import { BoundedMap } from '../../collections/bounded-map.ts'
import { TimerQueue } from '../../collections/timer-queue.ts'
import { TokenBucket } from '../../collections/token-bucket.ts'
import type { Crypto, Random } from '../../crypto.ts'
import { MALFORMED } from '../../errors.ts'
import type { Deadline, Instant, PeerId, RejectCode } from '../../io.ts'
import {
  decodeReconcileMessage,
  encodeRefused,
  KIND_SYNC,
  NONCE_BYTES,
  type ReconcileMessage,
  type ReconcileScope,
  RUN_BEGAN,
  type SyncMessage,
} from './reconcile-wire.ts'
import { type ReconcileOutcome, Reconciliation } from './reconciliation.ts'
import { NAMES_MAX, reconcileKey, SaltedSet } from './salted-set.ts'

export { isReconcileMessage, type ReconcileScope } from './reconcile-wire.ts'

/**
 * The reconciliations of a peer with all others: docs/spec/reconcile.md. Decides who may begin one, how
 * many run at a time and for how long. Which packets are compared, and when, is the host's to say.
 */
export interface ReconcileHost {
  send(peer: PeerId, message: Uint8Array): void
  /** Names (16 bytes each) that we hold, or held, within a scope that `requester` asks for. */
  names(requester: PeerId, scope: ReconcileScope): readonly Uint8Array[]
  /** The remote lacks these: push them. */
  give(peer: PeerId, names: readonly Uint8Array[]): void
  /** We lack so many, which the remote is going to push. */
  expect(peer: PeerId, count: number): void
  /** Nothing of it is kept. `part`: whether we began it or answered; both may run with a peer. */
  ended(peer: PeerId, outcome: ReconcileOutcome, part: 'begun' | 'answered'): void
}

export interface ReconcilerConfig {
  readonly crypto: Crypto
  readonly random: Random
  readonly self: PeerId
  readonly host: ReconcileHost
}

/** Answered at a time, and begun at a time. Each keeps up to 3 MB. */
const AT_A_TIME_MAX = 4
const IDLE_MS = 2_000
/** Guess: 393 kB of ids at 32 kB/s, twice. */
const DURATION_MS_MAX = 30_000
/** One that has run so long makes way when another peer asks and all places are taken. */
const PLACE_MS = 5_000
/** An answer costs the hashing of all names: about 10 ms of 13,000. */
const PEER_BURST = 4
const PEER_RETRY_S = 5
const ALL_BURST = 16
const ALL_PER_SECOND = 4
const BUSY_RETRY_S = 1
const TOO_MANY_RETRY_S = 255
/** Everybody we can have a session with. */
const PEERS_MAX = 1_024

interface Entry {
  readonly key: string
  readonly peer: PeerId
  /** Without RUN_BEGAN. */
  readonly run: number
  readonly begunAt: Instant
  readonly reconciliation: Reconciliation
}

export class Reconciler {
  readonly #config: ReconcilerConfig
  /** By who began and with whom: at most one of each. */
  readonly #begun = new Map<string, Entry>()
  readonly #answered = new Map<string, Entry>()
  readonly #timers = new TimerQueue<string>()
  readonly #budgets = new BoundedMap<PeerId, TokenBucket>(PEERS_MAX)
  readonly #allAnswers = new TokenBucket(ALL_PER_SECOND, ALL_BURST, 0)
  #runs = 0

  constructor(config: ReconcilerConfig) {
    this.#config = config
  }

  /**
   * Ends with `ended`, once; at once and refused when one with this peer runs already, too many run,
   * or there are more names than one reconciliation takes.
   */
  begin(peer: PeerId, saltKey: Uint8Array, scope: ReconcileScope, now: Instant): void {
    const { random, self, host } = this.#config
    const key = `begun ${peer}`
    const isBusy = this.#begun.has(key) || this.#begun.size >= AT_A_TIME_MAX
    const names = isBusy ? [] : host.names(self, scope)
    if (isBusy || names.length > NAMES_MAX) {
      const retryS = isBusy ? BUSY_RETRY_S : TOO_MANY_RETRY_S
      host.ended(peer, { result: 'refused', ours: 0, theirs: 0, retryS }, 'begun')
      return
    }
    const nonce = random.bytes(NONCE_BYTES)
    const run = this.#runs++ % RUN_BEGAN
    const entry = this.#open(key, peer, run, run | RUN_BEGAN, saltKey, nonce, names, now)
    this.#begun.set(key, entry)
    this.#timers.set(key, now + IDLE_MS, 'reconcile')
    entry.reconciliation.begin(scope, nonce)
  }

  message(
    peer: PeerId,
    saltKey: Uint8Array,
    payload: Uint8Array,
    now: Instant,
  ): RejectCode | undefined {
    const message = decodeReconcileMessage(payload)
    if (message === MALFORMED) return 'malformed'
    const isTheirs = message.run >= RUN_BEGAN
    if (message.kind === KIND_SYNC)
      return isTheirs ? this.#onSync(peer, saltKey, message, now) : 'malformed'
    const entry = isTheirs
      ? this.#answered.get(`answered ${peer}`)
      : this.#begun.get(`begun ${peer}`)
    // A straggler of one that ended.
    if (entry === undefined || entry.run !== message.run % RUN_BEGAN) return 'unknown'
    return this.#onMessage(entry, message, now)
  }

  /** Forgets what runs with a peer; the host knows, and is told nothing. */
  sessionGone(peer: PeerId): void {
    for (const entry of [this.#begun.get(`begun ${peer}`), this.#answered.get(`answered ${peer}`)])
      if (entry !== undefined) this.#remove(entry)
  }

  deadline(): Deadline | undefined {
    const earliest = this.#timers.earliest()
    return earliest && { at: earliest.at as Instant, reason: earliest.reason }
  }

  onDeadline(now: Instant): void {
    for (let key = this.#timers.takeDue(now); key !== undefined; key = this.#timers.takeDue(now)) {
      const entry = this.#begun.get(key) ?? this.#answered.get(key)
      if (entry !== undefined) this.#end(entry, { result: 'timeout', ours: 0, theirs: 0 })
    }
  }

  #onSync(
    peer: PeerId,
    saltKey: Uint8Array,
    sync: SyncMessage,
    now: Instant,
  ): RejectCode | undefined {
    if (sync.size > NAMES_MAX) return 'over-limit'
    const key = `answered ${peer}`
    const before = this.#answered.get(key)
    // The remote gave up on it, or it would not begin another.
    if (before !== undefined) this.#end(before, { result: 'timeout', ours: 0, theirs: 0 })
    const run = sync.run % RUN_BEGAN
    const refuse = (retryS: number): RejectCode => {
      this.#config.host.send(peer, encodeRefused(run, retryS))
      return 'rate-limited'
    }
    const budget = this.#budgetOf(peer, now)
    if (!budget.has(1, now)) return refuse(PEER_RETRY_S)
    if (!this.#allAnswers.has(1, now) || !this.#makeRoom(now)) return refuse(BUSY_RETRY_S)
    budget.take(1, now)
    this.#allAnswers.take(1, now)
    const names = this.#config.host.names(peer, sync.scope)
    if (names.length > NAMES_MAX) return refuse(TOO_MANY_RETRY_S)
    const entry = this.#open(key, peer, run, run, saltKey, sync.nonce, names, now)
    this.#answered.set(key, entry)
    entry.reconciliation.answer(sync)
    this.#progressed(entry, now)
    return undefined
  }

  #onMessage(entry: Entry, message: ReconcileMessage, now: Instant): RejectCode | undefined {
    const rejected = entry.reconciliation.receive(message)
    if (rejected === undefined) this.#progressed(entry, now)
    else this.#end(entry, { result: 'refused', ours: 0, theirs: 0 })
    return rejected
  }

  #progressed(entry: Entry, now: Instant): void {
    const { outcome } = entry.reconciliation
    if (outcome !== undefined) this.#end(entry, outcome)
    else {
      const at = Math.min(now + IDLE_MS, entry.begunAt + DURATION_MS_MAX)
      this.#timers.set(entry.key, at, 'reconcile')
    }
  }

  /** A place for one more answer; the oldest makes way when it had its time. */
  #makeRoom(now: Instant): boolean {
    if (this.#answered.size < AT_A_TIME_MAX) return true
    const [oldest] = this.#answered.values()
    if (oldest === undefined || oldest.begunAt + PLACE_MS > now) return false
    this.#config.host.send(oldest.peer, encodeRefused(oldest.run, PEER_RETRY_S))
    this.#end(oldest, { result: 'refused', ours: 0, theirs: 0 })
    return true
  }

  #budgetOf(peer: PeerId, now: Instant): TokenBucket {
    const known = this.#budgets.get(peer)
    if (known !== undefined) return known
    const budget = new TokenBucket(1 / PEER_RETRY_S, PEER_BURST, now)
    this.#budgets.set(peer, budget)
    return budget
  }

  #open(
    key: string,
    peer: PeerId,
    run: number,
    saidRun: number,
    saltKey: Uint8Array,
    nonce: Uint8Array,
    names: readonly Uint8Array[],
    begunAt: Instant,
  ): Entry {
    const { crypto, host } = this.#config
    const set = new SaltedSet(crypto, reconcileKey(crypto, saltKey, nonce), names)
    const reconciliation = new Reconciliation(set, saidRun, {
      send: (message) => host.send(peer, message),
      give: (given) => host.give(peer, given),
      expect: (count) => host.expect(peer, count),
    })
    return { key, peer, run, begunAt, reconciliation }
  }

  #remove(entry: Entry): void {
    this.#begun.delete(entry.key)
    this.#answered.delete(entry.key)
    this.#timers.clear(entry.key)
  }

  #end(entry: Entry, outcome: ReconcileOutcome): void {
    const part = this.#begun.has(entry.key) ? 'begun' : 'answered'
    this.#remove(entry)
    this.#config.host.ended(entry.peer, outcome, part)
  }
}

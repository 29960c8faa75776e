import { TokenBucket } from '../collections/token-bucket.ts'
import type { Instant, LocalAddress, NatVector } from '../io.ts'
import type { Aim, Attempt } from './attempt.ts'
import type { SharedBudget } from './shared-budget.ts'
import type { Told } from './telling.ts'
import type { TraversalSession } from './traversal-session.ts'

/** What traversal keeps of one session. */
export interface Pursuit extends Told {
  theirs: NatVector | undefined
  addresses: readonly LocalAddress[]
  isRelayed: boolean
  /** From then on probing alone has its time. */
  graceFrom: Instant
  retries: number
  standbys: number
  attempt: Attempt | undefined
  early: { readonly aim: Aim; readonly at: Instant } | undefined
  readonly attempts: TokenBucket
  readonly aims: TokenBucket
  /** Its own parts of what all share. */
  readonly ownAttempts: TokenBucket
  readonly ownCandidates: TokenBucket
}

/** The schedule's retries, and the changes of a peer that is just finding out what it is behind. */
const ATTEMPTS_BURST = 8
const ATTEMPTS_PER_S = 0.1
/** Three rounds of two, and a spare pair. */
const AIMS_BURST = 8
const AIMS_PER_S = 0.5

export function newPursuit(
  session: TraversalSession,
  shared: { readonly attempts: SharedBudget; readonly candidates: SharedBudget },
  now: Instant,
): Pursuit {
  return {
    session,
    theirs: undefined,
    addresses: [],
    told: undefined,
    toldAt: undefined,
    isRelayed: false,
    graceFrom: now,
    retries: 0,
    standbys: 0,
    attempt: undefined,
    early: undefined,
    attempts: new TokenBucket(ATTEMPTS_PER_S, ATTEMPTS_BURST, now),
    aims: new TokenBucket(AIMS_PER_S, AIMS_BURST, now),
    ownAttempts: shared.attempts.part(now),
    ownCandidates: shared.candidates.part(now),
  }
}

/** Nothing is done for a session that is lost or that nobody needs. */
export function isAwake({ session }: Pursuit): boolean {
  return session.state === 'up' && !session.isDormant
}

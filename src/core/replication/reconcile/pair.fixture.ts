import { sodiumNative } from '../../../crypto/sodium-native.ts'
import type { Instant, PeerId } from '../../io.ts'
import { SeededRandom } from '../../seeded.fixture.ts'
import { toHex } from '../../wire/bytes.ts'
import type { ReconcileScope } from './reconcile-wire.ts'
import { Reconciler } from './reconciler.ts'
import type { ReconcileOutcome } from './reconciliation.ts'

/** Two reconcilers and what passes between them: every message is delivered by hand. */
export const SALT_KEY = new Uint8Array(32).fill(7)
/** What a session adds to a message: the frame's type, number and length, two bytes each. */
export const MESSAGE_HEAD_BYTES = 5
export const ALICE = 'alice' as PeerId
export const BOB = 'bob' as PeerId

const crypto = sodiumNative()

export function at(ms: number): Instant {
  return ms as Instant
}

export function randomNames(random: SeededRandom, count: number): Uint8Array[] {
  return Array.from({ length: count }, () => {
    const name = new Uint8Array(16)
    const view = new DataView(name.buffer)
    for (let i = 0; i < 16; i += 4) view.setUint32(i, Math.floor(random.next() * 2 ** 32))
    return name
  })
}

export interface Sent {
  readonly to: PeerId
  readonly payload: Uint8Array
}

/** One peer: what it holds, and what the reconciler told it. */
export class Side {
  readonly reconciler: Reconciler
  readonly sent: Sent[] = []
  readonly given: string[] = []
  readonly outcomes: ReconcileOutcome[] = []
  readonly parts: string[] = []
  readonly scopes: ReconcileScope[] = []
  names: readonly Uint8Array[]
  expected = 0

  constructor(
    self: PeerId,
    names: readonly Uint8Array[],
    random: { bytes(n: number): Uint8Array },
  ) {
    this.names = names
    this.reconciler = new Reconciler({
      crypto,
      random,
      self,
      host: {
        send: (to, payload) => this.sent.push({ to, payload }),
        names: (_, scope) => {
          this.scopes.push(scope)
          return this.names
        },
        give: (_, given) => this.given.push(...given.map(toHex)),
        expect: (_, count) => {
          this.expected += count
        },
        ended: (_, outcome, part) => {
          this.outcomes.push(outcome)
          this.parts.push(part)
        },
      },
    })
  }
}

export interface Exchange {
  readonly alice: Side
  readonly bob: Side
  readonly messages: Uint8Array[]
  /** Of all messages both ways, heads included. */
  bytes: number
  /** Times that something went from Alice to Bob and an answer came. */
  roundTrips: number
}

export interface ExchangeOptions {
  readonly seed?: number
  readonly saltKey?: Uint8Array
  readonly random?: { bytes(n: number): Uint8Array }
  /** Changes the order of what goes one way at once. */
  readonly shuffle?: (sent: Sent[]) => Sent[]
}

/** Alice begins, and everything is delivered until nothing more is said. */
export function exchange(
  aliceNames: readonly Uint8Array[],
  bobNames: readonly Uint8Array[],
  { seed = 1, saltKey = SALT_KEY, random, shuffle = (sent) => sent }: ExchangeOptions = {},
): Exchange {
  const alice = new Side(ALICE, aliceNames, random ?? new SeededRandom(seed))
  const bob = new Side(BOB, bobNames, random ?? new SeededRandom(seed + 1))
  const result: Exchange = { alice, bob, messages: [], bytes: 0, roundTrips: 0 }
  const carry = (from: Side, to: Side, peer: PeerId): boolean => {
    const sent = shuffle(from.sent.splice(0))
    for (const { payload } of sent) {
      result.messages.push(payload)
      result.bytes += payload.length + MESSAGE_HEAD_BYTES
      const rejected = to.reconciler.message(peer, saltKey, payload, at(0))
      if (rejected !== undefined) throw new Error(`rejected as ${rejected}`)
    }
    return sent.length > 0
  }
  alice.reconciler.begin(BOB, saltKey, { kind: 'everything' }, at(0))
  while (carry(alice, bob, ALICE)) if (carry(bob, alice, BOB)) result.roundTrips++
  return result
}

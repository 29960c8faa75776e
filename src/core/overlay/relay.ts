import { BoundedMap } from '../collections/bounded-map.ts'
import type { PeerId } from '../io.ts'
import { prefixOf, type Route } from '../session/route.ts'
import { fromHex, toHex } from '../wire/bytes.ts'
import { isSealed, PADDED_BYTES } from '../wire/datagram.ts'
import type { RelayRefusal, SessionFrame } from '../wire/frames.ts'
import { FairBudget } from './fair-budget.ts'

/**
 * What this peer carries for others. It sees who talks to whom and how much, never what: the
 * datagrams inside are sealed end to end. A stranger's flood is dropped here, at the price of a
 * bucket. It keeps no state of a pair, and sends at most one datagram, no longer, for each that it got.
 */
export interface RelayLeg {
  readonly peer: PeerId
  readonly route: Route | undefined
  relay(frame: SessionFrame): boolean
}

/** transport.md §5.6: 1 Mbit/s sustained and 4 Mbit of burst for one remote, 20 Mbit/s for all. */
const DATA = {
  totalPerSecond: 2_500_000,
  totalBurst: 2_500_000,
  sourcePerSecond: 125_000,
  sourceBurst: 500_000,
}
/**
 * A tenth on top, for what makes a direct path and so an end of relaying (transport.md §5.6,
 * "priority to control frames").
 */
const CONTROL = {
  totalPerSecond: 250_000,
  totalBurst: 250_000,
  sourcePerSecond: 12_500,
  sourceBurst: 50_000,
}
/** Guess: acknowledgements, challenges, knocks and the candidates of most hosts are shorter. */
const CONTROL_BYTES_MAX = 160
/** As many as there can be sessions. */
const PEERS_MAX = 1024

export class Relay {
  readonly #isWilling: boolean
  readonly #data: FairBudget
  readonly #control: FairBudget
  readonly #carriedAt = new BoundedMap<PeerId, number>(PEERS_MAX)

  constructor(isWilling: boolean, now: number) {
    this.#isWilling = isWilling
    this.#data = new FairBudget(DATA, now)
    this.#control = new FairBudget(CONTROL, now)
  }

  /**
   * Passes a datagram on to the session of its target; says why when it does not. One of the two legs
   * may itself be relayed, but not chained: two relays are the most.
   */
  carry(
    from: RelayLeg,
    to: RelayLeg | undefined,
    datagram: Uint8Array,
    now: number,
  ): 'carried' | RelayRefusal {
    if (!this.#isWilling || to === undefined || to === from) return 'unknown'
    const before = relaysOn(from.route)
    if (before + relaysOn(to.route) > 1) return 'unknown'
    if (!this.#mayCarry(from.peer, datagram, now)) return 'over-budget'
    const prefix = fromHex(prefixOf(from.peer)) ?? new Uint8Array(8)
    const isCarried = to.relay({ type: 'relayed', prefix, datagram, isChained: before > 0 })
    if (!isCarried) return 'unknown'
    for (const { peer } of [from, to]) this.#carriedAt.set(peer, now)
    return 'carried'
  }

  /** When something was last carried from or to a peer. */
  carriedAt(peer: PeerId): number | undefined {
    return this.#carriedAt.get(peer)
  }

  #mayCarry(from: PeerId, datagram: Uint8Array, now: number): boolean {
    const bytes = datagram.length
    if (this.#data.take(from, bytes, now)) return true
    return isControl(datagram) && this.#control.take(from, bytes, now)
  }
}

/** The route by which a RELAYED datagram came; undefined when it passed more than two relays. */
export function routeThrough(
  relay: RelayLeg,
  frame: Extract<SessionFrame, { type: 'relayed' }>,
): Route | undefined {
  const others = relaysOn(relay.route) + Number(frame.isChained)
  const route: Route = { kind: 'relay', via: relay.peer, prefix: toHex(frame.prefix) }
  if (others > 1) return undefined
  return others === 1 ? { ...route, isChained: true } : route
}

function relaysOn(route: Route | undefined): number {
  if (route?.kind !== 'relay') return 0
  return route.isChained === true ? 2 : 1
}

function isControl(datagram: Uint8Array): boolean {
  return datagram.length <= (isSealed(datagram) ? CONTROL_BYTES_MAX : PADDED_BYTES)
}

import type { NatVector } from '../io.ts'
import { isBlock, judgeAllocation, judgeMapping, type Reflection } from './judgement.ts'
import type { OutsideReport } from './observations.ts'
import type { FilterResult } from './survey-round.ts'

/**
 * What the rounds of a survey amount to. A fact stays until a round with as good a quorum says
 * otherwise; what a round could not find out takes nothing back.
 */
/** Enough to hold a block's 16 ports of several rounds. */
const PORTS_MAX = 64
/** With this many answers one liar is outvoted, and no further ones make a verdict stronger. */
const QUORUM = 3
/** Silence may be loss, or a reflector's choice: it counts the second time. */
const SILENCES_MIN = 2

/** A round and those that look for what it missed. */
const EARLIER_ROUNDS = 3

/** What one round gathered so far. */
export interface Gathered {
  /** Answers about the socket that asked everyone; undefined while some are still due. */
  readonly mapping: readonly Reflection[] | undefined
  readonly all: readonly Reflection[]
  readonly filter: readonly FilterResult[]
  readonly hairpin: boolean | undefined
}

export class Findings {
  mapping: NatVector['mapping'] = 'unknown'
  allocation: NatVector['allocation'] = 'unknown'
  filtering: NatVector['filtering'] = 'unknown'
  hairpin: boolean | undefined
  #answers = 0
  /** All answers of a round do not tell the allocation: that takes the ports of several. */
  #isNarrow = false
  #ports: { readonly reflector: string; readonly port: number }[] = []
  #earlierFilter: (readonly FilterResult[])[] = []

  /** What was found behind another NAT says nothing. */
  clear(): void {
    this.mapping = 'unknown'
    this.allocation = 'unknown'
    this.filtering = 'unknown'
    this.hairpin = undefined
    this.#answers = 0
    this.#isNarrow = false
    this.#ports = []
    this.#earlierFilter = []
  }

  /** Hosts that we wrote to get through from other ports: whether strangers do is left to find out. */
  get isMissingStrangers(): boolean {
    const earlier = this.#earlierFilter.flat()
    return (
      this.filtering === 'unknown' &&
      earlier.some(({ role, hasArrived }) => role === 'written' && hasArrived)
    )
  }

  /** What answers to one round tell, if enough of them arrive. */
  get isMissingAnswers(): boolean {
    if (this.mapping === 'unknown') return true
    const isDependent = this.mapping === 'endpoint-dependent'
    return isDependent && this.allocation === 'unknown' && !this.#isNarrow
  }

  /** Takes what a round gathered so far; may be called as it gathers more. */
  judge(gathered: Gathered, outside: readonly OutsideReport[]): void {
    this.#judgeMapping(gathered, outside)
    const filtering = filteringOf(gathered.filter)
    const together = filteringOf([...this.#earlierFilter.flat(), ...gathered.filter])
    if (filtering !== 'unknown') this.filtering = filtering
    else if (together !== 'unknown') this.filtering = together
    // Through endpoint-dependent mappings a filter stops what the NAT did bring back.
    const isFiltered = gathered.hairpin === false && this.mapping !== 'endpoint-independent'
    if (!isFiltered) this.hairpin = gathered.hairpin ?? this.hairpin
  }

  endRound(gathered: Gathered): void {
    this.#earlierFilter = [...this.#earlierFilter, gathered.filter].slice(-EARLIER_ROUNDS)
    this.#ports = this.#portsWith(gathered)
  }

  #judgeMapping(gathered: Gathered, outside: readonly OutsideReport[]): void {
    if (gathered.mapping === undefined) return
    let verdict = judgeMapping(gathered.mapping, isDoubted(outside))
    // No scratch socket, or nobody answers STUN: the main socket's reporters are left.
    if (verdict.answers < 2) verdict = judgeMapping(asReflections(outside), false)
    if (verdict.mapping === 'unknown') return
    if (verdict.answers < Math.min(QUORUM, this.#answers)) return
    if (verdict.mapping !== this.mapping) this.allocation = 'unknown'
    this.mapping = verdict.mapping
    this.#answers = verdict.answers
    const allocation = judgeAllocation(gathered.all, verdict.mapping)
    this.#isNarrow = allocation === 'narrow'
    if (allocation === 'narrow') {
      if (isBlock(this.#portsWith(gathered))) this.allocation = 'block'
    } else if (allocation !== 'unknown') {
      this.allocation = allocation
    }
  }

  #portsWith(gathered: Gathered) {
    const ports = gathered.all.map(({ reflector, port }) => ({ reflector, port }))
    return [...this.#ports, ...ports].slice(-PORTS_MAX)
  }
}

/** RFC 4787 §5's three, from who got through and who did not. */
function filteringOf(results: readonly FilterResult[]): NatVector['filtering'] {
  const count = (role: FilterResult['role'], hasArrived: boolean) =>
    results.filter((result) => result.role === role && result.hasArrived === hasArrived).length
  if (count('unwritten', true) > 0) return 'endpoint-independent'
  if (count('written', true) > 0) {
    return count('unwritten', false) >= SILENCES_MIN ? 'address-dependent' : 'unknown'
  }
  const isSilent = count('written', false) >= SILENCES_MIN
  return isSilent ? 'address-and-port-dependent' : 'unknown'
}

/** Whether the main socket has reporters at several hosts, no two of which saw the same address. */
function isDoubted(outside: readonly OutsideReport[]): boolean {
  const reports = asReflections(outside)
  const addresses = new Set(reports.map(({ host, port }) => `${host}|${port}`))
  return reports.length >= 2 && addresses.size === reports.length
}

/** One report a reporting host. */
function asReflections(outside: readonly OutsideReport[]): readonly Reflection[] {
  const byHost = new Map(outside.map((report) => [report.reporterHost, report]))
  return [...byHost.values()].map(({ reporter, address }) => ({
    socket: 0,
    reflector: reporter,
    localPort: undefined,
    host: address.host,
    port: address.port,
    order: undefined,
  }))
}

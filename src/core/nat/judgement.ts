import type { NatVector } from '../io.ts'
import { portDistance } from './port-distance.ts'

/**
 * What a handful of answers says about a NAT. Pure. One answerer may lie: a verdict stands when it
 * fits everything that all others, or all but one of three and more, say.
 */
export interface Reflection {
  /** Which of our sockets asked: equal for answers about one socket. */
  readonly socket: number
  /** Who answered. */
  readonly reflector: string
  /** Our socket's own port, when it is known. */
  readonly localPort: number | undefined
  readonly host: string
  readonly port: number
  /** The how manieth request it was; undefined when it was repeated, so that its place is uncertain. */
  readonly order: number | undefined
}

export type Allocation = NatVector['allocation']

/** transport.md §5.3: steps of at most 16. */
const STEP_MAX = 16
/** A round makes eight endpoint-dependent mappings and three others. */
const DEPENDENT_MAPPINGS_MIN = 4
const FIXED_MAPPINGS_MIN = 3
/** transport.md §5.3: a block is at most 4096 ports, seen 16 times at least. */
const BLOCK_PORTS_MAX = 4_096
const BLOCK_REFLECTIONS_MIN = 16
/** A preserving NAT that gives each remote another port takes the next free ones (RFC 4787 §4.2.1). */
const PRESERVING_SHIFT_MAX = 8

export interface MappingVerdict {
  readonly mapping: 'endpoint-independent' | 'endpoint-dependent' | 'unknown'
  /** How many answered. */
  readonly answers: number
}

/**
 * The mapping, from what several reflectors saw of one socket. Of two that disagree one may lie:
 * `isDoubted` tells that the main socket's reporters disagree too.
 */
export function judgeMapping(
  reflections: readonly Reflection[],
  isDoubted: boolean,
): MappingVerdict {
  const answers = reflections.length
  if (answers < 2) return { mapping: 'unknown', answers }
  const most = mostFrequent(reflections.map((each) => `${each.host}|${each.port}`))
  if (answers > 2) {
    const isOne = most >= answers - 1
    return { mapping: isOne ? 'endpoint-independent' : 'endpoint-dependent', answers }
  }
  if (most === 2) return { mapping: 'endpoint-independent', answers }
  return { mapping: isDoubted ? 'endpoint-dependent' : 'unknown', answers }
}

/**
 * How external ports are chosen, from one round's answers about several sockets; `narrow` when they
 * lie so close together that only many more answers tell a block from a sequence or from chance.
 */
export function judgeAllocation(
  reflections: readonly Reflection[],
  mapping: NatVector['mapping'],
): Allocation | 'narrow' {
  if (mapping === 'unknown' || reflections.length < 2) return 'unknown'
  const views = viewsOf(reflections)
  if (views.some(isPreserving)) return 'preserving'
  const isDependent = mapping === 'endpoint-dependent'
  const orders = views.map((view) => mappingsOf(view, isDependent))
  const needed = isDependent ? DEPENDENT_MAPPINGS_MIN : FIXED_MAPPINGS_MIN
  if (orders.some((mappings) => mappings.length >= needed && isSteady(mappings))) {
    return 'sequential'
  }
  // Two mappings of a random NAT lie this close together every eighth time.
  if (distinct(reflections.map((each) => each.port)) < 3) return 'unknown'
  const isNarrow = views.some((view) => {
    return spreadOf(view.map((each) => each.port)) <= BLOCK_PORTS_MAX
  })
  if (!isNarrow) return 'random'
  // Too few whose order is known, with or without a liar: they may well be a sequence.
  return orders.some((mappings) => mappings.length < needed) ? 'unknown' : 'narrow'
}

/** Whether all these ports, gathered over some time, lie in one block. */
export function isBlock(ports: readonly { reflector: string; port: number }[]): boolean {
  if (distinct(ports.map(({ port }) => port)) < BLOCK_REFLECTIONS_MIN) return false
  return viewsOf(ports).some((view) => {
    const seen = view.map(({ port }) => port)
    return distinct(seen) >= BLOCK_REFLECTIONS_MIN / 2 && spreadOf(seen) <= BLOCK_PORTS_MAX
  })
}

/** Whether mappings, go steadily up or steadily down in the order they were made in. */
function isSteady(mappings: readonly { readonly order: number; readonly port: number }[]): boolean {
  const sorted = [...mappings].sort((a, b) => a.order - b.order)
  const [first] = sorted
  const last = sorted.at(-1)
  if (first === undefined || last === undefined) return false
  const sign = Math.sign(portDistance(first.port, last.port))
  return sorted.every((mapping, i) => {
    const before = sorted[i - 1]
    if (before === undefined) return true
    const orders = mapping.order - before.order
    const advance = (sign * portDistance(before.port, mapping.port)) / orders
    return advance > 0 && advance <= STEP_MAX
  })
}

/** All answers, and all but those of each one reflector while two others remain. */
export function viewsOf<T extends { readonly reflector: string }>(
  items: readonly T[],
): readonly (readonly T[])[] {
  const reflectors = [...new Set(items.map((item) => item.reflector))]
  if (reflectors.length < 3) return [items]
  const without = (liar: string) => items.filter((item) => item.reflector !== liar)
  return [items, ...reflectors.map(without)]
}

function isPreserving(view: readonly Reflection[]): boolean {
  return view.every(({ localPort, port }) => {
    const shift = localPort === undefined ? -1 : port - localPort
    return shift >= 0 && shift < PRESERVING_SHIFT_MAX
  })
}

/** One mapping an answer, or one a socket; none when a socket's answers contradict each other. */
function mappingsOf(view: readonly Reflection[], isDependent: boolean) {
  const found = new Map<string, { order: number; port: number }>()
  for (const { socket, reflector, order, port } of view) {
    const key = isDependent ? `${socket}|${reflector}` : `${socket}`
    const known = found.get(key)
    if (known !== undefined && known.port !== port) return []
    if (known === undefined && order !== undefined) found.set(key, { order, port })
  }
  const mappings = [...found.values()]
  if (isDependent) return mappings
  // A socket's later requests made no mapping: what counts is which socket came first.
  return mappings.sort((a, b) => a.order - b.order).map(({ port }, order) => ({ order, port }))
}

function spreadOf(ports: readonly number[]): number {
  return Math.max(...ports) - Math.min(...ports) + 1
}

function mostFrequent(keys: readonly string[]): number {
  const counts = new Map<string, number>()
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1)
  return Math.max(0, ...counts.values())
}

function distinct<T>(items: readonly T[]): number {
  return new Set(items).size
}

import type { Crypto } from '../../src/core/crypto.ts'
import { toHex } from '../../src/core/wire/bytes.ts'
import { sodiumNative } from '../../src/crypto/sodium-native.ts'
import { type NatOptions, type SimPeer, World } from '../../src/sim/index.ts'
import { directWay } from '../../src/sim/oracle.ts'
import { percentile, table } from '../../src/sim/report.ts'
import { CLUSTER_ID } from './subcluster.fixture.ts'

/**
 * Every pair of NATs meets again and again: what the oracle calls possible has to become direct,
 * everything else relayed. Only ordinary public peers help.
 */
export interface Site {
  readonly name: string
  /** From the outermost box inwards; none for a public address. */
  readonly boxes: readonly NatOptions[]
}

const APDF: NatOptions = { filtering: 'address-and-port-dependent' }
const DEPENDENT: NatOptions = { ...APDF, mapping: 'address-and-port-dependent' }
const CARRIER: NatOptions = { inside: 'carrier' }

export const SITES: readonly Site[] = [
  { name: 'open', boxes: [] },
  { name: 'eif', boxes: [{ filtering: 'endpoint-independent' }] },
  { name: 'adf', boxes: [{ filtering: 'address-dependent' }] },
  { name: 'apdf', boxes: [APDF] },
  { name: 'apdf-random', boxes: [{ ...APDF, allocation: 'random' }] },
  { name: 'dep-preserving', boxes: [{ ...DEPENDENT, allocation: 'preserving' }] },
  { name: 'dep-sequential', boxes: [{ ...DEPENDENT, allocation: 'sequential' }] },
  { name: 'dep-random', boxes: [{ ...DEPENDENT, allocation: 'random' }] },
  {
    name: 'dep-random-adf',
    boxes: [{ ...DEPENDENT, filtering: 'address-dependent', allocation: 'random' }],
  },
  { name: 'cgn', boxes: [{ ...CARRIER, ...APDF }, APDF] },
  { name: 'cgs', boxes: [{ ...CARRIER, ...DEPENDENT, allocation: 'random' }, APDF] },
]

export interface Line {
  readonly name: string
  /** Of one of the two lines that a datagram passes. */
  readonly latencyMs: number
  readonly lossRate: number
}

export const LINES: readonly Line[] = [
  { name: '0 ms', latencyMs: 0, lossRate: 0 },
  { name: '0 ms, 5 %', latencyMs: 0, lossRate: 0.0253 },
  { name: '60 ms', latencyMs: 15, lossRate: 0 },
  { name: '60 ms, 5 %', latencyMs: 15, lossRate: 0.0253 },
]

/** One try: how long until the two could talk at all, and until they did so directly. */
export interface Try {
  readonly reachedMs: number | undefined
  readonly directMs: number | undefined
}

export interface Cell {
  readonly a: Site
  readonly b: Site
  readonly way: string | undefined
  readonly line: Line
  readonly tries: readonly Try[]
}

const PUBLIC_PEERS = 5
/** The one that stands has been up this long when the other arrives. */
const SETTLED_MS = 1_500
/** How long a pair may take before it counts as not direct. */
const PATIENCE_MS = 20_000
/** A pair that only a relay can join is watched this long. */
const RELAYED_WATCH_MS = 1_500
/** How finely times are told. */
const STEP_MS = 1
/** Worlds are made anew after this many tries, for the sake of memory. */
export const TRIES_PER_WORLD = 25

export function pairs(): readonly (readonly [Site, Site])[] {
  return SITES.flatMap((a, i) => SITES.slice(i).map((b) => [a, b] as const))
}

/** Tries `from` to `from + count - 1`, of which each world makes some: `from` is a multiple of those. */
export function runCell(a: Site, b: Site, line: Line, count: number, seed: string, from = 0): Cell {
  const tries: Try[] = []
  let way: string | undefined
  const crypto = remembering(sodiumNative())
  while (tries.length < count) {
    const name = `${seed} ${a.name} ${b.name} ${line.name} ${from + tries.length}`
    const { latencyMs, lossRate } = line
    const net = new World({ crypto, seed: name, defaultLink: { latencyMs, lossRate } })
    const crowd = Array.from({ length: PUBLIC_PEERS }, () =>
      net.addPeer({ clusterId: CLUSTER_ID, bootstrap: 'all' }),
    )
    net.run(1_000)
    const rest = Math.min(count - tries.length, TRIES_PER_WORLD)
    for (let i = 0; i < rest; i++) {
      // Who stands and who arrives takes turns.
      const [first, second] = i % 2 === 0 ? [a, b] : [b, a]
      const standing = join(net, first, crowd)
      net.run(SETTLED_MS)
      const arriving = join(net, second, crowd)
      way = directWay(standing.host, arriving.host)
      tries.push(meet(net, standing, arriving, way !== undefined))
      standing.host.stop()
      arriving.host.stop()
      net.run(100)
    }
  }
  return { a, b, way, line, tries }
}

/** A quarter of all time went into converting the same few keys. */
function remembering(crypto: Crypto): Crypto {
  const known = new Map<string, Uint8Array | undefined>()
  const agreementPublicKey = (key: Uint8Array) => {
    const name = toHex(key)
    if (!known.has(name)) known.set(name, crypto.agreementPublicKey(key))
    return known.get(name)?.slice()
  }
  return { ...crypto, agreementPublicKey }
}

function join(net: World, site: Site, crowd: readonly SimPeer[]): SimPeer {
  let behind: ReturnType<World['addNat']> | undefined
  for (const box of site.boxes) {
    // Between two boxes of one site lies no line worth mentioning.
    const link = behind === undefined ? {} : { link: { latencyMs: 0, lossRate: 0 } }
    behind = net.addNat(behind === undefined ? box : { ...box, ...link, behind })
  }
  const bootstrap = crowd.map(({ host }) => host)
  return net.addPeer({ clusterId: CLUSTER_ID, bootstrap, ...(behind && { nat: behind }) })
}

function meet(net: World, standing: SimPeer, arriving: SimPeer, isPossible: boolean): Try {
  const startMs = net.nowMs
  const paths = [watch(standing, arriving), watch(arriving, standing)]
  const isReached = () => paths.every(({ path }) => path !== undefined)
  const isDirect = () => paths.every(({ path }) => path === 'direct' || path === 'lan')
  const within = (isSo: () => boolean, limitMs: number) => {
    while (!isSo()) {
      if (net.nowMs - startMs >= limitMs) return undefined
      net.run(STEP_MS)
    }
    return net.nowMs - startMs
  }
  within(() => arriving.seen('connection').length > 0, PATIENCE_MS)
  arriving.command({ type: 'dial', peer: standing.peerId, addresses: [] })
  const reachedMs = within(isReached, PATIENCE_MS)
  return { reachedMs, directMs: within(isDirect, isPossible ? PATIENCE_MS : RELAYED_WATCH_MS) }
}

/** The path that a peer says it has to another. */
function watch(peer: SimPeer, other: SimPeer): { path: string | undefined } {
  const seen: { path: string | undefined } = { path: undefined }
  peer.onEvent((event) => {
    if (!('peer' in event) || event.peer !== other.peerId) return
    if (event.type === 'connection' || event.type === 'path') seen.path = event.path
    if (event.type === 'disconnection') seen.path = undefined
  })
  return seen
}

/** What is wrong with a cell; empty when it is as the oracle has it. */
export function faults(cell: Cell, leastShare = 1): string[] {
  const { a, b, way, line, tries } = cell
  const name = `${a.name} × ${b.name}, ${line.name}`
  const reached = tries.filter(({ reachedMs }) => reachedMs !== undefined).length
  const direct = tries.filter(({ directMs }) => directMs !== undefined).length
  const found: string[] = []
  if (reached < tries.length) found.push(`${name}: reached ${reached} of ${tries.length}`)
  if (way !== undefined && direct < leastShare * tries.length) {
    found.push(`${name}: direct ${direct} of ${tries.length} (${way})`)
  }
  if (way === undefined && direct > 0) found.push(`${name}: direct ${direct}: is the oracle wrong?`)
  return found
}

export function report(cells: readonly Cell[]): string {
  const rows = cells.map(({ a, b, way, line, tries }) => {
    const reached = tries.flatMap(({ reachedMs }) => reachedMs ?? [])
    const direct = tries.flatMap(({ directMs }) => directMs ?? [])
    const ms = (values: readonly number[], percent: number) =>
      values.length === 0 ? '-' : Math.round(percentile(values, percent))
    return [
      `${a.name} × ${b.name}`,
      line.name,
      way ?? 'relay',
      tries.length,
      `${((100 * reached.length) / tries.length).toFixed(1)} %`,
      ms(reached, 50),
      ms(reached, 95),
      `${((100 * direct.length) / tries.length).toFixed(1)} %`,
      ms(direct, 50),
      ms(direct, 95),
    ]
  })
  const heading = [
    'pair',
    'line',
    'way',
    'tries',
    'reached',
    'p50 ms',
    'p95',
    'direct',
    'p50 ms',
    'p95',
  ]
  return table(heading, rows)
}

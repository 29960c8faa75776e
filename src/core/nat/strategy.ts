import type { NatVector } from '../io.ts'
import { classifyHost } from '../wire/address.ts'

/**
 * How two peers get at each other, from what each is behind. A pure function, equal on both sides: what
 * one reads as its own move the other reads as the remote's. It decides what to do after plain probing
 * of all candidates, which always comes first, has had its time; when, how often and within which
 * budgets is the traversal's business.
 */
export type StrategyName = 'dial' | 'punch' | 'predict' | 'birthday' | 'relay'

/**
 * `wait`: be found; `dial`, `probe`: plain probing does it; `rest`: nothing helps.
 * `foretell`: say where our next mappings will be, and make them; `sweep`: write to the ports foretold.
 * `cross`: both foretell one port and write to the remote's from many sockets, so that one of them gets it.
 * `scatter`: open many mappings at ports nobody foresees; `search`: write to ports at random.
 */
export type Move =
  | 'wait'
  | 'dial'
  | 'probe'
  | 'foretell'
  | 'sweep'
  | 'cross'
  | 'scatter'
  | 'search'
  | 'rest'

export interface Strategy {
  readonly name: StrategyName
  readonly ours: Move
  readonly theirs: Move
}

/**
 * `open`: anyone may write to it. `fixed`: one external port whoever it writes to, for those it wrote
 * to. `foreseen`: a port for each remote, which follows from the last or from the inside one. `random`:
 * a port for each remote, within a block or anywhere.
 */
type Reach = 'open' | 'fixed' | 'foreseen' | 'random'

const DIALS: Strategy = { name: 'dial', ours: 'dial', theirs: 'wait' }
const WAITS: Strategy = { name: 'dial', ours: 'wait', theirs: 'dial' }
const MEET: Strategy = { name: 'dial', ours: 'dial', theirs: 'dial' }
const PUNCH: Strategy = { name: 'punch', ours: 'probe', theirs: 'probe' }
const SWEEPS: Strategy = { name: 'predict', ours: 'sweep', theirs: 'foretell' }
const FORETELLS: Strategy = { name: 'predict', ours: 'foretell', theirs: 'sweep' }
const CROSS: Strategy = { name: 'predict', ours: 'cross', theirs: 'cross' }
const SEARCHES: Strategy = { name: 'birthday', ours: 'search', theirs: 'scatter' }
const SCATTERS: Strategy = { name: 'birthday', ours: 'scatter', theirs: 'search' }
const RELAY: Strategy = { name: 'relay', ours: 'rest', theirs: 'rest' }

/** Rows are ours, columns theirs. */
const TABLE: Readonly<Record<Reach, Readonly<Record<Reach, Strategy>>>> = {
  open: /*    */ { open: MEET, fixed: WAITS, foreseen: WAITS, random: WAITS },
  fixed: /*   */ { open: DIALS, fixed: PUNCH, foreseen: SWEEPS, random: SEARCHES },
  foreseen: /**/ { open: DIALS, fixed: FORETELLS, foreseen: CROSS, random: RELAY },
  random: /*  */ { open: DIALS, fixed: SCATTERS, foreseen: RELAY, random: RELAY },
}

export function strategy(ours: NatVector, theirs: NatVector): Strategy {
  const near = reachOf(ours)
  const far = reachOf(theirs)
  const planned = TABLE[near][far]
  if (planned.name === 'dial') return planned
  if (isRevealing(ours, theirs) || isRevealing(theirs, ours)) return PUNCH
  // A carrier's ports are other people's too: none are taken by the hundred.
  if (planned.name === 'birthday' && (ours.isCarrier || theirs.isCarrier)) return RELAY
  return planned
}

/** The vector as the remote has to see it to come to the same strategy. */
export function effectiveVector(nat: NatVector): NatVector {
  if (reachOf(nat) !== 'open') return nat
  return { ...nat, mapping: 'endpoint-independent', filtering: 'endpoint-independent' }
}

function reachOf(nat: NatVector): Reach {
  const { mapping, filtering, allocation, portMapping } = nat
  if (portMapping !== undefined && classifyHost(portMapping.external.host) === 'global')
    return 'open'
  const isUnfiltered = filtering === 'endpoint-independent'
  if (nat.isTranslated === false) return isUnfiltered ? 'open' : 'fixed'
  // What is not known yet is taken for what most routers are.
  if (mapping === 'endpoint-independent') return isUnfiltered ? 'open' : 'fixed'
  if (mapping === 'unknown') return 'fixed'
  return allocation === 'sequential' || allocation === 'preserving' ? 'foreseen' : 'random'
}

/**
 * Whether plain probes of `sender` get into `receiver` and are answered: its known port has to let in a
 * port it never wrote to, and the answer, from that port or a fresh one, has to get past the sender's
 * filter.
 */
function isRevealing(sender: NatVector, receiver: NatVector): boolean {
  if (receiver.mapping === 'endpoint-dependent') {
    return receiver.filtering === 'endpoint-independent' && admitsStrangers(sender)
  }
  return admitsStrangers(receiver)
}

/** Having written to one port of a host, it hears all of that host's ports. */
function admitsStrangers(nat: NatVector): boolean {
  return nat.filtering === 'endpoint-independent' || nat.filtering === 'address-dependent'
}

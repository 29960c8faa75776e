import type { Host } from './host.ts'
import type { Dependence } from './nat.ts'
import type { NatBox } from './nat-box.ts'

/**
 * What is physically possible between two hosts, whatever the protocol does: the judge of every
 * traversal test. It assumes unlimited cleverness and patience, both sides told everything over some
 * other way, and that nobody guesses random ports while each guess moves the guesser's own port. A block
 * of ports is random in this sense: of 512 ports a quarter may be taken (transport.md §5.5), and that
 * many mappings meet a foreseen port once in four tries.
 *
 * `lan`: one network. `ipv6`: both have it, and no translation stands between. `dial`: one side can be
 * written to by anybody. `punch`: both external ports are known beforehand. `prediction`: at least one
 * follows from the last. `birthday`: one is random, and the other side stays in one place to be found.
 * `reply`: one is random, yet the other side's filter lets its datagrams in, which reveals it.
 */
export type DirectWay = 'lan' | 'ipv6' | 'dial' | 'punch' | 'prediction' | 'birthday' | 'reply'

export function directPathPossible(a: Host, b: Host): boolean {
  return directWay(a, b) !== undefined
}

/** The easiest way there is; undefined when only a relay can help. */
export function directWay(a: Host, b: Host): DirectWay | undefined {
  const chainA = chainOf(a)
  const chainB = chainOf(b)
  const shared = chainA.find((box) => chainB.includes(box))
  const beforeA = shared === undefined ? chainA : chainA.slice(0, chainA.indexOf(shared))
  const beforeB = shared === undefined ? chainB : chainB.slice(0, chainB.indexOf(shared))
  if (shared !== undefined && beforeA.length === 0 && beforeB.length === 0) return 'lan'
  if (a.place.ipv6 !== undefined && b.place.ipv6 !== undefined) return 'ipv6'
  // One of them stands in the shared network itself and can name its address there.
  if (beforeA.length === 0 || beforeB.length === 0) {
    return [...beforeA, ...beforeB].some(({ profile }) => profile.blocksUdp) ? undefined : 'dial'
  }
  if (shared === undefined) return between(reachOf(chainA), reachOf(chainB))
  // Nobody tells a host its address between two NATs: it knows the outermost one, and needs hairpin.
  if (!shared.profile.hairpin) return undefined
  return between(reachOf(chainA), reachOf(chainB))
}

/** What a chain of NATs amounts to. */
interface Reach {
  readonly mapping: Dependence
  readonly filtering: Dependence
  readonly isPredictable: boolean
  readonly blocksUdp: boolean
}

/** From the innermost box outwards. */
function chainOf(host: Host): NatBox[] {
  const chain: NatBox[] = []
  let box = host.place.nat
  while (box !== undefined) {
    chain.push(box)
    box = box.outer.gateway as NatBox | undefined
  }
  return chain
}

function reachOf(chain: readonly NatBox[]): Reach {
  const profiles = chain.map((box) => box.profile)
  const mapping = strictest(profiles.map((profile) => profile.mapping))
  // Up to the first dependent box the port is fixed; from there on, a box that preserves ports passes
  // on what the one inside it chose.
  const first = profiles.findIndex((profile) => profile.mapping !== 'endpoint-independent')
  const choosers = first < 0 ? [] : profiles.slice(first)
  const last = choosers.findLast((profile) => profile.allocation !== 'preserving')
  const wanders = choosers.some(
    ({ pooling, externalAddresses }) => pooling === 'arbitrary' && externalAddresses > 1,
  )
  return {
    mapping,
    filtering: strictest(profiles.map((profile) => profile.filtering)),
    isPredictable: !wanders && (last === undefined || last.allocation === 'sequential'),
    blocksUdp: profiles.some((profile) => profile.blocksUdp),
  }
}

function strictest(values: readonly Dependence[]): Dependence {
  if (values.includes('address-and-port-dependent')) return 'address-and-port-dependent'
  return values.includes('address-dependent') ? 'address-dependent' : 'endpoint-independent'
}

function between(a: Reach, b: Reach): DirectWay | undefined {
  if (a.blocksUdp || b.blocksUdp) return undefined
  const aStays = a.mapping === 'endpoint-independent'
  const bStays = b.mapping === 'endpoint-independent'
  if ((aStays && isOpen(a)) || (bStays && isOpen(b))) return 'dial'
  if (aStays && bStays) return 'punch'
  if ((aStays && admitsStrangers(a)) || (bStays && admitsStrangers(b))) return 'punch'
  if ((aStays || a.isPredictable) && (bStays || b.isPredictable)) return 'prediction'
  if (aStays || bStays) return 'birthday'
  return replies(a, b) || replies(b, a) ? 'reply' : undefined
}

function isOpen(reach: Reach): boolean {
  return reach.filtering === 'endpoint-independent'
}

/** Whether, having written to one port of an address, it hears all of that address's ports. */
function admitsStrangers(reach: Reach): boolean {
  return reach.filtering !== 'address-and-port-dependent'
}

/**
 * Both ports depend on the remote, and `sender`'s may be random. `receiver` hears it first, which
 * needs a known port that lets it in; then the reply must get past the sender's own filter.
 */
function replies(sender: Reach, receiver: Reach): boolean {
  const isHeard = isOpen(receiver) || (receiver.isPredictable && admitsStrangers(receiver))
  if (!isHeard) return false
  if (admitsStrangers(sender)) return true
  // The filter wants the port that was written to: so the reply must leave from it, or from one
  // that was foreseen and written to out of the same mapping.
  if (!receiver.isPredictable) return false
  return receiver.mapping === 'address-dependent' || sender.mapping === 'address-dependent'
}

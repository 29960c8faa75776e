import { classifyHost } from '../core/wire/address.ts'
import { adviceOn } from './doctor-advice.ts'
import { type Finding, findingsOf, observedIpv6, plural } from './findings.ts'
import { addressText, openMapping, plainNat, routerSentence } from './nat-words.ts'
import {
  isOutside,
  isUnresolved,
  outward,
  type Picture,
  silencePlaces,
  silentOutside,
} from './picture.ts'

/**
 * What a picture means: can others reach this peer, how, and if not, why. Pure, and claims nothing
 * that the picture does not show: what is missing is said to be unknown.
 */
export type Verdict =
  /** Anyone can write to it first. */
  | 'reachable'
  /** Directly, after both sides wrote to each other. */
  | 'punchable'
  /** Directly by some, through a relay by others. */
  | 'limited'
  /** Every peer outside was reached through a relay. */
  | 'relayed'
  /** Somebody was asked, and nobody outside answered. */
  | 'unanswered'
  /** Nobody answered, and there was nobody to ask but the local network. */
  | 'nobody'
  /** No network at all. */
  | 'offline'
  /** Peers on this network answered; nobody outside was asked. */
  | 'lan'
  /** Peers answered, but too few to tell. */
  | 'unknown'

export const EXIT_CODES: Readonly<Record<Verdict, number>> = {
  reachable: 0,
  punchable: 0,
  unanswered: 2,
  nobody: 2,
  offline: 2,
  limited: 3,
  relayed: 3,
  lan: 4,
  unknown: 4,
}

/** One way in. `address` is undefined when there is none that a stranger could use. */
export interface Way {
  readonly how: 'port-mapping' | 'direct' | 'punching' | 'foreseen-port' | 'ipv6' | 'lan' | 'relay'
  readonly address: string | undefined
  readonly who: string
}

export interface Diagnosis {
  readonly verdict: Verdict
  readonly exitCode: number
  readonly summary: readonly string[]
  readonly nat: ReturnType<typeof plainNat>
  readonly reachable: readonly Way[]
  readonly relayedBy: readonly { readonly relay: string; readonly peers: readonly string[] }[]
  readonly peers: {
    readonly direct: number
    readonly lan: number
    readonly relayed: number
    readonly asked: number
  }
  readonly findings: readonly Finding[]
  readonly advice: readonly string[]
}

export function diagnose(picture: Picture): Diagnosis {
  const verdict = verdictOn(picture)
  const { peers, info } = picture
  const count = (path: string) => peers.filter((peer) => peer.path === path).length
  const relayed = peers.filter(({ relay }) => relay !== undefined)
  return {
    verdict,
    exitCode: EXIT_CODES[verdict],
    summary: summaryOf(verdict, picture),
    nat: plainNat(info.nat),
    reachable: waysOf(verdict, picture),
    relayedBy: info.relays.map((relay) => ({
      relay,
      peers: relayed.filter((peer) => peer.relay === relay).map(({ peerId }) => peerId),
    })),
    peers: {
      direct: count('direct'),
      lan: count('lan'),
      relayed: count('relayed'),
      asked: picture.asked.length,
    },
    findings: findingsOf(picture),
    advice: adviceOn(verdict, picture),
  }
}

function verdictOn(picture: Picture): Verdict {
  const { info, peers, asked, otherVersions } = picture
  const { nat } = info
  if (openMapping(nat) !== undefined) return 'reachable'
  if (nat.mapping === 'endpoint-dependent') return 'limited'
  if (nat.mapping === 'endpoint-independent' || nat.isTranslated === false)
    return nat.filtering === 'endpoint-independent' ? 'reachable' : 'punchable'
  const has = (path: string) => peers.some((peer) => peer.path === path)
  // Untranslated IPv6 needs nobody's port: a firewall in its way opens for answers.
  if (has('direct') && outward(picture, 4).length === 0 && observedIpv6(picture).isOurs)
    return 'punchable'
  if (has('direct')) return 'unknown'
  if (has('relayed')) return 'relayed'
  if (has('lan')) return silentOutside(picture).length > 0 ? 'unanswered' : 'lan'
  if (otherVersions > 0) return 'unknown'
  if (info.state === 'offline' || !hasNetwork(picture)) return 'offline'
  return asked.length > 0 ? 'unanswered' : 'nobody'
}

function hasNetwork(picture: Picture): boolean {
  return outward(picture, 4).length + outward(picture, 6).length > 0
}

const ON_IPV6_ALONE =
  'This machine has IPv6 alone, and nothing changes its address (good). Peers without IPv6 reach it only through a relay.'

function summaryOf(verdict: Verdict, picture: Picture): readonly string[] {
  const isOnIpv6Alone = verdict === 'punchable' && outward(picture, 4).length === 0
  const router = isOnIpv6Alone ? ON_IPV6_ALONE : routerSentence(picture.info.nat)
  const reach = reachSentence(verdict, picture)
  return router === undefined ? [reach] : [router, reach]
}

function reachSentence(verdict: Verdict, picture: Picture): string {
  const { info, asked, onlyHost } = picture
  switch (verdict) {
    case 'reachable':
      return openMapping(info.nat) === undefined
        ? 'Anyone reaches you directly, without help.'
        : 'Anyone reaches you directly, at the address that the router forwards.'
    case 'punchable':
      return (
        'Others reach you directly once both sides write (hole punching); until then, and where that ' +
        'fails, another peer relays.'
      )
    case 'limited':
      return info.nat.allocation === 'sequential'
        ? 'Most peers reach you directly; those behind a router whose ports nobody can foresee, only through a relay.'
        : 'Peers behind friendlier routers reach you directly; those behind one like yours, only through a relay.'
    case 'relayed':
      return 'Every peer outside this network is reached through a relay; why is not known.'
    case 'unanswered':
      return unansweredSentence(picture)
    case 'nobody':
      return 'Nobody answered, and there was nobody to ask: no peer was given or is remembered.'
    case 'offline':
      return onlyHost === undefined
        ? 'This machine has no network: it carries no address but its own loopback.'
        : `With --host ${onlyHost} only this machine itself can be met, and nobody answered there.`
    case 'lan':
      return asked.some(isOutside)
        ? 'Peers on this network are met directly. Nobody was met outside it, so whether others reach you is unknown.'
        : 'Peers on this network are met directly. Nobody outside was asked, so whether others reach you is unknown.'
    case 'unknown':
      return 'Peers answered, but too few to tell whether others reach you.'
  }
}

function unansweredSentence(picture: Picture): string {
  const silent = silentOutside(picture)
  const requests = plural(picture.requests, 'request')
  const asked = `No answer to ${requests} to ${plural(silent.length, 'peer')}`
  if (picture.asked.every(isUnresolved))
    return 'Nobody was asked: the names given lead to no address.'
  if (silent.length === 0)
    return 'Nobody answered, and only addresses on local networks were asked.'
  return silencePlaces(silent) > 1
    ? `${asked}: this network seems to let no UDP out. Latica needs UDP.`
    : `${asked}: either it is off, or this network lets no UDP out. Latica needs UDP.`
}

function waysOf(verdict: Verdict, picture: Picture): readonly Way[] {
  const { info, peers } = picture
  const ways: Way[] = []
  const { nat } = info
  const mapped = openMapping(nat)
  if (mapped !== undefined)
    ways.push({ how: 'port-mapping', address: addressText(mapped), who: 'anyone' })
  const [seen] = nat.external
  const external = seen && addressText(seen)
  if (nat.mapping === 'endpoint-independent' || nat.isTranslated === false) {
    const isOpen = nat.filtering === 'endpoint-independent'
    ways.push({
      how: isOpen ? 'direct' : 'punching',
      address: external,
      who: isOpen ? 'anyone' : 'anyone who is introduced by another peer',
    })
  }
  if (nat.mapping === 'endpoint-dependent') {
    const isForeseen = nat.allocation === 'sequential'
    ways.push({
      how: isForeseen ? 'foreseen-port' : 'punching',
      address: undefined,
      who: isForeseen
        ? 'peers behind a router whose ports can be foreseen, introduced by another peer'
        : 'peers behind a router that keeps one address, introduced by another peer',
    })
  }
  const { address } = observedIpv6(picture)
  if (address !== undefined)
    ways.push({ how: 'ipv6', address: addressText(address), who: 'peers that have IPv6' })
  const local = info.local.find(({ host }) => classifyHost(host) !== 'loopback')
  if (peers.some(({ path }) => path === 'lan'))
    ways.push({ how: 'lan', address: local && addressText(local), who: 'peers on this network' })
  const isMet = peers.some(({ path }) => path !== 'lan')
  if (isMet && verdict !== 'reachable')
    ways.push({
      how: 'relay',
      address: undefined,
      who: 'everyone else, through a peer that both know',
    })
  return ways
}

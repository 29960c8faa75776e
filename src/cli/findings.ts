import type { Connection } from '../api/types.ts'
import type { LocalAddress } from '../core/io.ts'
import { classifyHost } from '../core/wire/address.ts'
import { addressText, changesPorts, openMapping, portMappingText } from './nat-words.ts'
import { isUnresolved, LIFETIME_S, outward, type Picture, silentPeers } from './picture.ts'
import { short } from './printer.ts'

/** One fact of a diagnosis: `id` and `state` for programmes, `text` for people. */
export interface Finding {
  readonly id: string
  readonly state: 'good' | 'note' | 'bad' | 'unknown'
  readonly text: string
}

/** Names listed in one sentence; the rest is counted. */
const NAMES_MAX = 6

/** Every fact worth telling, and what is not known with what would settle it. */
export function findingsOf(picture: Picture): readonly Finding[] {
  const hasMet = picture.peers.length > 0
  const isOnIpv4 = outward(picture, 4).length > 0
  return [
    ...(hasMet ? [address(picture)] : []),
    ...(isOnIpv4 ? portMapping(picture) : []),
    ...carrier(picture),
    ipv6(picture),
    ...(hasMet && isOnIpv4 ? [...hairpin(picture), ...lifetime(picture)] : []),
    ...(hasMet ? [met(picture)] : []),
    ...picture.peers.filter(({ path }) => path === 'relayed').map((peer) => relayed(peer, picture)),
    ...unanswered(picture),
    ...undecided(picture),
    ...unresolved(picture),
    ...versions(picture),
    ...picture.faults.map((text) => finding('fault', 'bad', `This machine refused: ${text}`)),
  ]
}

function finding(id: string, state: Finding['state'], text: string): Finding {
  return { id, state, text }
}

function address({ info, peers }: Picture): Finding {
  const label = 'Address as others see it'
  const external = info.nat.external.length > 0 ? info.nat.external : info.observed.filter(isGlobal)
  const seen = external.map(addressText).join(', ')
  const witnesses = peers.filter(({ path }) => path === 'direct').length
  if (seen === '')
    return finding(
      'address',
      'unknown',
      `${label}: unknown. A peer outside this network would tell; ${witnesses} answered directly.`,
    )
  if (info.nat.mapping === 'endpoint-dependent') {
    const hosts = [...new Set(external.map(({ host }) => host))].join(', ')
    return finding('address', 'note', `${label}: ${hosts}, with another port for every remote`)
  }
  if (witnesses > 1) return finding('address', 'good', `${label}: ${seen} (the peers asked agree)`)
  return finding(
    'address',
    'note',
    `${label}: ${seen} (one peer says so; a second would confirm it)`,
  )
}

function portMapping({ info, isPortMappingOn, seconds, peers }: Picture): readonly Finding[] {
  const { nat } = info
  const id = 'port-mapping'
  if (nat.portMapping !== undefined) {
    const text = `Port mapping: ${portMappingText(nat.portMapping)}`
    if (openMapping(nat) !== undefined) return [finding(id, 'good', text)]
    const why = 'but another router stands before that one, so the internet does not reach it'
    return [finding(id, 'bad', `${text}, ${why}`)]
  }
  if (nat.isTranslated === false) return []
  if (!isPortMappingOn) return [finding(id, 'note', 'Port mapping: not asked for (you said so)')]
  if (peers.length === 0) return []
  const granted = 'no router granted one, by PCP, NAT-PMP or UPnP (the ways to ask it)'
  return [finding(id, 'note', `Port mapping: none; in ${Math.round(seconds)} s ${granted}`)]
}

function carrier({ info }: Picture): readonly Finding[] {
  if (!info.nat.isCarrier || openMapping(info.nat) !== undefined) return []
  return [
    finding(
      'carrier',
      'bad',
      'Before the internet stands a router that is not yours, most likely one of your provider, which ' +
        'shares one address among many customers (carrier-grade NAT). Your own router cannot change that.',
    ),
  ]
}

/** The IPv6 address that remotes see, and whether it is one that this machine carries. */
export function observedIpv6({ info }: Picture): {
  readonly address: LocalAddress | undefined
  readonly isOurs: boolean
} {
  const address = info.observed.find(
    ({ host }) => host.includes(':') && classifyHost(host) === 'global',
  )
  return { address, isOurs: info.local.some(({ host }) => host === address?.host) }
}

function ipv6(picture: Picture): Finding {
  const id = 'ipv6'
  const seen = observedIpv6(picture)
  if (seen.address !== undefined) {
    const at = addressText(seen.address)
    return seen.isOurs
      ? finding(
          id,
          'good',
          `IPv6: yes, ${at}, unchanged on its way; whether a firewall lets strangers in is unknown`,
        )
      : finding(
          id,
          'note',
          `IPv6: yes, but others see you at ${at}, which is not an address of this machine`,
        )
  }
  const own = picture.info.local.filter(({ host }) => host.includes(':'))
  const global = own.find(isGlobal)
  if (global !== undefined)
    return finding(
      id,
      'unknown',
      `IPv6: this machine has ${global.host}, but no peer has said that it works; one with IPv6 would tell`,
    )
  return finding(id, 'note', own.some(isPrivate) ? 'IPv6: on this network only' : 'IPv6: no')
}

function hairpin({ info }: Picture): readonly Finding[] {
  const { hairpin: works, isTranslated, mapping } = info.nat
  const label = 'Two machines behind your router meeting at its outside address (hairpin)'
  if (isTranslated === false) return []
  if (works !== undefined)
    return [finding('hairpin', 'note', `${label}: ${works ? 'works' : 'does not work'}`)]
  const why =
    mapping === 'endpoint-dependent'
      ? 'no attempt got through, which such a router may do for other reasons'
      : 'more peers outside or more time would tell'
  return [finding('hairpin', 'unknown', `${label}: unknown; ${why}`)]
}

function lifetime({ info, seconds }: Picture): readonly Finding[] {
  const { lifetimeMs, absoluteLifetimeMs, isTranslated, filtering } = info.nat
  const found: Finding[] = []
  const label = 'Silence that the router lets pass before it forgets you'
  if (lifetimeMs !== undefined)
    found.push(finding('lifetime', 'note', `${label}: at least ${Math.round(lifetimeMs / 1000)} s`))
  else if (isTranslated !== false || filtering !== 'endpoint-independent')
    found.push(
      finding(
        'lifetime',
        'unknown',
        seconds < LIFETIME_S
          ? `${label}: unknown; --seconds ${LIFETIME_S} or more measures it`
          : `${label}: less than 30 s, or nobody was there to measure it`,
      ),
    )
  if (absoluteLifetimeMs !== undefined)
    found.push(
      finding(
        'absolute-lifetime',
        'bad',
        `The router ends every conversation after ${Math.round(absoluteLifetimeMs / 1000)} s, however busy.`,
      ),
    )
  return found
}

function met({ peers }: Picture): Finding {
  const count = (path: Connection['path']) => peers.filter((peer) => peer.path === path).length
  const direct = count('direct')
  const parts = [
    `${direct} direct`,
    `${count('lan')} on this network`,
    `${count('relayed')} relayed`,
  ]
  return finding('peers', direct > 0 ? 'good' : 'note', `Peers: ${parts.join(', ')}`)
}

function relayed(peer: Connection, { info }: Picture): Finding {
  const by = peer.relay === undefined ? 'a peer that is changing' : short(peer.relay)
  return finding('relayed', 'note', `${short(peer.peerId)} is relayed by ${by}: ${why(peer, info)}`)
}

function why({ nat: theirs }: Connection, { nat: ours }: Picture['info']): string {
  if (theirs === undefined) return 'it has not said what it is behind'
  const isForeseen = ours.allocation === 'sequential' && theirs.allocation === 'sequential'
  if (changesPorts(ours) && changesPorts(theirs) && !isForeseen)
    return 'both routers change the port for every remote'
  if (ours.isCarrier && theirs.isCarrier)
    return 'both are behind a provider that shares its addresses'
  if (theirs.mapping === 'unknown') return 'it does not know yet what it is behind'
  return 'no direct path has worked yet, and why is not known'
}

function unanswered(picture: Picture): readonly Finding[] {
  const silent = silentPeers(picture)
  if (silent.length === 0) return []
  const names = list(silent.map(({ name }) => name))
  if (picture.peers.length > 0) return [finding('unanswered', 'note', `Not reached: ${names}`)]
  return [finding('unanswered', 'bad', `Asked in vain: ${names}`)]
}

/** Addresses without a peerId, while everybody met is on this network. */
function undecided({ peers, asked }: Picture): readonly Finding[] {
  const named = asked.filter((each) => each.peer === undefined && !isUnresolved(each))
  const isAllLan = peers.length > 0 && peers.every(({ path }) => path === 'lan')
  if (!isAllLan || named.length === 0) return []
  const names = list(named.map(({ name }) => name))
  const text = `${names}: among the peers on this network, or silent; a ticket instead would tell`
  return [finding('undecided', 'unknown', text)]
}

function unresolved({ asked }: Picture): readonly Finding[] {
  const names = asked.filter(isUnresolved).map(({ name }) => name)
  if (names.length === 0) return []
  return [finding('unresolved', 'bad', `These names led to no address so far: ${list(names)}`)]
}

function versions({ otherVersions }: Picture): readonly Finding[] {
  if (otherVersions === 0) return []
  const came = plural(otherVersions, 'datagram')
  return [
    finding(
      'version',
      'bad',
      `${came} of another version of the protocol came: UDP comes in here.`,
    ),
  ]
}

export function plural(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}

function list(names: readonly string[]): string {
  const more = names.length - NAMES_MAX
  const shown = names.slice(0, NAMES_MAX).join(', ')
  return more > 0 ? `${shown}, and ${more} more` : shown
}

function isGlobal({ host }: LocalAddress): boolean {
  return classifyHost(host) === 'global'
}

function isPrivate({ host }: LocalAddress): boolean {
  return classifyHost(host) === 'private'
}

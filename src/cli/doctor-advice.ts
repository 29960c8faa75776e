import type { Verdict } from './diagnose.ts'
import { observedIpv6 } from './findings.ts'
import { isUnresolved, type Picture, silencePlaces, silentOutside } from './picture.ts'

/** What a person can do next, the most useful first. Never more than the picture supports. */
export function adviceOn(verdict: Verdict, picture: Picture): readonly string[] {
  const advice = [...byVerdict(verdict, picture)]
  if (picture.otherVersions > 0) advice.push('Update Latica here or there: the versions differ.')
  if (picture.asked.some(isUnresolved))
    advice.push('Check the spelling of the names, and that this machine can look names up.')
  return advice
}

function byVerdict(verdict: Verdict, picture: Picture): readonly string[] {
  switch (verdict) {
    case 'reachable':
    case 'punchable':
      return []
    case 'limited':
      return onLimited(picture)
    case 'relayed':
      return ['Ask whoever runs this network to let UDP out, and the answers to it in.', ELSEWHERE]
    case 'unanswered':
      return onUnanswered(picture)
    case 'nobody':
      return [SOMEBODY]
    case 'offline':
      return [
        picture.onlyHost === undefined
          ? 'Connect to a network, then try again.'
          : 'Leave --host out.',
      ]
    case 'lan':
      return [SOMEBODY]
    case 'unknown':
      return onUnknown(picture)
  }
}

const SOMEBODY =
  'Give it a peer outside this network to ask: --peer <address or ticket>. `latica up` on a machine ' +
  'that others can reach prints its ticket.'
const ELSEWHERE =
  "Try another network, such as a phone's hotspot: if it works there, this network is the reason."
const ALLOW_UDP =
  'Let UDP pass: outgoing to any port, and the answers to it, through the firewall of this machine and ' +
  'of this network.'

function onLimited(picture: Picture): readonly string[] {
  const { info, isPortMappingOn } = picture
  const ipv6 =
    observedIpv6(picture).address === undefined
      ? 'IPv6, where your provider has it, needs no port of the router.'
      : 'Peers that have IPv6 too do not need the router at all: you have it.'
  if (info.nat.isCarrier)
    return [
      'Changing your own router does not help. Your provider may give you an address of your own on request.',
      ipv6,
    ]
  const allow = isPortMappingOn
    ? 'Switch on UPnP, NAT-PMP or PCP in the router, or let it forward a UDP port to this machine and '
    : 'Leave --no-port-mapping out, or let the router forward a UDP port to this machine and '
  return [`${allow}run with --port of that number: then anyone reaches you.`, ipv6]
}

function onUnanswered(picture: Picture): readonly string[] {
  const silent = silentOutside(picture)
  const advice = picture.faults.length > 0 ? ['Look at what this machine refused first.'] : []
  if (picture.asked.some((each) => !isUnresolved(each)))
    advice.push('Check that at least one of these peers is running, at this address.')
  if (silent.length === 0) return [...advice, SOMEBODY]
  const second = silencePlaces(silent) > 1 ? [] : [`A second peer to ask would tell. ${SOMEBODY}`]
  return [...advice, ...second, ALLOW_UDP, ELSEWHERE]
}

function onUnknown({ peers, seconds }: Picture): readonly string[] {
  const direct = peers.filter(({ path }) => path === 'direct').length
  if (direct < 2)
    return [
      `${direct} peer outside this network answered directly; it takes two to see whether the router keeps one address. ${SOMEBODY}`,
    ]
  return [`${Math.round(seconds)} s were not enough: try again with more --seconds.`]
}

import { isIP } from 'node:net'
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os'

type Listing = NodeJS.Dict<NetworkInterfaceInfo[]>

/** Hosts (IP literals) that this machine's interfaces carry, in the operating system's order. */
export interface InterfaceHosts {
  /** Addresses to tell others: no loopback while there is any other, no link-local IPv6. */
  readonly ipv4: readonly string[]
  readonly ipv6: readonly string[]
  /** Whether the machine has an address of the family at all, loopback included. */
  readonly hasIpv4: boolean
  readonly hasIpv6: boolean
  /** One IPv4 address per multicast link, loopback first. */
  readonly links: readonly string[]
}

/**
 * Reads the interfaces. Link-local IPv6 addresses are left out: without their zone, which means
 * nothing on another machine, nobody can dial them. Loopback is told only by a machine that has
 * nothing else, where every peer that can hear it is on the same machine. `only` is the one local
 * address in use, when the others are not.
 */
export function interfaceHosts(only?: string): InterfaceHosts {
  try {
    return only === undefined ? hostsOf(networkInterfaces()) : onlyHost(networkInterfaces(), only)
  } catch {
    // Android refuses the listing to apps. Sockets work without it.
    return { ipv4: [], ipv6: [], hasIpv4: true, hasIpv6: true, links: ['127.0.0.1'] }
  }
}

export function hostsOf(listing: Listing): InterfaceHosts {
  const all = Object.values(listing).flatMap((infos) => infos ?? [])
  const loopback = all.filter((info) => info.internal)
  const outward = all.filter((info) => !info.internal && !isLinkLocalV6(info.address))
  const told = outward.length > 0 ? outward : loopback
  const byFamily = (infos: readonly NetworkInterfaceInfo[], family: 'IPv4' | 'IPv6') => [
    ...new Set(infos.filter((info) => info.family === family).map((info) => info.address)),
  ]
  return {
    ipv4: byFamily(told, 'IPv4'),
    ipv6: byFamily(told, 'IPv6'),
    hasIpv4: all.some((info) => info.family === 'IPv4'),
    hasIpv6: all.some((info) => info.family === 'IPv6'),
    links: byFamily([...loopback, ...outward], 'IPv4'),
  }
}

function onlyHost(listing: Listing, only: string): InterfaceHosts {
  const all = hostsOf(listing)
  if (only === '0.0.0.0') return { ...all, ipv6: [], hasIpv6: false }
  if (only === '::') return { ...all, ipv4: [], hasIpv4: false, links: [] }
  const isIpv6 = isIP(only) === 6
  return {
    ipv4: isIpv6 ? [] : [only],
    ipv6: isIpv6 ? [only] : [],
    hasIpv4: !isIpv6,
    hasIpv6: isIpv6,
    links: all.links.filter((link) => link === only),
  }
}

/** fe80::/10 (RFC 4291 §2.5.6). */
function isLinkLocalV6(host: string): boolean {
  return /^fe[89ab][0-9a-f]:/i.test(host)
}

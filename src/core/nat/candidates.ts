import type { Endpoint, LocalAddress, NatVector } from '../io.ts'
import { SOCKET_IPV4, SOCKET_IPV6 } from '../io.ts'
import { classifyHost, isDialable } from '../wire/address.ts'
import { CANDIDATES_PER_MESSAGE_MAX } from './messages.ts'

/** Which addresses are worth telling a remote, and which of a remote's are worth a datagram. */
export const Candidates = {
  /**
   * Ours, and one on every external host: where mappings depend on the remote no port of ours may be
   * known, but the remote has to know the host that its filter is to let in.
   */
  told(own: readonly LocalAddress[], nat: NatVector): LocalAddress[] {
    const missing: LocalAddress[] = []
    for (const address of nat.external) {
      const isTold = [...own, ...missing].some(({ host }) => host === address.host)
      if (!isTold) missing.push(address)
    }
    const room = Math.max(0, CANDIDATES_PER_MESSAGE_MAX - missing.length)
    return [...own.slice(0, room), ...missing].slice(0, CANDIDATES_PER_MESSAGE_MAX)
  },

  /** A loopback address is another program's, unless we are on the same machine ourselves. */
  usable(told: readonly LocalAddress[], own: readonly LocalAddress[]): LocalAddress[] {
    const isLoopbackNear = own.some(isLoopback)
    return told
      .slice(0, CANDIDATES_PER_MESSAGE_MAX)
      .filter((address) => isDialable(address) && (isLoopbackNear || !isLoopback(address)))
  },

  endpoint({ host, port }: LocalAddress, hasIpv6: boolean): Endpoint | undefined {
    const isIpv6 = host.includes(':')
    if (isIpv6 && !hasIpv6) return undefined
    return { kind: 'udp', socket: isIpv6 ? SOCKET_IPV6 : SOCKET_IPV4, host, port }
  },

  /** Where a NAT of the internet's may be sprayed. */
  isPublicIpv4({ host }: LocalAddress): boolean {
    return !host.includes(':') && classifyHost(host) === 'global'
  },

  isSame(a: readonly LocalAddress[], b: readonly LocalAddress[]): boolean {
    return a.length === b.length && a.every((address, i) => isEqual(address, b[i]))
  },

  includes(addresses: readonly LocalAddress[], address: LocalAddress): boolean {
    return addresses.some((other) => isEqual(address, other))
  },
} as const

function isLoopback(address: LocalAddress): boolean {
  return classifyHost(address.host) === 'loopback'
}

function isEqual(a: LocalAddress, b: LocalAddress | undefined): boolean {
  return a.host === b?.host && a.port === b.port
}

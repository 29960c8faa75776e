import { createSocket, type Socket } from 'node:dgram'
import type { InterfaceHosts } from './interfaces.ts'
import { plain } from './udp-socket.ts'

/**
 * The local network, without configuration: IPv4 multicast on every link, loopback included, so that
 * two processes on one machine with no network find each other too. Decides how a beacon reaches a
 * link and is heard there; what a beacon says, and which are our own, is the core's.
 *
 * Nothing here is ever fatal: a link that refuses multicast is a link without discovery.
 */

/**
 * In 239.192.0.0/14, the organization-local scope that RFC 2365 §6.2 leaves to private use (where
 * BitTorrent's local discovery, BEP 14, is too). The low bytes spell "LT".
 */
export const LAN_GROUP = '239.195.76.84'
/**
 * In the dynamic range (RFC 6335 §6) and above 60999, where Linux takes ephemeral ports from by
 * default: another program's ephemeral socket cannot be in the way.
 */
export const LAN_PORT = 62410
/** The links themselves are the scope: a router must not carry a beacon on. */
const MULTICAST_TTL = 1
/** Linux lets one socket join 20 groups (igmp_max_memberships). */
const LINKS_MAX = 20

/** Hears beacons. */
export class LanListener {
  readonly #socket: Socket

  private constructor(socket: Socket) {
    this.#socket = socket
  }

  /** Undefined when the machine does not let us listen. */
  static open(
    hear: (data: Uint8Array, host: string, port: number) => void,
  ): Promise<LanListener | undefined> {
    return new Promise((resolve) => {
      // Every Latica process of the machine shares the port.
      const socket = createSocket({ type: 'udp4', reuseAddr: true })
      socket.on('message', (data, from) => hear(plain(data), from.address, from.port))
      socket.on('error', () => {})
      socket.once('error', () => {
        socket.close()
        resolve(undefined)
      })
      // Bound to the group, the socket gets nothing that strangers send to the machine's own
      // addresses. Windows cannot bind to a group.
      const host = process.platform === 'win32' ? '0.0.0.0' : LAN_GROUP
      socket.bind({ port: LAN_PORT, address: host, exclusive: true }, () => {
        socket.removeAllListeners('error')
        socket.on('error', () => {})
        resolve(new LanListener(socket))
      })
    })
  }

  /**
   * Joins the group on every link. Repeated joins are refused harmlessly, and a link that went and
   * came back under the same address has forgotten the join: so it is simply done each time.
   */
  join(hosts: InterfaceHosts): void {
    for (const link of hosts.links.slice(0, LINKS_MAX)) {
      attempt(() => this.#socket.addMembership(LAN_GROUP, link))
    }
  }

  close(): void {
    this.#socket.close()
  }
}

/**
 * Sends one beacon to every link from `socket`, so that the answers come back to it. `socket` must
 * send synchronously (a synchronous `lookup`): the interface is chosen per send.
 */
export function sendToLinks(socket: Socket, hosts: InterfaceHosts, data: Uint8Array): void {
  for (const link of hosts.links.slice(0, LINKS_MAX)) {
    attempt(() => {
      socket.setMulticastInterface(link)
      socket.setMulticastTTL(MULTICAST_TTL)
      socket.send(data, LAN_PORT, LAN_GROUP)
    })
  }
}

function attempt(action: () => void): void {
  try {
    action()
  } catch {
    // This link does without.
  }
}

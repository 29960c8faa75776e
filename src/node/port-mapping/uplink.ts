import { createSocket } from 'node:dgram'
import { readFile } from 'node:fs/promises'
import type { LocalAddress } from '../../core/io.ts'
import { classifyHost } from '../../core/wire/address.ts'

/** How the machine is connected to what may be a router that translates addresses. */
export interface Uplink {
  /** Our address there. */
  readonly host: string
  /** Where the router answers PCP and NAT-PMP; undefined when the system does not tell. */
  readonly gateway: LocalAddress | undefined
}

/** RFC 6887 §19.1, RFC 6886 §3. */
const CONTROL_PORT = 5351
/** TEST-NET-1 (RFC 5737): routed as anything far away, and nothing is sent there. */
const FAR_AWAY = '192.0.2.1'

/**
 * The uplink of a socket that has these addresses; undefined when no router can stand before it: none
 * of them is private or a carrier's, or nothing leads outwards from one that is. Sends nothing.
 */
export async function readUplink(hosts: readonly string[]): Promise<Uplink | undefined> {
  const inside = hosts.filter((host) => ['private', 'shared'].includes(classifyHost(host)))
  if (inside.length === 0) return undefined
  const isTold = process.platform === 'linux'
  const gateway = isTold ? await readGateway() : undefined
  if (isTold && gateway === undefined) return undefined
  const host = await sourceTowards(gateway ?? FAR_AWAY)
  if (host === undefined || !inside.includes(host)) return undefined
  return {
    host,
    gateway: gateway === undefined ? undefined : { host: gateway, port: CONTROL_PORT },
  }
}

/**
 * The IPv4 default gateway of Linux's table of routes, as the kernel writes it: hexadecimal, in the
 * byte order of the machine, which Node's platforms have little-endian (proc_pid_net(5), `route`).
 */
export function defaultGateway(table: string): string | undefined {
  const routes = table.split('\n').flatMap((line) => {
    const [, to, gateway = '', flags = '', , , metric, mask] = line.split('\t')
    const isDefault = to === '00000000' && mask === '00000000'
    const leads = (Number.parseInt(flags, 16) & RTF_UP_GATEWAY) === RTF_UP_GATEWAY
    if (!isDefault || !leads || !/^[0-9A-F]{8}$/i.test(gateway)) return []
    const bytes = [6, 4, 2, 0].map((at) => Number.parseInt(gateway.slice(at, at + 2), 16))
    return [{ host: bytes.join('.'), metric: Number(metric) }]
  })
  return routes.sort((a, b) => a.metric - b.metric)[0]?.host
}

/** RTF_UP | RTF_GATEWAY (Linux, uapi/linux/route.h). */
const RTF_UP_GATEWAY = 0x3

async function readGateway(): Promise<string | undefined> {
  try {
    return defaultGateway(await readFile('/proc/net/route', 'latin1'))
  } catch {
    return undefined
  }
}

/** The address that the system would send from; a connected UDP socket knows, and sends nothing. */
function sourceTowards(host: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket({
      type: 'udp4',
      lookup: (literal, _options, callback) => callback(null, literal, 4),
    })
    const end = (source: string | undefined) => {
      socket.close()
      resolve(source)
    }
    socket.once('error', () => end(undefined))
    const connected = (error?: Error) =>
      end(error === undefined ? socket.address().address : undefined)
    socket.connect(CONTROL_PORT, host, connected)
  })
}

import type { PortMapping, PortMappingProtocol } from '../../core/io.ts'
import { systemClock } from '../clock.ts'
import { PortMappingKeeper } from './keeper.ts'
import type { Probe } from './lease.ts'
import { probeNatPmp } from './nat-pmp.ts'
import { probePcp } from './pcp.ts'
import { readUplink } from './uplink.ts'
import { probeUpnp } from './upnp.ts'

export interface PortMappingOptions {
  /** The local UDP port to be reached at. */
  readonly port: number
  /** The addresses of its socket. */
  readonly hosts: readonly string[]
  /** What a router forwards to it; undefined: nothing any more. Never called before this returns. */
  readonly on: (mapping: PortMapping | undefined) => void
  /** Which to try, in order of preference. Default all. */
  readonly protocols?: readonly PortMappingProtocol[] | undefined
}

/** Three answers to one question, the best first: what each can tell and take back. */
const PROBES: Readonly<Record<PortMappingProtocol, Probe>> = {
  pcp: probePcp,
  'nat-pmp': probeNatPmp,
  upnp: (wanted, signal) => probeUpnp(wanted, signal),
}

/**
 * Asks the router before this machine for a port, and keeps it until `close`. Never throws, and sends
 * nothing while none of the addresses is private or nothing leads outwards from it.
 */
export function startPortMapping(options: PortMappingOptions): PortMappingKeeper {
  const { port, hosts, on, protocols = ['pcp', 'nat-pmp', 'upnp'] } = options
  const probes = protocols.map((protocol) => PROBES[protocol])
  return new PortMappingKeeper({ port, clock: systemClock(), probes, readUplink, on }, hosts)
}

import type { PortMapping } from '../../core/io.ts'
import { classifyHost } from '../../core/wire/address.ts'
import type { Uplink } from './uplink.ts'

/** What a router is asked for: UDP that arrives at a port of its own, to this port of ours. */
export interface Wanted {
  readonly uplink: Uplink
  readonly port: number
}

/** A forwarding that was granted, for a time. Neither method ever rejects. */
export interface Lease {
  readonly mapping: PortMapping
  readonly lifetimeMs: number
  /** Asks for it once more; undefined when it was refused or nobody answered. */
  renew(): Promise<Lease | undefined>
  /** Gives it back, best effort. */
  release(): Promise<void>
}

/** Makes what a probe found possible. */
export type Offer = () => Promise<Lease | undefined>

/**
 * Asks whether the router speaks one protocol; undefined when it does not. An aborted probe ends
 * within `ABORT_GRACE_MS`, and what it offers after that is nothing that it would have to make first.
 */
export type Probe = (wanted: Wanted, signal: AbortSignal) => Promise<Offer | undefined>

/** How long after an abort a router may still answer, so that what it granted can be given back. */
export const ABORT_GRACE_MS = 250
/**
 * Asked of routers. RFC 6886 §3.3 recommends two hours; one leaves less behind after a crash.
 */
export const LIFETIME_S = 3_600

/**
 * Whether an address that a router told can be one of its own. A private or shared one can: it stands
 * behind another NAT.
 */
export function isUsable({ external }: PortMapping): boolean {
  const { host, port } = external
  if (!Number.isInteger(port) || port < 1 || port > 0xffff || host.includes(':')) return false
  return ['global', 'private', 'shared'].includes(classifyHost(host))
}

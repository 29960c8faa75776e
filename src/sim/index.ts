/**
 * A virtual internet in virtual time. Start with `World` (peers) or `Internet` (any core); what hosts,
 * NAT boxes and lines can be told is on `Host`, `NatBox` and `Link`.
 */
export {
  checkConvergence,
  checkEveryoneConnected,
  checkPorts,
  checkRejections,
  ExactlyOnceDelivery,
  type Observed,
  OrderPerPeerAndEvent,
} from './check.ts'
export { CheckFailure } from './check-failure.ts'
export { EPOCH_MS } from './clock.ts'
export type { CoreContext, Host, HostCallbacks, HostPlace, MakeCore } from './host.ts'
export { type HostOptions, Internet, type InternetOptions, type NatOptions } from './internet.ts'
export { DEFAULT_LINK, Link, type LinkProfile } from './link.ts'
export { type Allocation, DEFAULT_NAT, type Dependence, type NatProfile, NatTable } from './nat.ts'
export type { Inside, NatBox } from './nat-box.ts'
export type { DropReason, Traffic } from './network.ts'
export { type DirectWay, directPathPossible, directWay } from './oracle.ts'
export { SeededRandom } from './random.ts'
export {
  costPerMessage,
  percentile,
  type Summary,
  summarise,
  table,
  trafficTable,
} from './report.ts'
export type { SimStorage } from './storage.ts'
export type { Trace, TraceRecord } from './trace.ts'
export { type PeerOptions, SimPeer, World, type WorldOptions } from './world.ts'

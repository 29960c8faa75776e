/**
 * The one loop that feeds a core from a transport, a clock and a storage. Decides the order in which
 * inputs reach the core and outputs leave it; knows no protocol and no host.
 */
export { Driver, type DriverOptions, type DriverTrace } from './drive.ts'
export type { Clock, MaybePromise, Storage, Transport, TransportReceiver } from './ports.ts'

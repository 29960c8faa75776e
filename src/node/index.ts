/**
 * Node's side of a peer: real clock, UDP with LAN discovery, LevelDB. Decides how the machine is
 * used, and knows no protocol.
 */
export { systemClock } from './clock.ts'
export { HostError } from './host-error.ts'
export { defaultStoragePath, type OpenedStorage, openStorage } from './storage.ts'
export { openUdp, type UdpOptions, type UdpTransport } from './udp.ts'

/**
 * The facade: promises, listeners and web streams over a peer that knows commands and events alone.
 * Reading order: `types.ts` (what programmes see), `socket.ts`, `subcluster.ts`, `member.ts`, then
 * what they are made of; `node-network.ts` puts a peer together on this machine.
 */

export type { KeyPair } from '../core/crypto.ts'
export type { DeliveryOrder, NatVector, PortMapping } from '../core/io.ts'
export type { Storage } from '../driver/ports.ts'
export { Encryption } from './encryption.ts'
export { LaticaError, type LaticaErrorCode } from './errors.ts'
export { network } from './node-network.ts'
export type { NetworkOptions } from './options.ts'
export type {
  Connection,
  DirectPacket,
  EmitOptions,
  EventItem,
  EventItemOf,
  HistoryItem,
  ListenOptions,
  Moment,
  Off,
  Packet,
  PeerStream,
  Presence,
  Progress,
  PublishedPacket,
  RemotePeer,
  RequestOptions,
  RequestResult,
  Schema,
  Socket,
  SocketInfo,
  SocketState,
  Subcluster,
  TraceEvent,
} from './types.ts'
export type { Value } from './values.ts'

/**
 * Peer-to-peer networking without servers: discover, connect and communicate with peers.
 * Start with `network`; everything else is reached from what it returns.
 */
export { Encryption } from './api/encryption.ts'
export { LaticaError, type LaticaErrorCode } from './api/errors.ts'
export { network } from './api/node-network.ts'
export type { NetworkOptions } from './api/options.ts'
export type {
  Connection,
  DirectPacket,
  EmitOptions,
  EventItem,
  ListenOptions,
  Off,
  Packet,
  PeerStream,
  Presence,
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
} from './api/types.ts'
export type { Value } from './api/values.ts'
export type { KeyPair } from './core/crypto.ts'
export type { Storage } from './driver/ports.ts'

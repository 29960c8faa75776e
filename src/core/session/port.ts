import type { PathKind, PeerId } from '../io.ts'

/**
 * What a session offers to the layers above it. A port lives as long as both sides remember the
 * session: it survives address changes, silence and new keys. When the other side has forgotten it
 * (it restarted), the port ends with `restarted` and a new one begins.
 */
export interface SessionPort {
  readonly peer: PeerId
  /** 32 bytes that both sides share and nobody else knows: what membership proofs are bound to. */
  readonly binding: Uint8Array
  /** Whether we began the handshake: the two sides' proofs must differ. */
  readonly isInitiator: boolean
  readonly path: PathKind
  readonly rttMs: number
  /** Nobody wanted it lately; sending wakes it. */
  readonly isDormant: boolean
  /** What was sent to it is not acknowledged, for longer than that should take. */
  readonly isSilent: boolean
  /** Queues a reliable, unordered message of at most `MESSAGE_BYTES_MAX`; returns its number. */
  sendMessage(payload: Uint8Array): number
  /** Sends one unreliable datagram; false when it does not fit into one. */
  sendDatagram(payload: Uint8Array): boolean
  openStream(): number
  /** Queues bytes; `streamWritable` events tell when the backlog drains. */
  writeStream(stream: number, data: Uint8Array): void
  finishStream(stream: number): void
  /** Gives up both directions of a stream. */
  resetStream(stream: number, code: number): void
  /** Tells that the application took bytes, so that the remote may send as many more. */
  consumeStream(stream: number, bytes: number): void
}

import type { Endpoint, PeerId } from '../io.ts'
import type { NatMessage } from './messages.ts'

/** A neighbour at a public IPv4 address that our main socket reaches directly. */
export interface Reflector {
  readonly peer: PeerId
  readonly endpoint: Endpoint
  send(message: NatMessage): void
}

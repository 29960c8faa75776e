import type { Snapshot } from '../core/io.ts'
import type { SocketState } from './types.ts'

/** Guess: what one dial sends before it gives up, so that a peer that is slow draws no warning. */
const UNANSWERED_MIN = 4

/** What a person can do about a socket's state; undefined when there is nothing to do. */
export function adviceFor(state: SocketState, { counters }: Snapshot): string | undefined {
  switch (state) {
    case 'offline':
      return 'No network interface is up: connect to a network.'
    case 'connecting': {
      const requests = counters['handshakesOut'] ?? 0
      if (requests < UNANSWERED_MIN)
        return 'No peer was met yet: start another peer on this network, or give `peers` an address or ticket.'
      return (
        `No peer was met yet: ${requests} requests got no answer. Check that a peer you named runs; ` +
        'if one does, this network may let no UDP out. `latica doctor` tells more.'
      )
    }
    case 'degraded':
      return 'Peers stopped answering: check the network; they are being called again.'
    case 'online':
    case 'closed':
      return undefined
  }
}

import { BoundedMap } from '../collections/bounded-map.ts'
import { TokenBucket } from '../collections/token-bucket.ts'
import { earlier } from '../deadlines.ts'
import { type Deadline, type Endpoint, type Instant, type PeerId, SOCKET_IPV4 } from '../io.ts'
import { encodeBindingResponse } from '../wire/stun.ts'
import type { NatMessage } from './messages.ts'
import type { ScratchSockets } from './scratch-sockets.ts'

/**
 * Serves neighbours that want to know what their NAT lets in: one STUN response of 32 bytes to a port
 * of the very host at which we see the asker, never to a host that stood in a message.
 */
/** One survey asks one reflector four times. */
const PER_ASKER_BURST = 4
const PER_ASKER_PER_S = 0.2
const TOTAL_PER_S = 10
const ASKERS_MAX = 256
/** Guess: a socket that closes at once may never have sent. */
const SOCKET_OPEN_MS = 1_000

export interface Asker {
  readonly peer: PeerId
  readonly endpoint: Endpoint
}

export type Knock = Extract<NatMessage, { type: 'knock' }>

export class Knocks {
  readonly #scratch: ScratchSockets
  readonly #transmit: (to: Endpoint, data: Uint8Array) => void
  readonly #total: TokenBucket
  readonly #askers = new BoundedMap<PeerId, TokenBucket>(ASKERS_MAX)
  /** Sockets to close and when: in order of time, and as many as the budget lets through. */
  readonly #closing = new Map<number, Instant>()

  constructor(
    scratch: ScratchSockets,
    transmit: (to: Endpoint, data: Uint8Array) => void,
    now: Instant,
  ) {
    this.#scratch = scratch
    this.#transmit = transmit
    this.#total = new TokenBucket(TOTAL_PER_S, TOTAL_PER_S, now)
  }

  serve(asker: Asker, message: Knock, now: Instant): void {
    const { host } = asker.endpoint
    if (asker.endpoint.socket !== SOCKET_IPV4 || !this.#mayServe(asker.peer, now)) return
    const socket = message.isFromOtherPort ? this.#scratch.openForRemote() : SOCKET_IPV4
    if (socket === undefined) return
    if (message.isFromOtherPort) this.#closing.set(socket, (now + SOCKET_OPEN_MS) as Instant)
    const { transaction, port } = message
    this.#transmit(
      { kind: 'udp', socket, host, port },
      encodeBindingResponse(transaction, { host, port }),
    )
  }

  deadline(): Deadline | undefined {
    let first: Deadline | undefined
    for (const at of this.#closing.values()) first = earlier(first, { at, reason: 'knock' })
    return first
  }

  onDeadline(now: Instant): void {
    for (const [socket, at] of this.#closing) {
      if (at > now) continue
      this.#closing.delete(socket)
      this.#scratch.close(socket)
    }
  }

  #mayServe(peer: PeerId, now: Instant): boolean {
    let bucket = this.#askers.get(peer)
    if (bucket === undefined) {
      bucket = new TokenBucket(PER_ASKER_PER_S, PER_ASKER_BURST, now)
      this.#askers.set(peer, bucket)
    }
    return bucket.take(1, now) && this.#total.take(1, now)
  }
}

import type { LocalAddress } from '../io.ts'
import { SOCKET_SCRATCH } from '../io.ts'

/**
 * The scratch sockets that are open, whoever uses them: it numbers them and bounds how many there are.
 * A socket may be sent from as soon as it was asked for.
 */
export interface ScratchHost {
  bind(socket: number): void
  unbind(socket: number): void
}

/** The 256 sockets of one birthday traversal (transport.md §5.5), with room for measuring. */
export const SCRATCH_SOCKETS_MAX = 288
/** A survey, a forecast, a lifetime probe and four successors together have fewer. */
const OWN_SOCKETS = 16

export class ScratchSockets {
  readonly #host: ScratchHost
  /** Its local address once it is up. */
  readonly #open = new Map<number, LocalAddress | undefined>()
  #next = SOCKET_SCRATCH

  constructor(host: ScratchHost) {
    this.#host = host
  }

  get size(): number {
    return this.#open.size
  }

  /** The number of one more socket; undefined when there are enough. */
  open(): number | undefined {
    return this.#openWithin(SCRATCH_SOCKETS_MAX)
  }

  /** The same, on a remote's account: some are left for finding out what we are behind. */
  openForRemote(): number | undefined {
    return this.#openWithin(SCRATCH_SOCKETS_MAX - OWN_SOCKETS)
  }

  #openWithin(max: number): number | undefined {
    if (this.#open.size >= max) return undefined
    const socket = this.#next++
    this.#open.set(socket, undefined)
    this.#host.bind(socket)
    return socket
  }

  close(socket: number): void {
    if (this.#open.delete(socket)) this.#host.unbind(socket)
  }

  has(socket: number): boolean {
    return this.#open.has(socket)
  }

  /** Where it is bound, once that was reported. */
  addressOf(socket: number): LocalAddress | undefined {
    return this.#open.get(socket)
  }

  /** What the driver reports of it: its addresses, or undefined when it is down. */
  report(socket: number, addresses: readonly LocalAddress[] | undefined): void {
    if (!this.#open.has(socket)) return
    if (addresses === undefined) this.#open.delete(socket)
    else this.#open.set(socket, addresses[0])
  }
}

import {
  type Endpoint,
  type LocalAddress,
  type PortMappingProtocol,
  SOCKET_IPV4,
} from '../../core/io.ts'
import type { TransportReceiver } from '../../driver/ports.ts'
import type { UdpTransport } from '../udp.ts'
import type { PortMappingKeeper } from './keeper.ts'
import { startPortMapping } from './start.ts'

/**
 * A transport whose router is asked to forward a port to its IPv4 socket. Nothing waits for that:
 * the transport opens and sends as without.
 */
export class MappedTransport implements UdpTransport {
  readonly #inner: UdpTransport
  readonly #protocols: readonly PortMappingProtocol[] | undefined
  #keeper: PortMappingKeeper | undefined
  #isClosed = false
  #released: Promise<void> = Promise.resolve()

  /** `protocols` as for `startPortMapping`. */
  constructor(inner: UdpTransport, protocols?: readonly PortMappingProtocol[]) {
    this.#inner = inner
    this.#protocols = protocols
  }

  get port(): number {
    return this.#inner.port
  }

  open(on: TransportReceiver): void {
    this.#inner.open({
      datagram: (from, data) => on.datagram(from, data),
      socket: (socket, state, addresses) => {
        on.socket(socket, state, addresses)
        if (socket === SOCKET_IPV4) this.#moved(state === 'up' ? addresses : [], on)
      },
      portMapping: (mapping) => on.portMapping(mapping),
    })
  }

  bind(socket: number): void {
    this.#inner.bind(socket)
  }

  unbind(socket: number): void {
    this.#inner.unbind(socket)
  }

  send(to: Endpoint, data: Uint8Array): void {
    this.#inner.send(to, data)
  }

  close(): void {
    this.#isClosed = true
    this.#inner.close()
    if (this.#keeper !== undefined) this.#released = this.#keeper.close()
  }

  /** After `close`: resolves when the router has forgotten us, or will not answer. */
  released(): Promise<void> {
    return this.#released
  }

  #moved(addresses: readonly LocalAddress[], on: TransportReceiver): void {
    const hosts = addresses.map(({ host }) => host)
    const port = addresses[0]?.port
    // The receiver may have closed us from within.
    if (this.#isClosed) return
    if (this.#keeper !== undefined) this.#keeper.networkChanged(hosts)
    else if (port !== undefined)
      this.#keeper = startPortMapping({
        port,
        hosts,
        protocols: this.#protocols,
        on: (mapping) => on.portMapping(mapping),
      })
  }
}

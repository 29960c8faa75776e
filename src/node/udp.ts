import { isIP } from 'node:net'
import { UsageError } from '../core/errors.ts'
import {
  type Endpoint,
  LAN_HOST,
  SOCKET_IPV4,
  SOCKET_IPV6,
  SOCKET_LAN,
  SOCKET_SCRATCH,
} from '../core/io.ts'
import type { Transport, TransportReceiver } from '../driver/ports.ts'
import { errorCode, HostError } from './host-error.ts'
import { type InterfaceHosts, interfaceHosts } from './interfaces.ts'
import { LanListener, sendToLinks } from './lan.ts'
import { lacksFamily, UdpSocket } from './udp-socket.ts'

export interface UdpOptions {
  /** 0 or absent: any. */
  readonly port?: number | undefined
  /** The one local address (an IP literal) to use; absent: all, of both families. */
  readonly host?: string | undefined
  /** Hear and send beacons on the local network. Default true. */
  readonly lan?: boolean | undefined
}

/** A transport whose sockets are bound. */
export interface UdpTransport extends Transport {
  /** IPv4's, or IPv6's on a machine without IPv4. */
  readonly port: number
}

/**
 * Binds the transport of a Node peer: one UDP socket per address family, on the same port where that
 * can be had, the LAN listener, and scratch sockets as they are asked for. Decides which sockets there
 * are and what our addresses are; knows nothing of what datagrams mean. A machine without one of the
 * families is not an error; a busy port is. From here to `close` the transport keeps the process alive.
 */
export async function openUdp(options: UdpOptions = {}): Promise<UdpTransport> {
  const { port = 0, host, lan = true } = options
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    throw new UsageError('EBADARG', 'port', 'an integer from 0 to 65535', String(port))
  }
  if (host !== undefined && isIP(host) === 0) {
    throw new UsageError('EBADARG', 'host', "an IP address of this machine's", String(host))
  }
  const inlet = new Inlet()
  const pair = await bindSockets(inlet, port, host)
  const listener =
    lan && pair.ipv4 !== undefined
      ? await LanListener.open((data, from, port) => inlet.take(SOCKET_LAN, data, from, port))
      : undefined
  return new BoundUdp(inlet, pair, listener, host)
}

/**
 * Node tells of no change of address: the listing is asked, at some 50 µs a time. A host that moved
 * and only listens is silent this long at most, and shall be talking again within 2 s.
 */
const INTERFACES_POLL_MS = 500
/** Guess: how many ports to try for one that is free in both families. */
const PAIR_ATTEMPTS_MAX = 16
/** Guess: how long the kernel gets to take what it refused while its buffer was full. */
const CLOSE_GRACE_MS = 50

/** Where datagrams enter: nowhere until a receiver is attached, nowhere again after it is taken off. */
class Inlet {
  receiver: TransportReceiver | undefined
  /** The scratch sockets that are open, by number: what the others heard still arrives. */
  readonly scratch = new Map<number, UdpSocket>()
  readonly #arrived: Datagram[] = []

  take(socket: number, data: Uint8Array, host: string, port: number): void {
    this.#arrived.push({ from: { kind: 'udp', socket, host, port }, data })
    if (this.#arrived.length === 1) setImmediate(this.#deliver)
  }

  readonly #deliver = () => {
    for (const { from, data } of this.#arrived.splice(0)) {
      if (from.socket < SOCKET_SCRATCH || this.scratch.has(from.socket)) {
        this.receiver?.datagram(from, data)
      }
    }
  }
}

interface Datagram {
  readonly from: Endpoint
  readonly data: Uint8Array
}

class BoundUdp implements UdpTransport {
  readonly port: number
  readonly #inlet: Inlet
  /** By socket number, without the scratch ones. */
  readonly #sockets: readonly (UdpSocket | undefined)[]
  readonly #lan: LanListener | undefined
  readonly #host: string | undefined
  readonly #reported = new Map<number, string>()
  #hosts: InterfaceHosts
  #poll: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(inlet: Inlet, pair: Pair, lan: LanListener | undefined, host: string | undefined) {
    this.port = (pair.ipv4 ?? pair.ipv6)?.port ?? 0
    this.#inlet = inlet
    this.#sockets = [pair.ipv4, pair.ipv6]
    this.#lan = lan
    this.#host = host
    this.#hosts = interfaceHosts(host)
  }

  open(receiver: TransportReceiver): void {
    this.#inlet.receiver = receiver
    // First of all: the receiver may close us from within.
    this.#poll = setInterval(() => this.#readInterfaces(), INTERFACES_POLL_MS).unref()
    if (this.#lan !== undefined) receiver.socket(SOCKET_LAN, 'up', [])
    this.#readInterfaces()
  }

  bind(socket: number): void {
    const { scratch } = this.#inlet
    if (this.#isClosed) return
    if (!Number.isInteger(socket) || socket < SOCKET_SCRATCH || scratch.has(socket)) {
      throw new UsageError('EBADARG', 'socket', 'the number of a scratch socket to be', `${socket}`)
    }
    if (!this.#hosts.hasIpv4) {
      this.#inlet.receiver?.socket(socket, 'down', [])
      return
    }
    const opened = new UdpSocket(4, (data, host, port) =>
      this.#inlet.take(socket, data, host, port),
    )
    scratch.set(socket, opened)
    opened.bind(0, this.#host, (error) => {
      if (scratch.get(socket) !== opened) return
      if (error === undefined) this.#report(socket, opened, true, this.#hosts.ipv4)
      else {
        scratch.delete(socket)
        this.#inlet.receiver?.socket(socket, 'down', [])
      }
    })
  }

  unbind(socket: number): void {
    this.#inlet.scratch.get(socket)?.close(CLOSE_GRACE_MS)
    this.#inlet.scratch.delete(socket)
    this.#reported.delete(socket)
  }

  send(to: Endpoint, data: Uint8Array): void {
    if (this.#isClosed) return
    const socket = this.#sockets[to.socket] ?? this.#inlet.scratch.get(to.socket)
    if (to.host !== LAN_HOST) socket?.send(data, to.host, to.port)
    else if (socket !== undefined) sendToLinks(socket.raw, this.#hosts, data)
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#inlet.receiver = undefined
    clearInterval(this.#poll)
    this.#lan?.close()
    for (const socket of this.#sockets) socket?.close(CLOSE_GRACE_MS)
    for (const socket of this.#inlet.scratch.values()) socket.close(CLOSE_GRACE_MS)
    this.#inlet.scratch.clear()
  }

  #readInterfaces(): void {
    this.#hosts = interfaceHosts(this.#host)
    this.#lan?.join(this.#hosts)
    const { ipv4, ipv6, hasIpv4, hasIpv6 } = this.#hosts
    this.#report(SOCKET_IPV4, this.#sockets[SOCKET_IPV4], hasIpv4, ipv4)
    this.#report(SOCKET_IPV6, this.#sockets[SOCKET_IPV6], hasIpv6, ipv6)
    for (const [number, socket] of this.#inlet.scratch) {
      this.#report(number, socket, hasIpv4, ipv4)
      if (!hasIpv4) this.unbind(number)
    }
  }

  /** Tells of a socket when what there is to tell differs from the last time. */
  #report(
    number: number,
    socket: UdpSocket | undefined,
    isUp: boolean,
    hosts: readonly string[],
  ): void {
    const { receiver } = this.#inlet
    if (socket === undefined || socket.port === 0 || receiver === undefined) return
    const report = isUp ? `up ${hosts.join(' ')}` : 'down'
    if (report === (this.#reported.get(number) ?? 'down')) return
    this.#reported.set(number, report)
    const { port } = socket
    const addresses = isUp ? hosts.map((host) => ({ host, port })) : []
    receiver.socket(number, isUp ? 'up' : 'down', addresses)
  }
}

async function bindSockets(inlet: Inlet, port: number, host: string | undefined): Promise<Pair> {
  const bind = (family: 4 | 6, onPort: number) => {
    const number = family === 4 ? SOCKET_IPV4 : SOCKET_IPV6
    return UdpSocket.open(family, onPort, host, (data, from, fromPort) =>
      inlet.take(number, data, from, fromPort),
    )
  }
  try {
    return host === undefined ? await bindPair(bind, port) : await bindOne(bind, port, host)
  } catch (error) {
    throw explain(error, port, host)
  }
}

type Bind = (family: 4 | 6, port: number) => Promise<UdpSocket>
interface Pair {
  readonly ipv4: UdpSocket | undefined
  readonly ipv6: UdpSocket | undefined
}

async function bindOne(bind: Bind, port: number, host: string): Promise<Pair> {
  const isIpv6 = isIP(host) === 6
  const socket = await bind(isIpv6 ? 6 : 4, port)
  return { ipv4: isIpv6 ? undefined : socket, ipv6: isIpv6 ? socket : undefined }
}

/** Binds both families to one port; any port that IPv4 gets may be taken in IPv6. */
async function bindPair(bind: Bind, port: number): Promise<Pair> {
  for (let attempt = 1; ; attempt++) {
    const ipv4 = await unlessLacking(bind(4, port))
    try {
      const isLast = attempt === PAIR_ATTEMPTS_MAX
      const ipv6 = await unlessLacking(bind(6, isLast ? port : (ipv4?.port ?? port)))
      if (ipv4 !== undefined || ipv6 !== undefined) return { ipv4, ipv6 }
    } catch (error) {
      ipv4?.close(0)
      if (port === 0 && errorCode(error) === 'EADDRINUSE') continue
      throw error
    }
    throw new HostError(
      'EAFNOSUPPORT',
      'this machine has neither IPv4 nor IPv6',
      'Bring up a network interface (loopback is enough), and allow the process to open sockets',
    )
  }
}

async function unlessLacking(binding: Promise<UdpSocket>): Promise<UdpSocket | undefined> {
  try {
    return await binding
  } catch (error) {
    if (lacksFamily(error)) return undefined
    throw error
  }
}

function explain(error: unknown, port: number, host: string | undefined): unknown {
  const where = host === undefined ? `UDP port ${port}` : `UDP ${host} port ${port}`
  const help = new Map([
    ['EADDRINUSE', 'Stop the program that has it, or choose another `port` (0 takes any)'],
    ['EACCES', 'Choose a `port` of 1024 or more (0 takes any)'],
    ['EADDRNOTAVAIL', "Choose a `host` that one of this machine's interfaces has, or none"],
  ])
  const code = errorCode(error) ?? ''
  const advice = help.get(code)
  if (advice === undefined || error instanceof HostError) return error
  const what = code === 'EADDRINUSE' ? 'is in use' : 'cannot be had'
  return new HostError(code, `${where} ${what} (${code})`, advice, error)
}

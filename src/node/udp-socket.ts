import { createSocket, type Socket } from 'node:dgram'
import { errorCode } from './host-error.ts'

/** Hears one datagram. */
export type Receive = (data: Uint8Array, host: string, port: number) => void

/**
 * One UDP socket of one family, which only ever loses datagrams: it never throws, and never fails once
 * it is bound.
 */
export class UdpSocket {
  /** For multicast options, which the wrapper does not know. Sends synchronously. */
  readonly raw: Socket
  readonly #family: 4 | 6
  #port = 0

  constructor(family: 4 | 6, receive: Receive) {
    this.#family = family
    this.raw = createSocket({
      type: family === 4 ? 'udp4' : 'udp6',
      ipv6Only: family === 6,
      lookup: (literal, _options, callback) => callback(null, literal, family),
    })
    // Node writes addresses as inet_ntop does, lower-case and shortest (RFC 5952), and appends a
    // zone to link-local ones alone, which cannot be answered without it.
    this.raw.on('message', (data, from) => receive(plain(data), from.address, from.port))
  }

  /** Binds one with large buffers. Rejects with the operating system's error. */
  static open(
    family: 4 | 6,
    port: number,
    host: string | undefined,
    receive: Receive,
  ): Promise<UdpSocket> {
    return new Promise((resolve, reject) => {
      const socket = new UdpSocket(family, receive)
      socket.bind(port, host, (error) => {
        if (error !== undefined) reject(error)
        else {
          raiseBuffers(socket.raw)
          resolve(socket)
        }
      })
    })
  }

  /** 0 until it is bound. */
  get port(): number {
    return this.#port
  }

  /**
   * Called once; `settled` is called once, most often before this returns. `host` undefined is every
   * address of the family. What is sent before it is bound goes when it is.
   */
  bind(port: number, host: string | undefined, settled: (error: Error | undefined) => void): void {
    const { raw } = this
    raw.once('error', (error) => {
      raw.close()
      settled(error)
    })
    const address = host ?? (this.#family === 4 ? '0.0.0.0' : '::')
    raw.bind({ port, address, exclusive: true }, () => {
      raw.removeAllListeners('error')
      // Failures to receive (an ICMP error, on some systems): a datagram lost.
      raw.on('error', () => {})
      this.#port = raw.address().port
      settled(undefined)
    })
  }

  send(data: Uint8Array, host: string, port: number): void {
    if (this.raw.getSendQueueSize() > QUEUE_BYTES_MAX) return
    try {
      // Without a callback Node drops what the kernel refuses (ENETUNREACH, EPERM, ECONNREFUSED).
      this.raw.send(data, port, host)
    } catch {
      // Port 0, or not an IP literal: addresses come from remotes.
    }
  }

  /** Stops receiving. What the kernel has not taken yet gets `graceMs` to go. */
  close(graceMs: number): void {
    this.raw.removeAllListeners('message')
    if (this.raw.getSendQueueCount() === 0) this.raw.close()
    else setTimeout(() => this.raw.close(), graceMs)
  }
}

/** A Buffer's `slice` shares memory where a Uint8Array's copies: nobody further in should meet one. */
export function plain(data: Buffer): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}

/** Whether a bind failed because the machine does not have the address family. */
export function lacksFamily(error: unknown): boolean {
  const code = errorCode(error)
  return code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL' || code === 'EPROTONOSUPPORT'
}

/**
 * Asked of the kernel, which clamps (Linux: net.core.rmem_max) or refuses (macOS). A stream at
 * 200 MB/s fills the usual 212,992 bytes during 1 ms of garbage collection.
 */
const BUFFER_BYTES = [4 << 20, 1 << 20, 1 << 19]

/** Guess, unmeasured: what libuv may hold while the kernel's buffer is full before we drop. */
const QUEUE_BYTES_MAX = 8 << 20

function raiseBuffers(socket: Socket): void {
  for (const raise of [
    (bytes: number) => socket.setRecvBufferSize(bytes),
    (bytes: number) => socket.setSendBufferSize(bytes),
  ]) {
    for (const bytes of BUFFER_BYTES) {
      try {
        raise(bytes)
        break
      } catch {
        // Too much for this system: ask for less.
      }
    }
  }
}

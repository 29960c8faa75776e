import { once } from 'node:events'
import { createRequire } from 'node:module'
import { type AddressInfo, connect, createServer } from 'node:net'
import type { Duplex } from 'node:stream'
import { CHUNK_BYTES, type Client, type Contender, TRANSFER_BYTES } from './contender.ts'

/** The parts used of two packages without types: a stream of either is close enough to Node's. */
interface UdxSocket {
  bind(port: number, host: string): void
  address(): AddressInfo
}
interface UdxStream extends Duplex {
  connect(socket: UdxSocket, remoteId: number, port: number, host: string): void
}
interface Udx {
  createSocket(): UdxSocket
  createStream(id: number, options: object): UdxStream
}
type SecretStream = new (isInitiator: boolean, raw: Duplex, options: object) => Duplex

const HOST = '127.0.0.1'
const SERVER_ID = 1
const CLIENT_ID = 2
/** hyperdht's default. */
const KEEPALIVE_MS = 5000

/** Over UDX with framing, as HyperDHT, and so Hyperswarm, makes its connections. */
export const secretStreamOverUdx: Contender = {
  serve: async () => {
    const { udx, socket } = bindUdx()
    const raw = udx.createStream(SERVER_ID, {
      framed: true,
      firewall: (_socket: UdxSocket, port: number, host: string) => {
        raw.connect(socket, CLIENT_ID, port, host)
        return false
      },
    })
    acknowledge(secure(false, raw))
    return String(socket.address().port)
  },
  connect: async (address) => {
    const { udx, socket } = bindUdx()
    const raw = udx.createStream(CLIENT_ID, { framed: true })
    raw.connect(socket, SERVER_ID, Number(address), HOST)
    return clientOf(secure(true, raw))
  },
}

/** Over TCP, which no NAT lets through: the kernel's transport instead of one in userland. */
export const secretStreamOverTcp: Contender = {
  serve: async () => {
    const server = createServer((raw) => acknowledge(secure(false, raw)))
    server.listen(0, HOST)
    await once(server, 'listening')
    const address = server.address()
    return String(typeof address === 'object' && address !== null ? address.port : 0)
  },
  connect: async (address) => {
    const raw = connect(Number(address), HOST)
    raw.setNoDelay(true)
    await once(raw, 'connect')
    return clientOf(secure(true, raw))
  },
}

function bindUdx(): { readonly udx: Udx; readonly socket: UdxSocket } {
  const Udx: new () => Udx = createRequire(import.meta.url)('udx-native')
  const udx = new Udx()
  const socket = udx.createSocket()
  socket.bind(0, HOST)
  return { udx, socket }
}

function secure(isInitiator: boolean, raw: Duplex): Duplex {
  const Stream: SecretStream = createRequire(import.meta.url)('@hyperswarm/secret-stream')
  return new Stream(isInitiator, raw, { keepAlive: KEEPALIVE_MS })
}

/** One byte back for every whole transfer. */
function acknowledge(stream: Duplex): void {
  let received = 0
  stream.on('data', (chunk: Uint8Array) => {
    received += chunk.length
    if (received < TRANSFER_BYTES) return
    received -= TRANSFER_BYTES
    stream.write(new Uint8Array(1))
  })
}

async function clientOf(stream: Duplex): Promise<Client> {
  const chunk = new Uint8Array(CHUNK_BYTES).fill(1)
  const isAcknowledged: (() => void)[] = []
  stream.on('data', () => isAcknowledged.shift()?.())
  return {
    transfer: async () => {
      const done = new Promise<void>((resolve) => isAcknowledged.push(resolve))
      for (let sent = 0; sent < TRANSFER_BYTES; sent += CHUNK_BYTES)
        if (!stream.write(chunk)) await once(stream, 'drain')
      await done
    },
  }
}

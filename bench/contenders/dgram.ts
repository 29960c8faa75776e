import { createSocket, type Socket } from 'node:dgram'
import { sodiumNative } from '../../src/crypto/index.ts'
import { type Client, type Contender, TRANSFER_BYTES } from './contender.ts'

/**
 * What node:dgram alone can do: the floor of a round trip and the ceiling of a stream. Nothing is
 * repeated: the window is small enough for the kernel's default buffer, so that nothing gets lost.
 */
const DATAGRAM_BYTES = 1200
const TAG_BYTES = 16
/** Linux counts some 2.3 kB for such a datagram against a receive buffer of 212,992 bytes. */
const WINDOW = 64
const ACK_EVERY = 16

const KEY = new Uint8Array(32).fill(1)
const NOTHING = new Uint8Array(0)

/** With `isSealed` every datagram of a stream is sealed and opened, as any encrypted protocol must. */
export function dgram(isSealed: boolean): Contender {
  return {
    serve: async () => {
      const socket = await bind()
      const take = receiver(isSealed)
      socket.on('message', (data, from) => {
        if (data.length < DATAGRAM_BYTES) return socket.send(data, from.port, from.address)
        const received = take(data)
        if (received % ACK_EVERY === 0) socket.send(ack(received), from.port, from.address)
      })
      return String(socket.address().port)
    },
    connect: async (address) => clientOf(await bind(), Number(address), isSealed),
  }
}

function clientOf(socket: Socket, port: number, isSealed: boolean): Client {
  const crypto = sodiumNative()
  const nonce = new Uint8Array(12)
  const plain = Buffer.alloc(DATAGRAM_BYTES - (isSealed ? TAG_BYTES : 0), 1)
  const count = Math.ceil(TRANSFER_BYTES / plain.length / ACK_EVERY) * ACK_EVERY
  const send = (data: Uint8Array) => socket.send(data, port, '127.0.0.1')
  let acked = 0
  return {
    ask: (sizeBytes) => {
      send(plain.subarray(0, sizeBytes))
      return new Promise((resolve) => socket.once('message', () => resolve()))
    },
    transfer: () =>
      new Promise((resolve) => {
        const target = acked + count
        let sent = acked
        const fill = () => {
          for (; sent < target && sent - acked < WINDOW; sent++)
            send(isSealed ? crypto.seal(KEY, nonce, plain, NOTHING) : plain)
        }
        const onAck = (data: Buffer) => {
          acked = data.readUInt32BE()
          if (acked < target) return fill()
          socket.off('message', onAck)
          resolve()
        }
        socket.on('message', onAck)
        fill()
      }),
  }
}

function receiver(isSealed: boolean): (data: Uint8Array) => number {
  const crypto = sodiumNative()
  const nonce = new Uint8Array(12)
  let received = 0
  return (data) => {
    if (isSealed && crypto.open(KEY, nonce, data, NOTHING) === undefined)
      throw new Error('a datagram is not authentic')
    return ++received
  }
}

function ack(received: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(received)
  return bytes
}

function bind(): Promise<Socket> {
  const socket = createSocket({
    type: 'udp4',
    lookup: (host, _options, callback) => callback(null, host, 4),
  })
  return new Promise((resolve) => socket.bind(0, '127.0.0.1', () => resolve(socket)))
}

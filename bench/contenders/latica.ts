import type { PeerStream, RemotePeer } from '../../src/index.ts'
import { CHUNK_BYTES, type Client, type Contender, TRANSFER_BYTES } from './contender.ts'

type Latica = typeof import('../../src/index.ts')

/** Two peers of a build of the package, as any programme would use them. `dist` is its URL. */
export function latica(dist: string): Contender {
  return {
    serve: async () => {
      const { socket, subcluster } = await join(dist, [])
      subcluster.handle('echo', (value) => value)
      const arrivals: Promise<number>[] = []
      subcluster.on('#stream', (stream) => arrivals.push(countBytes(stream)))
      subcluster.handle('arrived', () => arrivals.pop())
      return socket.ticket()
    },
    connect: async (address) => {
      const { subcluster } = await join(dist, [address])
      const peer = await new Promise<RemotePeer>((resolve) => subcluster.once('#join', resolve))
      return clientOf(peer)
    },
  }
}

async function join(dist: string, peers: string[]) {
  const { network, Encryption }: Latica = await import(new URL('index.js', dist).href)
  const clusterId = await Encryption.createClusterId('bench')
  const sharedKey = await Encryption.createSharedKey('bench')
  const host = '127.0.0.1'
  const socket = await network({ clusterId, peers, host, port: 0, lan: false, storage: false })
  return { socket, subcluster: await socket.subcluster({ sharedKey }) }
}

function clientOf(peer: RemotePeer): Client {
  const chunk = new Uint8Array(CHUNK_BYTES).fill(1)
  return {
    ask: async (sizeBytes) => {
      const answer = await peer.request('echo', chunk.subarray(0, sizeBytes))
      if (answer.length !== sizeBytes) throw new Error('the answer is not the question')
    },
    transfer: async () => {
      const stream = await peer.openStream('transfer')
      const writer = stream.writable.getWriter()
      for (let sent = 0; sent < TRANSFER_BYTES; sent += CHUNK_BYTES) {
        await writer.ready
        void writer.write(chunk)
      }
      void writer.close()
      const arrived = await peer.request('arrived', undefined)
      if (arrived !== TRANSFER_BYTES) throw new Error(`${arrived} bytes arrived`)
    },
  }
}

async function countBytes(stream: PeerStream): Promise<number> {
  let received = 0
  for await (const chunk of stream.readable) received += chunk.length
  await stream.writable.close()
  return received
}

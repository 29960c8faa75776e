import assert from 'node:assert/strict'
import { Encryption, network, type RemotePeer } from 'latica'

/**
 * The smoke programme: run without words it prints a ticket and answers; run with one it meets the
 * first and tries everything there is. Both end by themselves when they have closed, with exit 0.
 */
const [ticket] = process.argv.slice(2)
const STREAM_BYTES = 300_000

const socket = await network({
  clusterId: await Encryption.createClusterId('latica-smoke'),
  ...(ticket !== undefined && { peers: [ticket] }),
  lan: false,
  storage: 'store',
})
const room = await socket.subcluster({ sharedKey: await Encryption.createSharedKey('smoke') })
const published = room.events('news')
const joined = new Promise<RemotePeer>((resolve) => room.on('#join', resolve))
const left = new Promise((resolve) => room.on('#leave', (_, why) => resolve(why)))

if (ticket === undefined) {
  room.handle('add', ({ a, b }: { a: number; b: number }) => a + b)
  room.on('#join', (peer) =>
    peer.on('#stream', (stream) => void stream.readable.pipeTo(stream.writable)),
  )
  console.log(`ticket ${socket.ticket()}`)
  const peer = await joined
  const { value } = await published.next()
  assert.deepEqual(value?.value, new Map([['from', 'second']]))
  assert.equal(value?.packet.author, peer.peerId)
  await room.emit('news', 'from the first')
  console.log(`left: ${await left}`)
} else {
  const peer = await joined
  console.log('met')
  const packet = await room.emit('news', new Map([['from', 'second']]))
  assert.match(packet.id, /^[0-9a-f]{64}$/)
  let news = await published.next()
  if (news.value?.packet.author === socket.peerId) news = await published.next()
  assert.equal(news.value?.value, 'from the first')
  console.log('published')
  assert.equal(await peer.request('add', { a: 20, b: 22 }), 42)
  console.log('requested')
  const stream = await peer.openStream('echo')
  const bytes = Uint8Array.from({ length: STREAM_BYTES }, (_, i) => i % 251)
  const sending = new Blob([bytes]).stream().pipeTo(stream.writable)
  const echoed = await new Response(stream.readable).arrayBuffer()
  await sending
  assert.equal(Buffer.compare(new Uint8Array(echoed), bytes), 0)
  console.log('streamed')
}
await socket.close()
console.log('closed')

import { createInterface } from 'node:readline'
import { Encryption, network } from '../src/index.ts'
import { digest, PRIVATE_TEXT, picture, TEXTS } from './demo-words.ts'

/**
 * A member in the demo: an app of a few lines over the library. Alice meets Bob, then writes and leaves;
 * Bob reads what comes until he is told to leave. Prints JSON lines, obeys lines of its input.
 *
 * demo-member.ts <alice|bob> <secret> <ticket of Carol> <storage folder>
 */
type Talk = { events: { text: string; picture: Uint8Array; private: string } }

const [, , name, secret = '', ticket = '', storage = ''] = process.argv

const socket = await network({
  clusterId: await Encryption.createClusterId('latica-demo'),
  peers: [ticket],
  lan: false,
  portMapping: false,
  storage,
})
const sharedKey = await Encryption.createSharedKey(secret)
const room = await socket.subcluster<Talk>({ sharedKey })
const tell = (type: string, fields: object = {}) =>
  console.log(JSON.stringify({ type, at: Date.now(), ...fields }))
socket.on('#connection', ({ peerId }) => tell('connection', { peerId }))
tell('up', { peerId: socket.peerId })
if (name === 'bob') {
  room.on('text', (text, { author, via, gap }) => tell('text', { text, author, via, gap }))
  room.on('private', (text, { author, via }) => tell('private', { text, author, via }))
  room.on('picture', (bytes, { author, via }) =>
    tell('picture', { sizeBytes: bytes.length, sha256: digest(bytes), author, via }),
  )
}
room.on('#join', async (peer) => {
  tell('join', { peerId: peer.peerId })
  if (name === 'alice') await peer.emit('private', 'hello')
})
room.on('#leave', ({ peerId }, why) => tell('leave', { peerId, why }))
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'leave') break
  // `write <peerId of Bob>`
  const bob = room.peer(line.slice('write '.length))
  for (const text of TEXTS) {
    await room.emit('text', text)
    tell('kept', { text })
  }
  await room.emit('picture', picture())
  tell('kept', { text: 'the picture' })
  await bob.emit('private', PRIVATE_TEXT)
  tell('written')
}
process.stdin.destroy()
await socket.close()
tell('closed')

// biome-ignore-all format: the programme of DESIGN and README, line for line.
// biome-ignore-all lint/correctness/noUnusedFunctionParameters: it shows what a listener is given.
// biome-ignore-all assist/source/organizeImports: see above.
import { network, Encryption } from 'latica'

// Create these once, keep them, and read them back on the next start.
const signingKeys = await Encryption.createKeyPair()                       // Ed25519
const peerId = await Encryption.createId(signingKeys.publicKey)            // 64 hex digits
const clusterId = await Encryption.createClusterId('my-app')               // 32 bytes
const sharedKey = await Encryption.createSharedKey('a long secret')        // 32 bytes

const socket = await network({ peerId, clusterId, signingKeys })
const greetings = await socket.subcluster({ sharedKey })

greetings.on('#join', (peer) => {                      // a member is connected
  peer.on('hello', (value, packet) => console.log(peer.peerId, value))   // only from this peer
  peer.emit('hello', { text: 'hi, just you' })         // direct: sealed, reliable, acknowledged
})
greetings.on('news', (value, packet) => console.log(packet.author, value))
await greetings.emit('news', { text: 'hi, everyone, now or later' })     // published: kept for the offline

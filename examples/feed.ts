/**
 * A feed that needs nobody at the same time: what was posted while you were away comes when you return,
 * from whoever kept it. `node feed.ts` reads, `node feed.ts "hello"` posts and ends. Ctrl-C ends it.
 */
import { setTimeout } from 'node:timers/promises'
import { Encryption, network } from 'latica'

type Feed = { events: { post: { text: string } } }

const text = process.argv[2]
const socket = await network({ clusterId: await Encryption.createClusterId('latica-feed') })
const sharedKey = await Encryption.createSharedKey('the feed of the examples')
const feed = await socket.subcluster<Feed>({ sharedKey })

if (text !== undefined) {
  // Without a peer it stays in our own storage, and goes out the next time that we run.
  await Promise.race([socket.ready, setTimeout(5_000, undefined, { ref: false })])
  const { id } = await feed.emit('post', { text })
  console.log(`posted ${id}`)
  await socket.close()
} else {
  process.once('SIGINT', () => void socket.close())
  const since = Date.now() - 24 * 3_600_000
  // The last day, those of earlier runs included, then what comes; nothing twice.
  for await (const { value, packet } of feed.events('post', { since }))
    console.log(`${new Date(packet.timestamp).toISOString()} ${packet.author}: ${value.text}`)
}

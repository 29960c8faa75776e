/**
 * Typed members, presence and requests: who is here, and what do they think? Run it in two terminals:
 * each asks everyone who comes, and answers when it is asked. Ctrl-C ends it.
 */
import { hostname } from 'node:os'
import { Encryption, network } from 'latica'

type Poll = {
  presence: { name: string }
  rpc: { vote(question: string): boolean }
}

const socket = await network({ clusterId: await Encryption.createClusterId('latica-poll') })
const sharedKey = await Encryption.createSharedKey('the poll of the examples')
const room = await socket.subcluster<Poll>({ sharedKey })

room.presence.set({ name: `${hostname()} ${process.pid}` })
room.on('#presence', (peer, presence) => {
  if (presence !== undefined) console.log(`${presence.name} is here, ${peer.path}`)
})

// What the function throws, the one who asked gets. `peer` is proved: nobody can ask in its name.
room.handle('vote', (question, { peer }) => {
  console.log(`${peer.presence?.name ?? peer.peerId} asks: ${question}`)
  return question.length % 2 === 0
})

room.on('#join', async (peer) => {
  const isFor = await peer.request('vote', 'shall we?', { timeout: 5_000 })
  console.log(`${peer.presence?.name ?? peer.peerId} says ${isFor ? 'yes' : 'no'}`)
  // Everyone at once: the first answer ends the loop, and the others need not answer any more.
  for await (const { ok } of room.requestMany('vote', 'shall we all?', { quorum: 1 }))
    console.log(ok ? 'somebody answered' : 'somebody did not')
})

process.once('SIGINT', () => void socket.close())

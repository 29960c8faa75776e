import { createInterface } from 'node:readline'
import { Encryption, LaticaError, network, type RemotePeer } from 'latica'

/**
 * The programme that tests run as a process: one peer, and one member of a subcluster when it is given
 * a secret. It tells what happens and is told what to do, as lines of JSON.
 */
const { cluster = 'latica-test', secret, ...options } = JSON.parse(process.argv[2] ?? '{}')
const clusterId = await Encryption.createClusterId(cluster)

function tell(type: string, fields: object = {}): void {
  console.log(JSON.stringify({ type, ...fields }))
}

const socket = await network({ portMapping: false, ...options, clusterId }).catch(
  (error: unknown) => {
    const { name, message } = error as Error
    const { code, help } = error instanceof LaticaError ? error : {}
    tell('refused', { name, message, code, help })
    process.exit(1)
  },
)
socket.on('#error', (error) => {
  const { message, code, help } = error as LaticaError
  tell('error', { message, code, help })
})
socket.on('#connection', ({ peerId, path }) => tell('connection', { peer: peerId, path }))
socket.on('#disconnection', ({ peerId }, why) => tell('disconnection', { peer: peerId, why }))
const local = socket.info().local
const hosts = local.map(({ host }) => host)
tell('up', { peer: socket.peerId, port: local[0]?.port, hosts, user: process.getuid?.() })

/** When numbered messages came, by author, in milliseconds of this process. */
const arrivals: { peer: string; number: number; at: number }[] = []
const paths = new Map<RemotePeer, string>()
let sent = 0
let acknowledged = 0
let timer: NodeJS.Timeout | undefined

const room =
  secret === undefined
    ? undefined
    : await socket.subcluster({ sharedKey: await Encryption.createSharedKey(secret) })
room?.on('#join', (peer) => {
  paths.set(peer, '')
  tell('join', { peer: peer.peerId })
  peer.on('number', (number) => {
    arrivals.push({ peer: peer.peerId, number, at: performance.now() })
  })
})
room?.on('#leave', (peer, why) => {
  paths.delete(peer)
  tell('leave', { peer: peer.peerId, why })
})
room?.on('text', (text, { author, via }) => tell('text', { text, peer: author, via }))
room?.handle('echo', (value) => value)
setInterval(tellPaths, 20).unref()

for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...fields } = JSON.parse(line)
  if (command === 'close') break
  await obey(command, fields)
}
// From here on nothing of ours may keep the process alive.
clearInterval(timer)
process.stdin.destroy()
await socket.close()

async function obey(command: string, fields: { text: string; everyMs: number }): Promise<void> {
  switch (command) {
    case 'say':
      // Whoever comes while we wait is not meant.
      for (const peer of [...(room?.peers.values() ?? [])]) await peer.emit('text', fields.text)
      return tell('said')
    case 'publish':
      await room?.emit('text', fields.text)
      return tell('published')
    case 'number':
      return sendNumbers(fields.everyMs)
    case 'stop':
      return clearInterval(timer)
    case 'count':
      tell('count', { sent, acknowledged, arrivals })
  }
}

function sendNumbers(everyMs: number): void {
  timer = setInterval(() => {
    for (const peer of room?.peers.values() ?? []) {
      void peer.emit('number', sent++).then(() => acknowledged++)
    }
  }, everyMs)
}

function tellPaths(): void {
  for (const [peer, before] of paths) {
    const { path } = peer
    if (path === undefined || path === before) continue
    paths.set(peer, path)
    tell('path', { peer: peer.peerId, path })
  }
}

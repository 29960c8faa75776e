import { createInterface } from 'node:readline'
import { Encryption, network, type Socket, type Subcluster } from 'latica'

/**
 * The programme that is a share of a crowd: several peers of one subcluster in one process, which
 * publish when they are told to and count what each of them got. They know the address of one peer:
 * the one at the port given, or the first of their own. Run with --expose-gc.
 */
const { share, crowd, publishes, known } = JSON.parse(process.argv[2] ?? '{}')
const clusterId = await Encryption.createClusterId('latica-test-crowd')
const sharedKey = await Encryption.createSharedKey('crowd')

interface Member {
  readonly socket: Socket
  readonly room: Subcluster
  /** By `author number`: how often it came. */
  readonly got: Map<string, number>
}

function tell(type: string, fields: object = {}): void {
  console.log(JSON.stringify({ type, ...fields }))
}

async function make(): Promise<Member> {
  const host = '127.0.0.1'
  const port = known ?? members[0]?.socket.address()?.port
  const peers = port === undefined ? [] : [`${host}:${port}`]
  const socket = await network({ clusterId, host, peers, storage: false, lan: false })
  const room = await socket.subcluster({ sharedKey })
  const got = new Map<string, number>()
  const member = { socket, room, got }
  room.on('#join', () => tellWhen('connected', ({ room }) => room.peers.size === crowd - 1))
  room.on('number', (number, { author }) => {
    if (author === socket.peerId) return
    const key = `${author} ${number}`
    got.set(key, (got.get(key) ?? 0) + 1)
    tellWhen('delivered', ({ got }) => got.size === (crowd - 1) * publishes)
  })
  socket.on('#error', (error) => tell('error', { message: String(error) }))
  return member
}

function tellWhen(type: string, isSo: (member: Member) => boolean): void {
  if (members.length === share && members.every(isSo)) tell(type)
}

/** What is in use, and what the process has of the machine. */
function memory(): readonly [usedBytes: number, residentBytes: number] {
  globalThis.gc?.()
  const { heapUsed, external, rss } = process.memoryUsage()
  return [heapUsed + external, rss]
}

const members: Member[] = []
const before = memory()
for (let i = 0; i < share; i++) members.push(await make())
tell('up', { port: members[0]?.socket.address()?.port })
tellWhen('connected', ({ room }) => room.peers.size === crowd - 1)

for await (const line of createInterface({ input: process.stdin })) {
  const { command } = JSON.parse(line)
  if (command === 'publish') {
    await Promise.all(
      members.map(async ({ room }) => {
        for (let number = 0; number < publishes; number++) await room.emit('number', number)
      }),
    )
    tell('published')
  } else if (command === 'report') {
    tell('report', {
      bytesPerPeer: memory().map((bytes, i) => (bytes - (before[i] ?? 0)) / share),
      members: members.map(({ socket, room, got }) => ({
        peer: socket.peerId,
        connected: [...room.peers.keys()],
        got: [...got],
      })),
    })
  }
}

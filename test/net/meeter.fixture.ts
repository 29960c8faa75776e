import { createInterface } from 'node:readline'
import { Encryption, network, type RemotePeer, type Socket } from 'latica'

/**
 * The programme of one host in the NAT lab: on command it becomes a fresh peer, meets another one, and
 * tells when the first question was answered and when the path was direct; sends numbers, and tells
 * which came when.
 */
const clusterId = await Encryption.createClusterId('nat-matrix')
const sharedKey = await Encryption.createSharedKey('nat matrix')
/** How often a path is looked at. */
const LOOK_MS = 2
/** So long is waited for somebody who was never met. */
const MET_MS = 8_000

let socket: Socket | undefined
let members: ReadonlyMap<string, RemotePeer> = new Map()
let sent = 0
const failures: string[] = []
let flow: NodeJS.Timeout | undefined

for await (const line of createInterface({ input: process.stdin })) {
  const { command, peers = [], peer = '', watchMs = 0, everyMs = 0, lan = false } = JSON.parse(line)
  if (command === 'up') await up(peers, lan)
  else if (command === 'meet') void meet(peer, watchMs)
  else if (command === 'look') look(peer)
  else if (command === 'say') say(peer)
  else if (command === 'flow') flow = setInterval(() => say(peer), everyMs)
  else if (command === 'hush') hush()
  else if (command === 'down') await down()
}
await down()

async function up(peers: string[], lan: boolean): Promise<void> {
  const startedAt = performance.now()
  // What the last peer could not send any more when it closed is not this one's failure.
  sent = 0
  failures.length = 0
  socket = await network({ clusterId, peers, lan, storage: false, portMapping: false })
  const room = await socket.subcluster({ sharedKey })
  room.handle('echo', (value) => value)
  room.on('number', (number, { author }) => tell('heard', { number, author, at: Date.now() }))
  members = room.peers
  if (peers.length > 0) await new Promise<void>((done) => socket?.once('#connection', () => done()))
  const onlineMs = performance.now() - startedAt
  tell('up', { peer: socket.peerId, port: socket.info().local[0]?.port, onlineMs })
}

async function meet(peerId: string, watchMs: number): Promise<void> {
  const startedAt = performance.now()
  const elapsedMs = () => performance.now() - startedAt
  void socket?.connect(peerId).catch(() => {})
  let answer: Promise<object> | undefined
  for (;;) {
    const member = members.get(peerId)
    const isDirect = member?.path === 'direct' || member?.path === 'lan'
    const [path, ms] = [member?.path, isDirect ? elapsedMs() : undefined]
    answer ??= member && ask(member, elapsedMs)
    const isOver = elapsedMs() > (answer === undefined ? Math.max(watchMs, MET_MS) : watchMs)
    if (isDirect || isOver) {
      const answered = await answer
      return tell('met', { peer: peerId, path, ms, relay: relayOf(peerId), ...answered })
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
}

async function ask(member: RemotePeer, elapsedMs: () => number): Promise<object> {
  const via = member.path
  try {
    await member.request('echo', 'there?', { timeout: 5_000 })
    return { answeredMs: elapsedMs(), via }
  } catch (error) {
    return { unanswered: String(error) }
  }
}

function look(peerId: string): void {
  const member = members.get(peerId)
  tell('look', { path: member?.path, relay: relayOf(peerId), nat: socket?.info().nat })
}

function say(peerId: string): void {
  const number = sent++
  const member = members.get(peerId)
  if (member === undefined) failures.push(`${number}: nobody there`)
  else member.emit('number', number).catch((error: unknown) => failures.push(`${number}: ${error}`))
}

function hush(): void {
  clearInterval(flow)
  tell('hush', { sent, failures })
}

function relayOf(peerId: string): string | undefined {
  return socket?.peers.get(peerId)?.relay
}

async function down(): Promise<void> {
  clearInterval(flow)
  await socket?.close()
  socket = undefined
  tell('down')
}

function tell(type: string, fields: object = {}): void {
  console.log(JSON.stringify({ type, ...fields }))
}

import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { StoredRecord } from '../core/io.ts'
import type { Storage } from '../driver/ports.ts'
import { Encryption } from './encryption.ts'
import { LaticaError } from './errors.ts'
import { network } from './node-network.ts'
import type { NetworkOptions } from './options.ts'
import type { RemotePeer, Socket, Subcluster } from './types.ts'

const clusterId = await Encryption.createClusterId('node-network.test')
/** Real processes and sockets: a hang is a failure, not a wait. */
const LIMIT = { timeout: 15_000 }
const sharedKey = await Encryption.createSharedKey('node-network.test')

async function open(t: TestContext, options: Partial<NetworkOptions> = {}): Promise<Socket> {
  const socket = await network({
    clusterId,
    lan: false,
    host: '127.0.0.1',
    storage: false,
    ...options,
  })
  t.after(() => socket.close())
  return socket
}

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'latica-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  return path
}

function portOf(socket: Socket): number {
  const port = socket.address()?.port
  assert.ok(port)
  return port
}

function joined(room: Subcluster): Promise<RemotePeer> {
  return new Promise((resolve) => room.once('#join', resolve))
}

function hasCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof Error && 'code' in error && error.code === code
}

/** Two members of one subcluster, over UDP on loopback. */
async function pair(t: TestContext) {
  const a = await open(t)
  const b = await open(t, { peers: [a.ticket()] })
  const [roomA, roomB] = await Promise.all([
    a.subcluster({ sharedKey }),
    b.subcluster({ sharedKey }),
  ])
  const [seenByA, seenByB] = await Promise.all([joined(roomA), joined(roomB)])
  return { a, b, roomA, roomB, seenByA, seenByB }
}

test('two peers that are given a ticket meet, and talk in every way there is', LIMIT, async (t) => {
  const { a, b, roomA, roomB, seenByA, seenByB } = await pair(t)
  assert.equal(seenByA.peerId, b.peerId)
  assert.equal((await b.ready).state, 'online')

  const value = {
    text: 'hi',
    at: new Date(5),
    map: new Map([[1n, undefined]]),
    bytes: Uint8Array.of(1),
  }
  const heard = new Promise((resolve) => {
    seenByB.on('hello', (got, packet) => resolve([got, packet.author, packet.via]))
  })
  await seenByA.emit('hello', value)
  assert.deepEqual(await heard, [value, a.peerId, 'direct'])

  const news = new Promise((resolve) => {
    roomA.on('news', (got, packet) => resolve([got, packet.author, packet.id]))
  })
  const packet = await roomB.emit('news', 'published')
  assert.equal(packet.via, 'self')
  assert.deepEqual(await news, ['published', b.peerId, packet.id])

  const live = roomA.events('live')
  await roomB.emit('live', 1, { delivery: 'live' })
  assert.equal((await live.next()).value?.value, 1)

  roomB.handle('double', (x: number) => 2 * x)
  assert.equal(await seenByA.request('double', 21), 42)
  await assert.rejects(seenByA.request('nope', 1), hasCode('ENOHANDLER'))

  const shown = new Promise((resolve) => roomB.on('#presence', (_, state) => resolve(state)))
  roomA.presence.set({ name: 'a' })
  assert.deepEqual(await shown, { name: 'a' })

  const left = new Promise((resolve) => roomB.on('#leave', (_, why) => resolve(why)))
  await a.close()
  assert.equal(await left, 'closed')
})

test('a stream carries bytes both ways and ends', LIMIT, async (t) => {
  const { roomB, seenByA } = await pair(t)
  roomB.on('#stream', async (stream) => {
    assert.equal(stream.name, 'echo')
    await stream.readable.pipeTo(stream.writable)
  })
  const stream = await seenByA.openStream('echo')
  const bytes = Uint8Array.from({ length: 3_000_000 }, (_, i) => i % 251)
  const sending = new Blob([bytes]).stream().pipeTo(stream.writable)
  const echoed = new Uint8Array(await new Response(stream.readable).arrayBuffer())
  await sending
  await stream.closed
  assert.equal(Buffer.compare(echoed, bytes), 0)
})

test('a reader that does not read holds the writer back', LIMIT, async (t) => {
  const { roomB, seenByA } = await pair(t)
  const arrived = new Promise<ReadableStream<Uint8Array>>((resolve) => {
    roomB.on('#stream', ({ readable }) => resolve(readable))
  })
  const { writable } = await seenByA.openStream('slow')
  const writer = writable.getWriter()
  const sizeBytes = 32 * 1_048_576
  let isWritten = false
  const writing = writer.write(new Uint8Array(sizeBytes)).then(() => {
    isWritten = true
    return writer.close()
  })
  const readable = await arrived
  // Nothing more can happen: what is in flight on loopback settles within a few round trips.
  for (let i = 0; i < 5; i++) await seenByA.request('none', 1).catch(() => {})
  assert.equal(isWritten, false)
  let readBytes = 0
  for await (const chunk of readable) readBytes += chunk.length
  await writing
  assert.equal(readBytes, sizeBytes)
})

test('the largest message arrives, and a value beyond it is refused at once', LIMIT, async (t) => {
  const { seenByA, roomB } = await pair(t)
  const got = new Promise<Uint8Array>((resolve) => roomB.on('big', resolve))
  const big = new Uint8Array(1_000_000).fill(7)
  await seenByA.emit('big', big)
  assert.deepEqual(await got, big)
  assert.throws(() => seenByA.emit('big', new Uint8Array(1_048_577)), hasCode('ETOOBIG'))
})

test(
  'without keys an identity is made once and kept; so are the port and the peers met',
  LIMIT,
  async (t) => {
    const storage = await folder(t)
    const other = await open(t)
    const first = await network({
      clusterId,
      storage,
      host: '127.0.0.1',
      lan: false,
      peers: [other.ticket()],
    })
    await first.ready
    const port = portOf(first)
    await first.close()
    const second = await open(t, { storage })
    assert.equal(second.peerId, first.peerId)
    assert.equal(portOf(second), port)
    assert.deepEqual([...(await second.ready.then(() => second.peers)).keys()], [other.peerId])
  },
)

test('a peerId that is not that of the stored keys is refused', LIMIT, async (t) => {
  const storage = await folder(t)
  const peerId = '00'.repeat(32)
  await assert.rejects(network({ clusterId, storage, peerId }), hasCode('EBADPEERID'))
  const stored = await open(t, { storage })
  assert.notEqual(stored.peerId, peerId)
})

test('without `storage`, each process of a user gets a folder of its own', LIMIT, async (t) => {
  const home = await folder(t)
  const before = process.env['XDG_STATE_HOME']
  process.env['XDG_STATE_HOME'] = home
  t.after(() => {
    if (before === undefined) delete process.env['XDG_STATE_HOME']
    else process.env['XDG_STATE_HOME'] = before
  })
  const options = { clusterId, lan: false, host: '127.0.0.1' }
  const [a, b] = [await network(options), await network(options)]
  assert.notEqual(a.peerId, b.peerId)
  await Promise.all([a.close(), b.close()])
  const again = await network(options)
  assert.equal(again.peerId, a.peerId)
  await again.close()
  assert.equal((await readdir(join(home, 'latica'))).length, 1)
})

test('a storage of the programme itself is loaded, written and closed', LIMIT, async (t) => {
  const records = new Map<string, Uint8Array>()
  let isClosed = false
  const storage: Storage = {
    load: (prefix) => {
      const found: StoredRecord[] = []
      for (const [key, value] of records) if (key.startsWith(prefix)) found.push({ key, value })
      return found
    },
    write: (key, value) => {
      if (value === undefined) records.delete(key)
      else records.set(key, value)
    },
    close: () => {
      isClosed = true
    },
  }
  const socket = await open(t, { storage })
  assert.ok(records.has('identity') && records.has('port'))
  await socket.close()
  assert.equal(isClosed, true)
  records.set('identity', new Uint8Array(5))
  await assert.rejects(network({ clusterId, storage }), hasCode('ESTORAGE'))
})

test('a damaged store is set aside, and #error says so', LIMIT, async (t) => {
  const storage = join(await folder(t), 'store')
  const first = await network({ clusterId, storage, host: '127.0.0.1', lan: false })
  await first.close()
  for (const name of await readdir(storage))
    if (name.startsWith('MANIFEST')) await writeFile(join(storage, name), 'damaged')
  const second = await open(t, { storage })
  const error = await new Promise((resolve) => second.on('#error', resolve))
  assert.ok(error instanceof LaticaError)
  assert.match(error.message, /set aside in .*store\.corrupt-1/)
})

test(
  'what the machine refuses rejects with a code and help, and lets go of everything',
  LIMIT,
  async (t) => {
    const storage = await folder(t)
    const taken = createSocket('udp4').bind(0, '127.0.0.1')
    t.after(() => taken.close())
    await once(taken, 'listening')
    const { port } = taken.address()
    const isRefusal = (code: string) => (error: unknown) =>
      error instanceof LaticaError && error.code === code && error.help !== ''
    const options = { clusterId, storage, host: '127.0.0.1', lan: false }
    await assert.rejects(network({ ...options, port }), isRefusal('EADDRINUSE'))
    const first = await open(t, { storage })
    await assert.rejects(network(options), isRefusal('ELOCKED'))
    await first.close()
    const mismatched = {
      publicKey: new Uint8Array(32),
      privateKey: new Uint8Array(64),
    }
    await assert.rejects(network({ ...options, signingKeys: mismatched }), isRefusal('EBADKEY'))
    const again = await network(options)
    await again.close()
  },
)

test('peers may be given by name; a name that leads nowhere stops nobody', LIMIT, async (t) => {
  const a = await open(t)
  const b = await open(t, { peers: ['nowhere.invalid:9', `localhost:${portOf(a)}`] })
  await b.ready
  assert.deepEqual([...b.peers.keys()], [a.peerId])
  await assert.rejects(b.addPeer('nowhere.invalid:9'), hasCode('EBADADDRESS'))
})

test('the signal ends the start, or the socket', LIMIT, async (t) => {
  const stop = new AbortController()
  const socket = await open(t, { signal: stop.signal })
  const closed = new Promise((resolve) => socket.on('#state', resolve))
  stop.abort()
  assert.equal(await closed, 'closed')
  await assert.rejects(open(t, { signal: stop.signal }), hasCode('EABORTED'))
})

test('connect finds a peer by its id through a peer that both know', LIMIT, async (t) => {
  const hub = await open(t)
  const a = await open(t, { peers: [hub.ticket()] })
  const b = await open(t, { peers: [hub.ticket()] })
  await Promise.all([a.ready, b.ready])
  assert.equal((await a.connect(b.peerId, { timeout: 5_000 })).peerId, b.peerId)
})

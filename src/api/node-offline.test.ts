import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Encryption } from './encryption.ts'
import { network } from './node-network.ts'
import type { NetworkOptions } from './options.ts'
import { hasCode } from './scripted-host.fixture.ts'
import type { Socket } from './types.ts'

/** Peers over UDP on loopback, of which two are never there at the same time. */

const LIMIT = { timeout: 60_000 }
const DAY_MS = 86_400_000
const clusterId = await Encryption.createClusterId('node-offline.test')
const sharedKey = await Encryption.createSharedKey('node-offline.test')

async function open(t: TestContext, options: Partial<NetworkOptions> = {}): Promise<Socket> {
  const local = { lan: false, portMapping: false, host: '127.0.0.1', storage: false } as const
  const socket = await network({ clusterId, ...local, ...options })
  t.after(() => socket.close())
  return socket
}

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'latica-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  return path
}

/** A stranger who stays: of another app, without the key. */
async function stranger(t: TestContext): Promise<Partial<NetworkOptions>> {
  const hub = await open(t, { clusterId: await Encryption.createClusterId('another app') })
  return { peers: [hub.ticket()] }
}

async function take<T>(loop: AsyncIterable<T>, count: number): Promise<T[]> {
  const items: T[] = []
  for await (const item of loop) if (items.push(item) === count) break
  return items
}

test(
  'what was written while we were away is read from a stranger, once, and again from history',
  LIMIT,
  async (t) => {
    const known = await stranger(t)
    const bobsFolder = await folder(t)
    const before = await open(t, { ...known, storage: bobsFolder })
    const bobsId = before.peerId
    await before.close()

    const alice = await open(t, known)
    await alice.ready
    const hers = await alice.subcluster({ sharedKey })
    const ids: string[] = []
    for (const n of [1, 2, 3]) ids.push((await hers.emit('news', n)).id)
    const letter = await hers.peer(bobsId).emit('word', 'for you alone')
    assert.match(letter.id ?? '', /^[0-9a-f]{64}$/, 'it is kept, not delivered')
    await alice.close()

    const bob = await open(t, { ...known, storage: bobsFolder })
    const his = await bob.subcluster({ sharedKey })
    const word = take(his.events('word'), 1)
    const news = await take(his.events('news', { since: 0 }), 3)
    assert.deepEqual(
      news.map(({ value, packet }) => [value, packet.id, packet.author, packet.via, packet.gap]),
      ids.map((id, i) => [i + 1, id, alice.peerId, 'cache', false]),
    )
    const [kept] = await word
    assert.deepEqual([kept?.value, kept?.packet.author], ['for you alone', alice.peerId])
    assert.deepEqual([kept?.packet.via, kept?.packet.id], ['cache', letter.id])
    assert.equal(his.peers.size, 0)
    await bob.close()

    const again = await open(t, { ...known, storage: bobsFolder })
    const room = await again.subcluster({ sharedKey })
    const values: unknown[] = []
    for await (const { value } of room.history({ event: 'news' })) values.push(value)
    assert.deepEqual(values, [1, 2, 3], 'also what an earlier run received')
  },
)

test(
  'a newcomer with an exported key reads and writes; a day that was forgotten gives no key',
  LIMIT,
  async (t) => {
    const known = await stranger(t)
    const [alice, bob] = [await open(t, known), await open(t, known)]
    const hers = await alice.subcluster({ sharedKey })
    const exported = await hers.key()
    assert.equal(exported.length, 69)
    const his = await bob.subcluster({ sharedKey: exported })
    const [toHer, toHim] = [take(hers.events('n'), 1), take(his.events('n'), 1)]
    await Promise.all([hers.emit('n', 'from her'), his.emit('n', 'from him')])
    assert.deepEqual([(await toHer)[0]?.value, (await toHim)[0]?.value], ['from him', 'from her'])
    assert.throws(() => alice.subcluster({ sharedKey: exported }), hasCode('EEXISTS'))
    assert.equal((await hers.key({ since: Date.now() - 9 * DAY_MS })).length, 69)
    await assert.rejects(his.key({ since: Date.now() - 2 * DAY_MS }), hasCode('EFORGOTTEN'))
    await hers.forget({ before: Date.now() - DAY_MS })
    await assert.rejects(hers.key({ since: Date.now() - 2 * DAY_MS }), hasCode('EFORGOTTEN'))
    assert.equal((await hers.key()).length, 69)
  },
)

test(
  'a value of many megabytes arrives from a stranger, and progress tells how far it is',
  LIMIT,
  async (t) => {
    const hub = await open(t, { cacheBytes: 64 * 1024 * 1024 })
    const known = { peers: [hub.ticket()] }
    const alice = await open(t, known)
    await alice.ready
    const hers = await alice.subcluster({ sharedKey })
    const film = Uint8Array.from({ length: 8_000_000 }, (_, i) => (i * 7 + (i >> 8)) % 251)
    const { id } = await hers.emit('film', film)
    await alice.close()
    const bob = await open(t, known)
    const his = await bob.subcluster({ sharedKey })
    const seen: number[] = []
    his.on('#progress', ({ packetId, author, event, receivedBytes, totalBytes }) => {
      assert.deepEqual([packetId, author, event], [id, alice.peerId, 'film'])
      assert.ok(receivedBytes <= totalBytes && totalBytes >= film.length)
      seen.push(receivedBytes / totalBytes)
    })
    const [got] = await take(his.events('film'), 1)
    assert.equal(Buffer.compare(got?.value, film), 0)
    assert.ok(seen.length > 1 && seen.at(-1) === 1, 'told on the way and at the end')
    assert.deepEqual(
      seen,
      seen.toSorted((a, b) => a - b),
    )
  },
)

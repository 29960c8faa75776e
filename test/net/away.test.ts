import assert from 'node:assert/strict'
import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { openStorage } from '../../src/node/storage.ts'
import { Process } from './process.fixture.ts'
import { Workspace } from './workspace.fixture.ts'

/**
 * Real processes over loopback: Alice writes and leaves, Bob comes when she is gone, and only Carol was
 * there in between, of another app and without the secret.
 */
const LIMIT = { timeout: 240_000 }
const SECRET = 'the secret of Alice and Bob'
/** Stands in every text. */
const PLAIN = 'nobody-but-Bob-reads-this'
const TEXTS = 1_000
const TEXT_BYTES = 500
const BLOBS = 20
const BLOB_BYTES = 1_048_576
const ALL = TEXTS + BLOBS
/** What Alice writes is 22 MB sealed, more than the 16 that a peer keeps by default. */
const CACHE_BYTES = 48 * 1_048_576
const LOOPBACK = { host: '127.0.0.1' }

class Place {
  readonly #t: TestContext
  readonly #workspace: Workspace
  readonly #program: string

  constructor(t: TestContext) {
    this.#t = t
    this.#workspace = new Workspace(t, 'linked')
    this.#program = this.#workspace.program(new URL('away.fixture.ts', import.meta.url))
  }

  folder(name: string): string {
    return join(this.#workspace.path, name)
  }

  start(name: string, options: object): Process {
    const words = [this.#program, JSON.stringify({ ...LOOPBACK, ...options })]
    return new Process(this.#t, name, [process.execPath, ...words], {
      env: this.#workspace.environment(name),
    })
  }

  carol(): Process {
    const cluster = 'of another app'
    return this.start('carol', {
      cluster,
      storage: this.folder('carol-store'),
      cacheBytes: CACHE_BYTES,
    })
  }

  member(name: string, ticket: string, storage = this.folder(`${name}-store`), options = {}) {
    return this.start(name, { secret: SECRET, peers: [ticket], storage, ...options })
  }
}

function writeAll(alice: Process): void {
  const texts = { texts: TEXTS, textBytes: TEXT_BYTES, text: PLAIN }
  alice.command('write', { ...texts, blobs: BLOBS, blobBytes: BLOB_BYTES })
}

async function readAll(bob: Process): Promise<number> {
  bob.command('expect', { count: ALL })
  const { isInOrder, gaps, bytes, ms } = await bob.tells('read')
  assert.ok(isInOrder, 'everything came once, in the order in which it was written')
  assert.equal(gaps, 0)
  assert.equal(bytes, TEXTS * TEXT_BYTES + BLOBS * BLOB_BYTES)
  return ms
}

test(
  'what Alice wrote is read by Bob when she is gone, from Carol, who cannot read it',
  LIMIT,
  async (t) => {
    const place = new Place(t)
    const carol = place.carol()
    const { ticket } = await carol.tells('up')
    const alice = place.member('alice', ticket)
    const { peer: author } = await alice.tells('up')
    writeAll(alice)
    const { ms: writtenMs } = await alice.tells('written')
    alice.command('close')
    assert.equal(await alice.exit(), 0)

    const bob = place.member('bob', ticket)
    const readMs = await readAll(bob)
    t.diagnostic(
      `written and kept after ${Math.round(writtenMs)} ms, read ${Math.round(readMs)} ms after Bob's start`,
    )

    await t.test(
      'there is no plaintext in the memory of Carol, and there is in that of Bob',
      () => {
        assert.ok(memoryHas(bob.pid, PLAIN), 'the search finds what is there')
        assert.ok(!memoryHas(carol.pid, PLAIN))
      },
    )

    bob.command('close')
    await bob.exit()
    await t.test('Bob started again reads it as history, and is told nothing twice', async () => {
      const again = place.member('bob', ticket)
      await again.tells('up')
      const { numbers } = await again.ask('history', 'history')
      assert.deepEqual(
        numbers,
        Array.from({ length: ALL }, (_, i) => i),
      )
      const { counters } = await again.ask('stats', 'stats')
      assert.ok(counters.packetsKept >= ALL)
      again.command('expect', { count: 1 })
      again.command('close')
      await again.exit()
      assert.ok(!again.told.some(({ type }) => type === 'read'))
    })

    await t.test('with his store wiped, Bob reads it all again', async () => {
      const again = place.member('bob', ticket, place.folder('bob-wiped'))
      const ms = await readAll(again)
      t.diagnostic(`after ${Math.round(ms)} ms with a fresh store`)
      again.command('close')
      await again.exit()
    })

    carol.command('close')
    await carol.exit()
    await t.test(
      "on Carol's disk is no plaintext, and nothing ties a packet to its author",
      async () => {
        const folder = place.folder('carol-store')
        for (const name of readdirSync(folder))
          assert.ok(!readFileSync(join(folder, name)).includes(PLAIN), name)
        const storage = await openStorage(folder)
        const records = [...(await storage.load('packet/')), ...(await storage.load('leaf/'))]
        await storage.close()
        assert.ok(records.length > ALL)
        const key = Buffer.from(author, 'hex')
        for (const { key: name, value } of records) {
          assert.ok(!name.includes(author))
          assert.ok(Buffer.from(value).indexOf(key) === -1 && !Buffer.from(value).includes(author))
        }
      },
    )

    await t.test('Carol started again gives it all to another who comes', async () => {
      const again = place.carol()
      const { ticket: same } = await again.tells('up')
      const dora = place.member('dora', same)
      const ms = await readAll(dora)
      t.diagnostic(`after ${Math.round(ms)} ms from a Carol that was started again`)
    })
  },
)

test(
  'Carol is killed while she receives: nothing that she acknowledged is lost',
  LIMIT,
  async (t) => {
    const place = new Place(t)
    const carol = place.carol()
    const { ticket } = await carol.tells('up')
    const alice = place.member('alice', ticket)
    await alice.tells('up')
    writeAll(alice)
    await alice.tells('kept', { count: 300 })
    await carol.kill()
    // What was kept until now was told by Carol, as nobody else is there.
    await alice.kill()
    const kept = alice.told.filter(({ type }) => type === 'kept').at(-1)?.numbers ?? []
    assert.ok(kept.length >= 300 && kept.length < ALL, `${kept.length}`)
    const { ticket: same } = await place.carol().tells('up')
    // Something that was not acknowledged may be missing between what was.
    const bob = place.member('bob', same, undefined, { order: 'causal' })
    bob.command('expect', { count: kept.length })
    const { numbers } = await bob.tells('read')
    const { numbers: inHistory } = await bob.ask('history', 'history')
    const read = new Set([...numbers, ...inHistory])
    assert.deepEqual(
      kept.filter((number: number) => !read.has(number)),
      [],
    )
  },
)

/** Looks for a text in the writable memory of a process of ours. */
function memoryHas(pid: number, text: string): boolean {
  const needle = Buffer.from(text)
  const memory = openSync(`/proc/${pid}/mem`, 'r')
  try {
    for (const line of readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')) {
      const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line) ?? []
      if (from === undefined || to === undefined) continue
      if (regionHas(memory, Number.parseInt(from, 16), Number.parseInt(to, 16), needle)) return true
    }
    return false
  } finally {
    closeSync(memory)
  }
}

function regionHas(memory: number, from: number, to: number, needle: Buffer): boolean {
  const step = 1 << 24
  for (let at = from; at < to; at += step) {
    const chunk = Buffer.alloc(Math.min(step + needle.length, to - at))
    try {
      const length = readSync(memory, chunk, 0, chunk.length, at)
      if (chunk.subarray(0, length).includes(needle)) return true
    } catch {
      // Regions of the kernel's cannot be read.
      return false
    }
  }
  return false
}

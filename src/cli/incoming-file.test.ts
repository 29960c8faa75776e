import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { loadCrypto } from '../api/provider.ts'
import { offerOf, partsOnDisk } from './file-parts.ts'
import { IncomingFile } from './incoming-file.ts'
import { temporaryFolder } from './process.fixture.ts'

const crypto = await loadCrypto()
const MEBIBYTE = 1_048_576
const CONTENT = Uint8Array.from({ length: 2 * MEBIBYTE + 100 }, (_, i) => (i * 7 + (i >> 16)) % 251)

async function offered(folder: string, name = 'a.bin', content: Uint8Array = CONTENT) {
  const path = join(folder, 'source', name)
  await mkdir(join(folder, 'source'), { recursive: true })
  await writeFile(path, content)
  const offer = await offerOf(crypto, path)
  const part = (index: number) => ({
    file: offer.file,
    index,
    bytes: content.slice(index * MEBIBYTE, (index + 1) * MEBIBYTE),
  })
  return { offer, part }
}

test('parts in any order become the file, and nothing else stays', async (t) => {
  const folder = temporaryFolder(t)
  const { offer, part } = await offered(folder)
  const inbox = temporaryFolder(t)
  const incoming = new IncomingFile(crypto, inbox, offer)
  await incoming.begin()
  assert.deepEqual(await readdir(inbox), [], 'nothing is made before something came')
  assert.equal(await incoming.take(part(2)), true)
  assert.equal(await incoming.take(part(2)), false)
  assert.equal(await incoming.take({ ...part(0), bytes: new Uint8Array(MEBIBYTE) }), false)
  assert.deepEqual([incoming.missing(10), incoming.missing(1)], [[0, 1], [0]])
  assert.equal(incoming.doneBytes, 100)
  assert.equal(await incoming.take(part(0)), true)
  assert.equal(incoming.path, undefined)
  assert.equal(await incoming.take(part(1)), true)
  assert.equal(incoming.path, join(inbox, 'a.bin'))
  assert.deepEqual(await readdir(inbox), ['a.bin'])
  assert.equal(Buffer.compare(await readFile(join(inbox, 'a.bin')), CONTENT), 0)
})

test('after a crash, what is on disk is found by its hashes, and damage is fetched again', async (t) => {
  const folder = temporaryFolder(t)
  const { offer, part } = await offered(folder)
  const inbox = temporaryFolder(t)
  const first = new IncomingFile(crypto, inbox, offer)
  await first.begin()
  for (const index of [0, 1]) await first.take(part(index))
  // No close: the process was killed, and a byte of part 1 was lost.
  const [name = ''] = await readdir(inbox)
  assert.match(name, /^a\.bin\.[0-9a-f]{8}\.part$/)
  const bytes = await readFile(join(inbox, name))
  bytes[MEBIBYTE + 5] = (bytes[MEBIBYTE + 5] ?? 0) ^ 1
  await writeFile(join(inbox, name), bytes)
  const again = new IncomingFile(crypto, inbox, offer)
  await again.begin()
  assert.deepEqual([again.missing(9), again.doneBytes], [[1, 2], MEBIBYTE])
  for (const index of [1, 2]) await again.take(part(index))
  assert.equal(Buffer.compare(await readFile(join(inbox, 'a.bin')), CONTENT), 0)
  await first.close()
  const third = new IncomingFile(crypto, inbox, offer)
  await third.begin()
  assert.equal(third.path, join(inbox, 'a.bin'), 'the whole file is recognised')
})

test('a crash between the last part and the name loses nothing', async (t) => {
  const folder = temporaryFolder(t)
  const { offer } = await offered(folder)
  const inbox = temporaryFolder(t)
  await writeFile(join(inbox, `a.bin.${offer.file.slice(0, 8)}.part`), CONTENT)
  const incoming = new IncomingFile(crypto, inbox, offer)
  await incoming.begin()
  assert.deepEqual([incoming.path, await readdir(inbox)], [join(inbox, 'a.bin'), ['a.bin']])
})

test('nothing that is there is overwritten', async (t) => {
  const folder = temporaryFolder(t)
  const { offer, part } = await offered(folder, 'a.txt', new Uint8Array(3).fill(65))
  const inbox = temporaryFolder(t)
  await writeFile(join(inbox, 'a.txt'), 'BBB')
  await mkdir(join(inbox, 'a (2).txt'))
  const incoming = new IncomingFile(crypto, inbox, offer)
  await incoming.begin()
  await incoming.take(part(0))
  assert.equal(incoming.path, join(inbox, 'a (3).txt'))
  assert.equal(await readFile(join(inbox, 'a.txt'), 'utf8'), 'BBB')
  const again = new IncomingFile(crypto, inbox, offer)
  await again.begin()
  assert.equal(again.path, incoming.path, 'and the copy is not taken twice')
})

test('an offer with a hostile name stays in its folder', async (t) => {
  const folder = temporaryFolder(t)
  const { offer, part } = await offered(folder, 'x', new Uint8Array(3))
  for (const name of ['../../escaped', '/etc/escaped', 'a/../../escaped', '..\\escaped']) {
    const inbox = temporaryFolder(t)
    const incoming = new IncomingFile(crypto, inbox, { ...offer, name })
    await incoming.begin()
    await incoming.take(part(0))
    assert.equal(incoming.path, join(inbox, 'escaped'))
  }
})

test('an empty file has no parts and is there at once', async (t) => {
  const folder = temporaryFolder(t)
  const { offer } = await offered(folder, 'empty', new Uint8Array(0))
  const inbox = temporaryFolder(t)
  const incoming = new IncomingFile(crypto, inbox, offer)
  await incoming.begin()
  assert.equal(incoming.path, join(inbox, 'empty'))
  assert.equal((await readFile(incoming.path)).length, 0)
})

test('what is no file has no parts', async (t) => {
  const folder = temporaryFolder(t)
  const { offer } = await offered(folder)
  assert.equal((await partsOnDisk(crypto, offer, folder)).size, 0)
  assert.equal((await partsOnDisk(crypto, offer, join(folder, 'none'))).size, 0)
  assert.equal((await partsOnDisk(crypto, offer, join(folder, 'source', 'a.bin'))).size, 3)
})

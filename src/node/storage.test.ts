import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { ClassicLevel } from 'classic-level'
import { storageSuite } from '../testing/storage-suite.ts'
import { defaultStoragePath, type OpenedStorage, openStorage } from './storage.ts'

function scratch(): string {
  return mkdtempSync(join(tmpdir(), 'latica-storage-'))
}

storageSuite('LevelDB', () => {
  const root = scratch()
  return {
    open: () => openStorage(join(root, 'store')),
    remove: () => rmSync(root, { recursive: true }),
  }
})

const RECORDS = 300

/** A store whose records are partly in a table and partly in the write-ahead log. */
async function filledStore(root: string): Promise<string> {
  const path = join(root, 'store')
  await fill(path, 'table', RECORDS)
  const level = new ClassicLevel(path)
  await level.compactRange('a', 'z')
  await level.close()
  await fill(path, 'log', 3)
  return path
}

async function fill(path: string, prefix: string, count: number): Promise<void> {
  const storage = await openStorage(path)
  assert.equal(storage.setAside, undefined)
  for (let n = 0; n < count; n++) {
    await storage.write(
      `${prefix}/${n}`,
      new Uint8Array(200).map((_, index) => index * n),
    )
  }
  await storage.close()
}

/** The last file of the folder with such a name. */
function file(path: string, pattern: RegExp): string {
  const name = readdirSync(path)
    .filter((each) => pattern.test(each))
    .sort((a, b) => (a < b ? -1 : 1))
    .at(-1)
  return join(path, name ?? assert.fail(`no file like ${pattern}`))
}

function flipMiddle(name: string): void {
  const bytes = readFileSync(name)
  bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 0xff, bytes.length >> 1)
  writeFileSync(name, bytes)
}

async function check(storage: OpenedStorage, least: number): Promise<void> {
  const records = await storage.load('')
  assert.equal(records.length, storage.recovered)
  assert.ok(records.length >= least, `${records.length} records recovered, expected ${least}`)
  for (const { key, value } of records) {
    const n = Number(key.split('/')[1])
    assert.deepEqual(
      value,
      new Uint8Array(200).map((_, index) => index * n),
    )
  }
}

describe('a damaged store is set aside, said so, and what is whole in it recovered', () => {
  const damages: readonly [string, (path: string) => void, least: number][] = [
    ['CURRENT is garbage', (path) => writeFileSync(join(path, 'CURRENT'), 'garbage'), RECORDS],
    ['CURRENT is empty', (path) => writeFileSync(join(path, 'CURRENT'), ''), RECORDS],
    [
      'CURRENT points nowhere',
      (path) => writeFileSync(join(path, 'CURRENT'), 'MANIFEST-9\n'),
      RECORDS,
    ],
    ['CURRENT is gone', (path) => unlinkSync(join(path, 'CURRENT')), RECORDS],
    ['MANIFEST is damaged', (path) => flipMiddle(file(path, /^MANIFEST/)), RECORDS],
    ['MANIFEST is cut short', (path) => truncateSync(file(path, /^MANIFEST/), 20), RECORDS],
    ['MANIFEST is gone', (path) => unlinkSync(file(path, /^MANIFEST/)), RECORDS],
    ['a table is damaged', (path) => flipMiddle(file(path, /ldb$/)), RECORDS / 2],
    ['a table is cut short', (path) => truncateSync(file(path, /ldb$/), 3000), 0],
    ['a table is gone', (path) => unlinkSync(file(path, /ldb$/)), 0],
    ['the log is damaged', (path) => flipMiddle(file(path, /log$/)), RECORDS],
  ]
  for (const [what, damage, least] of damages) {
    test(what, async () => {
      const root = scratch()
      try {
        const path = await filledStore(root)
        damage(path)
        const storage = await openStorage(path)
        assert.equal(storage.setAside, `${path}.corrupt-1`)
        assert.ok(statSync(storage.setAside).isDirectory())
        await check(storage, least)
        await storage.close()

        const again = await openStorage(path)
        assert.equal(again.setAside, undefined)
        assert.equal((await again.load('')).length, storage.recovered)
        await again.close()
      } finally {
        rmSync(root, { recursive: true })
      }
    })
  }

  test('a file stands where the folder should be', async () => {
    const root = scratch()
    const path = join(root, 'store')
    writeFileSync(path, 'precious')
    const storage = await openStorage(path)
    await storage.close()
    assert.equal(storage.setAside, `${path}.corrupt-1`)
    assert.equal(readFileSync(storage.setAside, 'utf8'), 'precious')
    rmSync(root, { recursive: true })
  })

  test('what was set aside before is not overwritten', async () => {
    const root = scratch()
    const path = join(root, 'store')
    for (const n of [1, 2, 3]) {
      await (await openStorage(path)).close()
      writeFileSync(join(path, 'CURRENT'), 'garbage')
      const storage = await openStorage(path)
      await storage.close()
      assert.equal(storage.setAside, `${path}.corrupt-${n}`)
    }
    rmSync(root, { recursive: true })
  })
})

test('a log cut short, as by a power failure, costs its last record and no more', async () => {
  const root = scratch()
  const path = await filledStore(root)
  const log = file(path, /log$/)
  truncateSync(log, statSync(log).size - 10)
  const storage = await openStorage(path)
  assert.equal(storage.setAside, undefined)
  assert.equal((await storage.load('')).length, RECORDS + 2)
  await storage.close()
  rmSync(root, { recursive: true })
})

test('a store that is in use is an error that names the folder and what to do', async () => {
  const root = scratch()
  const path = join(root, 'store')
  const storage = await openStorage(path)
  await assert.rejects(openStorage(path), { code: 'ELOCKED', help: /Stop that process/ })
  await assert.rejects(openStorage(path), (error) => String(error).includes(path))
  assert.deepEqual(readdirSync(root), ['store'])
  await storage.close()
  rmSync(root, { recursive: true })
})

test('a folder that cannot be made is an error with advice, and nothing is moved', async () => {
  const root = scratch()
  writeFileSync(join(root, 'file'), 'precious')
  await assert.rejects(openStorage(join(root, 'file', 'store')), {
    code: 'ESTORAGE',
    help: /another `storage` folder/,
  })
  assert.deepEqual(readdirSync(root), ['file'])
  rmSync(root, { recursive: true })
})

test('what a killed process had written is there', () => {
  const root = scratch()
  const fixture = fileURLToPath(new URL('./storage.fixture.ts', import.meta.url))
  const run = (...words: string[]) =>
    spawnSync(process.execPath, ['--import', 'tsx', fixture, join(root, 'store'), ...words], {
      encoding: 'utf8',
    })
  assert.equal(run('write').signal, 'SIGKILL')
  assert.deepEqual(JSON.parse(run('read').stdout), { setAside: null, count: 100 })
  rmSync(root, { recursive: true })
})

test('only its owner may enter the folder', async () => {
  const root = scratch()
  const path = join(root, 'deep', 'store')
  await (await openStorage(path)).close()
  assert.equal(statSync(path).mode & 0o777, 0o700)
  rmSync(root, { recursive: true })
})

test('the default folder follows XDG, and a cluster name cannot lead out of it', () => {
  const before = process.env['XDG_STATE_HOME']
  try {
    process.env['XDG_STATE_HOME'] = '/state'
    assert.equal(defaultStoragePath(), '/state/latica')
    assert.equal(defaultStoragePath('my app'), '/state/latica/my%20app')
    assert.equal(defaultStoragePath('../..'), '/state/latica/%2E%2E%2F%2E%2E')
    process.env['XDG_STATE_HOME'] = 'relative'
    assert.equal(defaultStoragePath(), join(homedir(), '.local/state/latica'))
    delete process.env['XDG_STATE_HOME']
    assert.equal(defaultStoragePath(), join(homedir(), '.local/state/latica'))
  } finally {
    if (before !== undefined) process.env['XDG_STATE_HOME'] = before
  }
})

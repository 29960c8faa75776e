import assert from 'node:assert/strict'
import {
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Process } from './process.fixture.ts'
import { Workspace } from './workspace.fixture.ts'

const LIMIT = { timeout: 30_000 }

interface Damage {
  readonly what: string
  readonly damage: (folder: string) => void
  /** Whether the identity must be there again: no file that holds it was touched. */
  readonly isIdentitySafe: boolean
}

/** What disks and people do to a folder. */
const DAMAGES: readonly Damage[] = [
  {
    what: 'bytes of its tables and logs are flipped',
    damage: (folder) => flip(folder, /\.(log|ldb)$/),
    isIdentitySafe: false,
  },
  {
    what: 'its tables end in the middle',
    damage: (folder) => {
      for (const path of files(folder, /\.ldb$/)) truncateSync(path, statSync(path).size >> 1)
    },
    isIdentitySafe: false,
  },
  {
    what: 'its tables are gone',
    damage: (folder) => files(folder, /\.ldb$/).map((path) => rmSync(path)),
    isIdentitySafe: false,
  },
  {
    what: 'its CURRENT is gone',
    damage: (folder) => rmSync(join(folder, 'CURRENT')),
    isIdentitySafe: true,
  },
  {
    what: 'its CURRENT is garbage',
    damage: (folder) => writeFileSync(join(folder, 'CURRENT'), 'garbage\n'),
    isIdentitySafe: true,
  },
  {
    what: 'its MANIFEST is gone',
    damage: (folder) => files(folder, /MANIFEST/).map((path) => rmSync(path)),
    isIdentitySafe: true,
  },
  {
    what: 'bytes of its MANIFEST are flipped',
    damage: (folder) => flip(folder, /MANIFEST/),
    isIdentitySafe: true,
  },
  {
    what: 'a file is in its place',
    damage: (folder) => {
      rmSync(folder, { recursive: true })
      writeFileSync(folder, 'not a folder')
    },
    isIdentitySafe: false,
  },
]

test('a damaged store is set aside and said so, and the peer goes on', LIMIT, async (t) => {
  const { start, workspace } = peers(t)
  const whole = join(workspace.path, 'whole')
  const first = start('first', { storage: join(workspace.path, 'first') })
  const { port } = await first.tells('up')
  const known = { peers: [`127.0.0.1:${port}`] }
  // Killed, so that there is what a crash leaves; twice, so that tables and a log hold records.
  let peer = ''
  for (const run of ['one', 'two']) {
    const before = start(`run ${run}`, { storage: whole, ...known })
    peer = (await before.tells('up')).peer
    await before.tells('join')
    await before.kill()
  }

  for (const [i, { what, damage, isIdentitySafe }] of DAMAGES.entries())
    await t.test(what, async (t) => {
      const storage = join(workspace.path, `store-${i}`)
      cpSync(whole, storage, { recursive: true })
      damage(storage)
      const damaged = start(`damaged ${i}`, { storage, ...known })
      const { code, message, help } = await damaged.tells('error')
      assert.equal(code, 'ESTORAGE')
      assert.match(help, /./)
      const [, setAside = ''] = /set aside in (\S+);/.exec(message) ?? []
      assert.ok(existsSync(setAside), message)
      await damaged.tells('join')
      const { peer: id } = await damaged.tells('up')
      t.diagnostic(`${/\d+ of .*/.exec(message)}; identity ${id === peer ? 'kept' : 'lost'}`)
      if (isIdentitySafe) assert.equal(id, peer)
      await damaged.kill()

      const next = start(`next ${i}`, { storage, ...known })
      await next.tells('join')
      assert.equal((await next.tells('up')).peer, id)
      const errors = next.told.filter(({ type }) => type === 'error')
      assert.deepEqual(errors, [])
      await next.kill()
    })
})

test('a store that a killed process left is whole', LIMIT, async (t) => {
  const { start, workspace } = peers(t)
  const options = { storage: join(workspace.path, 'store') }
  const first = start('first', options)
  const { peer } = await first.tells('up')
  await first.kill()
  const second = start('second', options)
  assert.equal((await second.tells('up')).peer, peer)
  second.command('close')
  assert.equal(await second.exit(), 0)
  assert.deepEqual(
    second.told.map(({ type }) => type),
    ['up'],
  )
})

test(
  'a second process on a store is refused with ELOCKED, and the first does not notice',
  LIMIT,
  async (t) => {
    const { start, workspace } = peers(t)
    const options = { storage: join(workspace.path, 'store') }
    const first = start('first', options)
    await first.tells('up')
    const second = start('second', options)
    const { code, message, help } = await second.tells('refused')
    assert.equal(code, 'ELOCKED')
    assert.match(message, /in use by another process/)
    assert.match(help, /`storage` folder/)
    assert.equal(await second.exit(), 1)
    first.command('close')
    assert.equal(await first.exit(), 0)
    assert.equal(first.errors, '')
  },
)

function peers(t: TestContext) {
  const workspace = new Workspace(t, 'linked')
  const program = workspace.program(new URL('peer.fixture.ts', import.meta.url))
  const start = (name: string, options: object) => {
    const given = { secret: 'store', lan: false, host: '127.0.0.1', ...options }
    const command = [process.execPath, program, JSON.stringify(given)]
    return new Process(t, name, command, { env: workspace.environment('home') })
  }
  return { workspace, start }
}

function files(folder: string, fits: RegExp): string[] {
  const names = readdirSync(folder).filter((name) => fits.test(name))
  const paths = names.map((name) => join(folder, name)).filter((path) => statSync(path).size > 0)
  assert.ok(paths.length > 0, `nothing to damage in ${readdirSync(folder).join(', ')}`)
  return paths
}

function flip(folder: string, fits: RegExp): void {
  for (const path of files(folder, fits)) {
    const bytes = readFileSync(path)
    for (let i = bytes.length >> 2; i < bytes.length; i += 64) bytes[i] = (bytes[i] ?? 0) ^ 0xff
    writeFileSync(path, bytes)
  }
}

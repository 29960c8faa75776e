import assert from 'node:assert/strict'
import { chownSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { Host, namespacesMissing } from './namespaces.fixture.ts'
import { Process } from './process.fixture.ts'
import { Workspace } from './workspace.fixture.ts'

/** Linux's and POSIX systems' customary number for nobody. */
const NOBODY = 65_534

/** Root starts the peers as nobody; anyone else starts them as themselves. */
function asOrdinaryUser(t: TestContext) {
  const isRoot = process.getuid?.() === 0
  const before = namespacesMissing === false ? new Host(t, 'no-root').prefix : []
  const asNobody = isRoot
    ? ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups']
    : []
  const own = (folder: string) => {
    if (isRoot) chownSync(folder, NOBODY, NOBODY)
  }
  return { before: [...before, ...asNobody], own }
}

test('without root, from an installed package alone, two peers that are given nothing meet', {
  timeout: 30_000,
}, async (t) => {
  const workspace = new Workspace(t, 'installed')
  const program = workspace.program(new URL('peer.fixture.ts', import.meta.url))
  const { before, own } = asOrdinaryUser(t)
  const given = JSON.stringify({ secret: `no root ${process.pid}` })
  const [a, b] = ['ann', 'ben'].map((name) => {
    const env = workspace.environment(name)
    own(workspace.folder(name))
    return new Process(t, name, [...before, process.execPath, program, given], { env })
  })
  assert.ok(a && b)
  for (const peer of [a, b]) assert.notEqual((await peer.tells('up')).user, 0)
  await Promise.all([a.tells('join'), b.tells('join')])
  await a.ask('say', 'said', { text: 'from nobody' })
  await b.tells('text', { text: 'from nobody' })
  for (const peer of [a, b]) {
    peer.command('close')
    assert.equal(await peer.exit(), 0)
    assert.equal(peer.errors, '')
  }
})

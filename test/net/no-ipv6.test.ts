import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Host, namespacesMissing } from './namespaces.fixture.ts'
import { Process } from './process.fixture.ts'
import { Workspace } from './workspace.fixture.ts'

test('on a machine with no IPv6 two peers that are given nothing meet and talk', {
  timeout: 30_000,
  skip: namespacesMissing,
}, async (t) => {
  const host = new Host(t, 'no-ipv6')
  for (const which of ['all', 'default', 'lo'])
    host.setting(`net/ipv6/conf/${which}/disable_ipv6`, '1')
  const workspace = new Workspace(t, 'linked')
  const program = workspace.program(new URL('peer.fixture.ts', import.meta.url))
  const given = JSON.stringify({ secret: 'no IPv6' })
  const [a, b] = ['ann', 'ben'].map((name) => {
    const command = [...host.prefix, process.execPath, program, given]
    return new Process(t, name, command, { env: workspace.environment(name) })
  })
  assert.ok(a && b)
  for (const peer of [a, b]) assert.deepEqual((await peer.tells('up')).hosts, ['127.0.0.1'])
  await Promise.all([a.tells('join'), b.tells('join')])
  await a.ask('say', 'said', { text: 'over IPv4' })
  await b.tells('text', { text: 'over IPv4' })
  for (const peer of [a, b]) {
    peer.command('close')
    assert.equal(await peer.exit(), 0)
    assert.equal(peer.errors, '')
  }
})

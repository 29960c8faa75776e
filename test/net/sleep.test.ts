import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LOST_MS } from '../../src/core/session/session.ts'
import { Process } from './process.fixture.ts'
import { Workspace } from './workspace.fixture.ts'

/** Longer than the other waits before it takes a peer for gone. */
const ASLEEP_MS = LOST_MS + 3_000

test('a process that was stopped until it was given up talks again within 2 s, nothing lost', {
  timeout: 58_000,
  skip: process.platform === 'win32' && 'needs SIGSTOP',
}, async (t) => {
  const workspace = new Workspace(t, 'linked')
  const program = workspace.program(new URL('peer.fixture.ts', import.meta.url))
  const start = (name: string, options: object) => {
    const given = { secret: 'sleep', lan: false, host: '127.0.0.1', storage: false, ...options }
    const command = [process.execPath, program, JSON.stringify(given)]
    return new Process(t, name, command, { env: workspace.environment(name) })
  }
  const awake = start('awake', {})
  const { port } = await awake.tells('up')
  const sleeper = start('sleeper', { peers: [`127.0.0.1:${port}`] })
  await Promise.all([awake.tells('join'), sleeper.tells('join')])

  sleeper.signal('SIGSTOP')
  awake.command('say', { text: 'while you slept' })
  await new Promise((resolve) => setTimeout(resolve, ASLEEP_MS))
  assert.equal(sleeper.told.filter(({ type }) => type === 'text').length, 0)
  sleeper.signal('SIGCONT')
  const wokenAt = performance.now()
  await Promise.all([
    sleeper.tells('text', { text: 'while you slept' }),
    awake.tells('said'),
    sleeper.ask('say', 'said', { text: 'good morning' }),
    awake.tells('text', { text: 'good morning' }),
  ])
  const tookMs = Math.round(performance.now() - wokenAt)
  t.diagnostic(`asleep for ${ASLEEP_MS} ms, both ways again after ${tookMs} ms`)
  assert.ok(tookMs < 2_000, `${tookMs} ms`)
  assert.equal(sleeper.told.filter(({ type }) => type === 'text').length, 1)
})

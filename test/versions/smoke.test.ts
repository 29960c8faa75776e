import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { Process } from '../net/process.fixture.ts'
import { Workspace } from '../net/workspace.fixture.ts'
import { nodeBinary } from './node-version.fixture.ts'

const OWN = Number(process.versions.node.split('.')[0])
const MAJORS = [...new Set([OWN, 20, 22, 24])]

for (const major of MAJORS)
  test(`on Node ${major} two processes meet, publish, request, stream, close and end`, {
    timeout: 90_000,
  }, async (t) => {
    let node: string
    try {
      node = nodeBinary(major)
    } catch (error) {
      return t.skip(
        `Node ${major} cannot be had from the registry: ${String(error).split('\n')[0]}`,
      )
    }
    const version = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()
    assert.match(version, new RegExp(`^v${major}\\.`))
    t.diagnostic(version)
    const workspace = new Workspace(t, 'installed')
    const program = workspace.program(new URL('smoke.fixture.ts', import.meta.url))
    const start = (name: string, words: readonly string[]) =>
      new Process(t, name, [node, program, ...words], {
        cwd: workspace.folder(name),
        env: workspace.environment(name),
      })
    const first = start('first', [])
    const ticket = (await first.line(/^ticket /)).slice('ticket '.length)
    const second = start('second', [ticket])
    const codes = await Promise.all([first.exit(), second.exit()])
    assert.deepEqual(codes, [0, 0], `${first.lines.join('\n')}\n${first.errors}\n${second.errors}`)
    assert.deepEqual(second.lines, ['met', 'published', 'requested', 'streamed', 'closed'])
    assert.deepEqual(first.lines.slice(1), ['left: closed', 'closed'])
    assert.equal(first.errors + second.errors, '')
  })

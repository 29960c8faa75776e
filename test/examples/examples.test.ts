import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { Program, temporaryFolder } from '../../src/cli/process.fixture.ts'

const LIMIT = { timeout: 30_000 }

test('two greetings that are given nothing meet on the local network', LIMIT, async (t) => {
  const home = temporaryFolder(t)
  const programs = [1, 2].map(() => new Program(t, 'examples/greetings.ts', [], home))
  const heard = programs.map((program) => program.line(/^[0-9a-f]{64} \{ text: 'hi, just you' \}$/))
  const [first, second] = await Promise.all(heard)
  assert.notEqual(first?.slice(0, 64), second?.slice(0, 64))
  assert.equal(programs.map(({ errors }) => errors).join(''), '')
})

test('greetings is the programme that the README shows', () => {
  const codeOf = (path: string) =>
    readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
      .replace(/ *\/\/ .*$/gm, '')
      .replace(/^\n+/, '')
  assert.ok(codeOf('README.md').includes(codeOf('examples/greetings.ts')))
})

test(
  'feed reads what was posted while it was away, from a peer of another app',
  LIMIT,
  async (t) => {
    const home = temporaryFolder(t)
    const args = ['up', '--no-storage', '--no-port-mapping', '--cluster', 'another app', '--json']
    const stranger = new Program(t, 'src/cli/main.ts', args, home)
    await stranger.line(/"type":"ticket"/)
    const poster = new Program(t, 'examples/feed.ts', ['hello, later'], home)
    await poster.line(/^posted [0-9a-f]{64}$/)
    assert.equal(await poster.exit(), 0, poster.output)
    const reader = new Program(t, 'examples/feed.ts', [], temporaryFolder(t))
    await reader.line(/^2.* [0-9a-f]{64}: hello, later$/)
    assert.deepEqual(await Promise.all([reader.interrupt(), stranger.interrupt()]), [0, 0])
  },
)

test('poll shows who is here, asks and is answered', LIMIT, async (t) => {
  const home = temporaryFolder(t)
  const programs = [1, 2].map(() => new Program(t, 'examples/poll.ts', [], home))
  for (const program of programs) {
    await program.line(/ is here, /)
    await program.line(/ says (yes|no)$/)
    await program.line(/^somebody answered$/)
  }
  assert.deepEqual(await Promise.all(programs.map((program) => program.interrupt())), [0, 0])
})

import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Host, namespacesMissing } from './namespaces.fixture.ts'
import { Process } from './process.fixture.ts'
import { ROOT, Workspace } from './workspace.fixture.ts'

const LIMIT = { timeout: 40_000 }
const PROGRAM = join(ROOT, 'examples/greetings.ts')
const TSX = import.meta.resolve('tsx')

/** Where nobody else answers if that can be had, else the machine itself. */
function runner(t: TestContext): (workspace: Workspace, program: string, home: string) => Process {
  const before = namespacesMissing === false ? new Host(t, 'greetings').prefix : []
  return (workspace, program, home) =>
    new Process(t, home, [...before, process.execPath, '--import', TSX, program], {
      cwd: workspace.path,
      env: workspace.environment(home),
    })
}

async function bothHear(programs: readonly Process[]): Promise<void> {
  const lines = await Promise.all(
    programs.map((program) => program.line(/^[0-9a-f]{64} \{ text: 'hi, just you' \}$/)),
  )
  assert.notEqual(lines[0], lines[1])
  assert.deepEqual(
    programs.map(({ errors }) => errors),
    ['', ''],
  )
}

test(
  "greetings as it stands, twice and given nothing: each prints the other's hello",
  LIMIT,
  async (t) => {
    const workspace = new Workspace(t, 'linked')
    const program = join(workspace.path, 'greetings.ts')
    copyFileSync(PROGRAM, program)
    const run = runner(t)
    const startedAt = performance.now()
    await bothHear(['ann', 'ben'].map((home) => run(workspace, program, home)))
    t.diagnostic(`from start to greeted: ${Math.round(performance.now() - startedAt)} ms`)
  },
)

test(
  "greetings that are given one address alone: each prints the other's hello",
  LIMIT,
  async (t) => {
    const workspace = new Workspace(t, 'linked')
    const port = await freePort()
    const variant = (name: string, options: string) => {
      const text = readFileSync(PROGRAM, 'utf8')
      const changed = text.replace('signingKeys })', `signingKeys, lan: false, ${options} })`)
      assert.notEqual(changed, text)
      const path = join(workspace.path, `${name}.ts`)
      writeFileSync(path, changed)
      return path
    }
    const programs = [
      variant('ann', `port: ${port}`),
      variant('ben', `peers: ['127.0.0.1:${port}']`),
    ]
    const run = runner(t)
    await bothHear(programs.map((program, i) => run(workspace, program, `home${i}`)))
  },
)

async function freePort(): Promise<number> {
  const socket = createSocket('udp4').bind(0)
  await once(socket, 'listening')
  const { port } = socket.address()
  socket.close()
  return port
}

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Program, temporaryFolder } from './process.fixture.ts'

/** Real processes over loopback: what one published is read by another that was never there with it. */

const LIMIT = { timeout: 120_000 }
const MAIN = 'src/cli/main.ts'
const LOCAL = ['--no-lan', '--no-port-mapping', '--host', '127.0.0.1', '--json']

interface Setup {
  readonly home: string
  /** A stranger, of another app, who stays. */
  readonly carol: Program
  run(command: string, ...words: string[]): Program
}

async function setUp(t: TestContext, ...carolsOptions: string[]): Promise<Setup> {
  const home = temporaryFolder(t)
  const words = ['up', ...LOCAL, '--cluster', 'another app', '--storage', join(home, 'carol')]
  const carol = new Program(t, MAIN, [...words, ...carolsOptions], home)
  const ticket = String(JSON.parse(await carol.line(/"type":"ticket"/)).ticket)
  const run = (command: string, ...rest: string[]) =>
    new Program(t, MAIN, [command, 'a secret', ...rest, ...LOCAL, '--peer', ticket], home)
  return { home, carol, run }
}

function objects({ lines }: Program, type: string): Record<string, unknown>[] {
  return lines.map((line) => JSON.parse(line)).filter((each) => each.type === type)
}

function valuesOf(program: Program): unknown[] {
  return objects(program, 'value').map(({ value }) => value)
}

test(
  'what was published is read later, from a stranger, in order, and again with --since',
  LIMIT,
  async (t) => {
    const { home, run, carol } = await setUp(t)
    const alice = ['--storage', join(home, 'alice')]
    const pub = run('pub', 'log', '-', ...alice)
    pub.child.stdin.end('first\n{"n": 2}\n\n"3"\n')
    assert.equal(await pub.exit(), 0, pub.output)
    assert.equal(objects(pub, 'done')[0]?.['published'], 3)
    await carol.line(/"type":"keeping","packets":[3-9]/)
    const bob = ['--storage', join(home, 'bob')]
    const sub = run('sub', 'log', '--count', '3', ...bob)
    assert.equal(await sub.exit(), 0, sub.output)
    assert.deepEqual(valuesOf(sub), ['first', { n: 2 }, '3'])
    const [first] = objects(sub, 'value')
    assert.deepEqual([first?.['event'], first?.['via'], first?.['gap']], ['log', 'cache', false])
    const later = run('pub', 'log', 'fourth', '--ttl', '1h', ...alice)
    assert.equal(await later.exit(), 0, later.output)
    const news = run('sub', '--count', '1', ...bob)
    assert.equal(await news.exit(), 0, news.output)
    assert.deepEqual(valuesOf(news), ['fourth'], 'without --since only what is new')
    const all = run('sub', '--since', 'all', '--count', '4', ...bob)
    assert.equal(await all.exit(), 0, all.output)
    assert.deepEqual(valuesOf(all), ['first', { n: 2 }, '3', 'fourth'])
    assert.equal(await carol.interrupt(), 0)
  },
)

test(
  'with nobody there pub says so and ends with 1; the next run with its storage hands it on',
  LIMIT,
  async (t) => {
    const home = temporaryFolder(t)
    const alice = ['--storage', join(home, 'alice')]
    const alone = new Program(
      t,
      MAIN,
      ['pub', 'a secret', 'news', 'kept', ...LOCAL, ...alice, '--wait', '1'],
      home,
    )
    assert.equal(await alone.exit(), 1, alone.output)
    assert.deepEqual(
      [objects(alone, 'done')[0]?.['published'], objects(alone, 'done')[0]?.['kept']],
      [1, 0],
    )
    const { run, carol } = await setUp(t)
    const again = run('sub', ...alice)
    await carol.line(/"type":"keeping","packets":[1-9]/)
    assert.equal(await again.interrupt(), 0)
    const bob = run('sub', 'news', '--count', '1', '--no-storage')
    assert.equal(await bob.exit(), 0, bob.output)
    assert.deepEqual(valuesOf(bob), ['kept'])
  },
)

test('sub ends with 1 when what it was to wait for did not come in time', LIMIT, async (t) => {
  const { run } = await setUp(t)
  const sub = run('sub', '--count', '1', '--for', '1', '--no-storage')
  assert.equal(await sub.exit(), 1, sub.output)
  const timed = run('sub', '--for', '1', '--no-storage')
  assert.equal(await timed.exit(), 0, timed.output)
})

function fileOf(folder: string, name: string, sizeBytes: number): { path: string; bytes: Buffer } {
  mkdirSync(folder, { recursive: true })
  const path = join(folder, name)
  const bytes = randomBytes(sizeBytes)
  writeFileSync(path, bytes)
  return { path, bytes }
}

function assertSame(folder: string, name: string, bytes: Buffer): void {
  assert.deepEqual(readdirSync(folder), [name])
  assert.equal(Buffer.compare(readFileSync(join(folder, name)), bytes), 0)
}

test('a file is received from a stranger after its sender left', LIMIT, async (t) => {
  const { home, run } = await setUp(t)
  const { path, bytes } = fileOf(join(home, 'files'), 'picture.jpg', 3_000_000)
  const send = run('send', path, '--no-storage')
  assert.equal(await send.exit(), 0, send.output)
  assert.deepEqual(
    [objects(send, 'sent')[0]?.['parts'], objects(send, 'sent')[0]?.['kept']],
    [3, 3],
  )
  const inbox = join(home, 'inbox')
  const receive = run('receive', inbox, '--count', '1', '--no-storage')
  assert.equal(await receive.exit(), 0, receive.output)
  assertSame(inbox, 'picture.jpg', bytes)
  const again = run('receive', inbox, '--count', '1', '--no-storage')
  assert.equal(await again.exit(), 0, again.output)
  assert.equal(objects(again, 'complete').length, 1, 'what is here is not taken again')
  assertSame(inbox, 'picture.jpg', bytes)
})

test('a receiver that was killed goes on where it was', LIMIT, async (t) => {
  const { home, run } = await setUp(t, '--cache', '64')
  const { path, bytes } = fileOf(join(home, 'files'), 'film.mkv', 12_000_000)
  const send = run('send', path, '--stay', '--storage', join(home, 'alice'))
  await send.line(/"type":"staying"/)
  const inbox = join(home, 'inbox')
  const bob = ['--storage', join(home, 'bob')]
  const killed = run('receive', inbox, '--count', '1', ...bob)
  await killed.line(/"type":"offer"/)
  await killed.line(/"type":"progress".*"doneBytes":[1-9]/)
  killed.child.kill('SIGKILL')
  await killed.exit()
  const again = run('receive', inbox, '--count', '1', ...bob)
  assert.equal(await again.exit(), 0, again.output)
  assertSame(inbox, 'film.mkv', bytes)
  assert.equal(await send.exit(), 0, send.output)
  assert.equal(Reflect.get(Object(objects(send, 'sent')[0]?.['receivers']), 'length'), 1)
})

test('a sender that was killed goes on with the parts it had not published', LIMIT, async (t) => {
  const { home, run } = await setUp(t, '--cache', '64')
  const { path, bytes } = fileOf(join(home, 'files'), 'film.mkv', 12_000_000)
  const alice = ['--storage', join(home, 'alice')]
  const inbox = join(home, 'inbox')
  const receive = run('receive', inbox, '--count', '1', '--storage', join(home, 'bob'))
  await receive.line(/"type":"peer"/)
  const killed = run('send', path, ...alice)
  await receive.line(/"type":"offer"/)
  await killed.line(/"type":"progress".*"doneBytes":[1-9]/)
  killed.child.kill('SIGKILL')
  await killed.exit()
  const again = run('send', path, '--stay', ...alice)
  assert.equal(await again.exit(), 0, again.output)
  assert.equal(await receive.exit(), 0, receive.output)
  assertSame(inbox, 'film.mkv', bytes)
})

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { Program, temporaryFolder } from './process.fixture.ts'

const LIMIT = { timeout: 30_000 }
const MAIN = 'src/cli/main.ts'
const LOCAL = ['--no-lan', '--host', '127.0.0.1']

function fieldOf(line: string, field: string): string {
  return String(JSON.parse(line)[field])
}

test('up prints its ticket, meets who has it, remembers, and ends cleanly', LIMIT, async (t) => {
  const home = temporaryFolder(t)
  const storage = join(home, 'b')
  const a = new Program(t, MAIN, ['up', ...LOCAL, '--no-storage'], home)
  const ticket = (await a.line(/^ticket {2}latica:/)).slice('ticket  '.length)
  const args = ['up', ...LOCAL, '--storage', storage, '--json']
  const b = new Program(t, MAIN, [...args, '--peer', ticket], home)
  const peerId = fieldOf(await b.line(/"type":"peer"/), 'peerId')
  await a.line(new RegExp(`^\\+ ${peerId.slice(0, 8)} connected`))
  await b.line(/"type":"connection"/)
  await b.line(/"state":"online"/)
  assert.equal(await b.interrupt(), 0)
  for (const line of b.lines) assert.ok(fieldOf(line, 'type'))
  await a.line(/^- \w{8} disconnected \(closed\)/)
  const again = new Program(t, MAIN, args, home)
  assert.equal(fieldOf(await again.line(/"type":"peer"/), 'peerId'), peerId)
  await again.line(/"type":"connection"/)
  assert.deepEqual([await again.interrupt(), await a.interrupt()], [0, 0])
  assert.equal(a.errors + b.errors + again.errors, '')
})

test('chat sends lines both ways, with names, and each ends when it should', LIMIT, async (t) => {
  const home = temporaryFolder(t)
  const hub = new Program(t, MAIN, ['up', ...LOCAL, '--no-storage', '--json'], home)
  const ticket = fieldOf(await hub.line(/"type":"ticket"/), 'ticket')
  const args = ['chat', 'the secret', ...LOCAL, '--no-storage', '--peer', ticket]
  const ann = new Program(t, MAIN, [...args, '--name', 'ann\u001b'], home)
  const bob = new Program(t, MAIN, [...args, '--json'], home)
  await ann.line(/^\* \w{8} joined \(/)
  await bob.line(/"type":"name".*"name":"ann/)
  ann.child.stdin.write('hello\n')
  const message = await bob.line(/"type":"message"/)
  assert.deepEqual([fieldOf(message, 'name'), fieldOf(message, 'text')], ['ann\ufffd', 'hello'])
  bob.child.stdin.end('\u001b[2Jhi\n')
  assert.match(await ann.line(/hi$/), /^\w{8}: \ufffd\[2Jhi$/)
  assert.equal(await bob.exit(), 0)
  await ann.line(/^\* \w{8} left \(closed\)/)
  assert.equal(await ann.interrupt(), 0)
  assert.equal(await hub.interrupt(), 0)
})

test(
  'chat in a pipe waits for a member; when none comes it says so and ends with 1',
  LIMIT,
  async (t) => {
    const home = temporaryFolder(t)
    const args = ['chat', 'nobody else knows', ...LOCAL, '--no-storage', '--wait', '1']
    const alone = new Program(t, MAIN, args, home)
    alone.child.stdin.end('lost\n')
    assert.equal(await alone.exit(), 1)
    assert.match(alone.errors, /nobody joined within 1 s, nothing was sent\. Start another/)
  },
)

test('doctor with nobody to ask says so, and how to go on, and ends with 2', LIMIT, async (t) => {
  const home = temporaryFolder(t)
  const alone = new Program(t, MAIN, ['doctor', ...LOCAL, '--no-storage'], home)
  assert.equal(await alone.exit(), 2, alone.output)
  assert.match(alone.lines.join('\n'), /only this machine itself can be met[\s\S]*Leave --host out/)
  const args = ['doctor', ...LOCAL, '--no-storage', '--seconds', '1', '--json']
  const silent = new Program(t, MAIN, [...args, '--peer', '198.18.255.254:9'], home)
  assert.equal(await silent.exit(), 2, silent.output)
  assert.equal(silent.lines.length, 1, 'one object')
})

test(
  'doctor with one peer on loopback tells what that one can and cannot show',
  LIMIT,
  async (t) => {
    const home = temporaryFolder(t)
    const storage = join(home, 'doctor')
    const hub = new Program(t, MAIN, ['up', ...LOCAL, '--no-storage', '--json'], home)
    const ticket = fieldOf(await hub.line(/"type":"ticket"/), 'ticket')
    const args = ['doctor', ...LOCAL, '--storage', storage, '--seconds', '2']
    const first = new Program(t, MAIN, [...args, '--peer', ticket, '--json'], home)
    assert.equal(await first.exit(), 4, first.output)
    const told = JSON.parse(first.lines.join())
    assert.deepEqual([told.type, told.verdict], ['doctor', 'lan'])
    assert.deepEqual(told.peers, { direct: 0, lan: 1, relayed: 0, asked: 1 })
    assert.deepEqual([told.nat.mapping, told.nat.hairpin, told.relayedBy], ['unknown', null, []])
    const again = new Program(t, MAIN, args, home)
    assert.equal(await again.exit(), 4, again.output)
    assert.match(
      again.lines.join('\n'),
      /Nobody outside was asked[\s\S]*Peers: 0 direct, 1 on this/,
    )
    assert.equal(await hub.interrupt(), 0)
    const gone = new Program(t, MAIN, args, home)
    assert.equal(await gone.exit(), 2, gone.output)
    assert.match(
      gone.lines.join('\n'),
      /only this machine itself can be met, and nobody answered there\.\n[\s\S]*Asked in vain: \w{8} at 127\.0\.0\.1:\d+\n/,
    )
    assert.equal(first.errors + again.errors + gone.errors, '')
  },
)

test('id prints the same id each time, which is also that of the peer', LIMIT, async (t) => {
  const home = temporaryFolder(t)
  const first = new Program(t, MAIN, ['id'], home)
  assert.equal(await first.exit(), 0)
  assert.match(first.lines.join(), /^[0-9a-f]{64}$/)
  const second = new Program(t, MAIN, ['id', '--json'], home)
  assert.equal(await second.exit(), 0)
  assert.equal(fieldOf(second.lines.join(), 'peerId'), first.lines.join())
  const up = new Program(t, MAIN, ['up', ...LOCAL], home)
  await up.line(new RegExp(`^peer {4}${first.lines.join()}$`))
  const locked = new Program(t, MAIN, ['id'], home)
  assert.equal(await locked.exit(), 1)
  assert.match(locked.errors, /in use by another process/)
  assert.equal(await up.interrupt(), 0)
})

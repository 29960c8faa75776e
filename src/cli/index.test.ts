import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { EXIT_CODES } from './diagnose.ts'
import { run } from './index.ts'

interface Outcome {
  readonly code: number
  readonly out: string
  readonly err: string
}

async function latica(...argv: string[]): Promise<Outcome> {
  let out = ''
  let err = ''
  const code = await run(argv, {
    out: (text) => {
      out += text
    },
    err: (text) => {
      err += text
    },
    input: Readable.from([]),
    isInteractive: false,
    interrupted: AbortSignal.abort(),
  })
  return { code, out, err }
}

test('--help teaches: what a command is for, examples to copy, every option', async () => {
  const { code, out } = await latica('--help')
  assert.equal(code, 0)
  for (const command of ['up', 'chat', 'pub', 'sub', 'send', 'receive', 'doctor', 'id']) {
    assert.match(out, new RegExp(`^  ${command} `, 'm'))
    const help = await latica(command, '--help')
    assert.equal(help.code, 0)
    assert.match(help.out, new RegExp(`Examples:\\n  latica ${command}`))
    for (const option of ['--port', '--peer', '--storage', '--no-storage', '--no-lan', '--cluster'])
      assert.ok(help.out.includes(option), `${command} explains ${option}`)
    assert.equal((await latica('help', command)).out, help.out)
    for (const line of help.out.split('\n')) assert.ok(line.length <= 100, line)
  }
})

test('wrong usage says on stderr what to do, and ends with 2', async () => {
  const wrong: [string[], RegExp][] = [
    [
      [],
      /A command is missing\. There are: up, chat, pub, sub, send, receive, doctor, id\.\nTry: latica --help/,
    ],
    [['pu'], /There is no command "pu"/],
    [['up', '--cache', '2000'], /--cache needs 1 to 1024 MiB, got 2000/],
    [['pub'], /The secret is missing: latica pub/],
    [['pub', 's'], /The event is missing/],
    [['pub', 's', 'e', 'two', 'words'], /more than one value/],
    [['pub', 's', 'e', 'v', '--ttl', 'soon'], /--ttl needs a time like 90s/],
    [['pub', 's', 'e', 'v', '--ttl', '8d'], /--ttl needs at most 7d, got "8d"/],
    [['pub', 's', '#e', 'v'], /event: expected .*does not begin with "#"/],
    [['pub', 's', 'e', '--wait', '9999999'], /--wait needs at most 2147483 seconds/],
    [['sub'], /The secret is missing: latica sub/],
    [['sub', 's', 'a', 'b'], /more than one event/],
    [['sub', 's', '--since', 'lunch'], /--since needs a time ago/],
    [['sub', 's', '--count', '0'], /--count needs 1 or more/],
    [['send'], /The secret is missing: latica send/],
    [['send', 's'], /The file is missing/],
    [['send', 's', '/no/such'], /There is no file "\/no\/such"/],
    [['send', 's', '/'], /"\/" is no file/],
    [['receive'], /The secret is missing: latica receive/],
    [['receive', 's', 'a', 'b'], /more than one folder/],
    [['receive', 's', '--count', '0'], /--count needs 1 or more/],
    [['chat'], /The secret is missing: latica chat "a long secret"\.\nTry: latica chat --help/],
    [['chat', 'two', 'words'], /quotes/],
    [['up', 'more'], /takes no "more"/],
    [['up', '--port', 'x'], /--port needs a whole number, got "x"/],
    [['up', '--port', '99999'], /--port: expected a port, 0–65535, got 99999/],
    [['up', '--peer', 'nowhere'], /--peer: expected "host:port".*got "nowhere"/],
    [['up', '--no-such'], /Unknown option '--no-such'/],
    [['up', '--port'], /--port/],
    [['up', '--storage', 'x', '--no-storage'], /contradict/],
    [['id', '--no-storage'], /Without storage/],
  ]
  for (const [argv, message] of wrong) {
    const { code, out, err } = await latica(...argv)
    assert.equal(code, 2, argv.join(' '))
    assert.equal(out, '')
    assert.match(err, message)
    assert.ok(!err.includes('    at '), 'no stack trace')
  }
})

test('doctor keeps exit code 2 for a silent network: wrong usage of it ends with 1', async () => {
  const wrong: [string[], RegExp][] = [
    [['more'], /takes no "more"/],
    [['--seconds', '0'], /--seconds needs 1 to 3600, got 0/],
    [['--seconds', 'x'], /--seconds needs a whole number/],
    [['--no-such'], /Unknown option '--no-such'/],
    [['--peer', 'nowhere'], /--peer: expected/],
  ]
  for (const [argv, message] of wrong) {
    const { code, out, err } = await latica('doctor', ...argv)
    assert.deepEqual([code, out], [1, ''], argv.join(' '))
    assert.match(err, message)
  }
  const { out } = await latica('doctor', '--help')
  for (const verdict of Object.keys(EXIT_CODES))
    assert.match(out, new RegExp(`^  [0-4 ]  ${verdict} `, 'm'), `${verdict} is explained`)
})

test('with --json, errors too are one object a line', async () => {
  const { err } = await latica('chat', '--json')
  const { type, code, message, help } = JSON.parse(err)
  assert.deepEqual([type, code, help], ['error', 'EUSAGE', 'Try: latica chat --help'])
  assert.match(message, /secret/)
})

test('--version is that of the package', async () => {
  assert.match((await latica('--version')).out, /^\d+\.\d+\.\d+\n$/)
})

import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import type { Invocation } from './command.ts'
import { printerTo } from './printer.ts'
import { ProgressLine, sizeText } from './progress-line.ts'

function lineTo({ columns, json = false }: { columns?: number; json?: boolean }) {
  const written: string[] = []
  const out = (text: string) => void written.push(text)
  const interrupted = new AbortController().signal
  const invocation: Invocation = {
    values: { json },
    positionals: [],
    print: printerTo(out, json),
    terminal: {
      out,
      err: out,
      input: Readable.from([]),
      isInteractive: false,
      columns,
      interrupted,
    },
  }
  const clock = { now: 0 }
  return { written, clock, line: new ProgressLine(invocation, () => clock.now) }
}

test('on a terminal one line is rewritten, ten times a second, with rate and time left', () => {
  const { written, clock, line } = lineTo({ columns: 100 })
  for (clock.now = 0; clock.now < 1_000; clock.now += 20)
    line.tell({ name: 'film.mkv', doneBytes: clock.now * 1_000, totalBytes: 4_000_000 })
  assert.equal(written.length, 10)
  const start = '\r\u001b[K'
  for (const text of written) {
    assert.ok(text.startsWith(start))
    assert.match(text.slice(start.length), /^[█░]{24} /)
  }
  assert.match(
    written.at(-1) ?? '',
    / {2}22 % {2}900 kB of 4\.0 MB, 1\.0 MB\/s, 4 s left {2}film\.mkv$/,
  )
  line.clear()
  line.clear()
  assert.equal(written.length, 11)
  assert.equal(written.at(-1), '\r\u001b[K')
})

test('a narrow terminal is never filled to its last column, where the line would wrap', () => {
  const { written, line } = lineTo({ columns: 50 })
  line.tell({ name: 'x'.repeat(100), doneBytes: 1, totalBytes: 2 })
  assert.equal([...(written[0] ?? '').slice('\r\u001b[K'.length)].length, 49)
})

test('elsewhere it is a line or an object every two seconds', () => {
  const { written, clock, line } = lineTo({})
  for (clock.now = 0; clock.now <= 6_000; clock.now += 50)
    line.tell({ name: 'a', doneBytes: 0, totalBytes: 4_000 })
  assert.equal(written.length, 4)
})

test('and one for every tenth, however fast it goes, of every file', () => {
  for (const json of [false, true]) {
    const { written, clock, line } = lineTo({ json })
    for (clock.now = 0; clock.now <= 400; clock.now += 5)
      for (const name of ['b', 'a'])
        line.tell({ name, doneBytes: clock.now * 10, totalBytes: 4_000 })
    line.clear()
    assert.equal(written.length, 21)
    const last = written.at(-1) ?? ''
    if (!json) assert.match(last, /^100 % {2}4\.0 kB of 4\.0 kB, 10\.0 kB\/s, 0 s left {2}a\n$/)
    else
      assert.deepEqual(JSON.parse(last), {
        type: 'progress',
        name: 'a',
        doneBytes: 4_000,
        totalBytes: 4_000,
        bytesPerS: 10_000,
      })
  }
})

test('a name of a remote does nothing to the terminal', () => {
  const { written, line } = lineTo({ columns: 200 })
  line.tell({ name: '\u001b[2Jboo', doneBytes: 0, totalBytes: 0 })
  assert.match(written[0] ?? '', /100 % {2}0 B of 0 B {2}\ufffd\[2Jboo$/)
})

test('sizes are told in at most three digits', () => {
  const sizes: [number, string][] = [
    [0, '0 B'],
    [999, '999 B'],
    [1_000, '1.0 kB'],
    [99_400, '99.4 kB'],
    [123_456, '123 kB'],
    [999_600, '1.0 MB'],
    [5e9, '5.0 GB'],
    [5e15, '5000 TB'],
  ]
  for (const [bytes, text] of sizes) assert.equal(sizeText(bytes), text)
})

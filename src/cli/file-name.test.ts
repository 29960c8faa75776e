import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { join, relative } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { numberedName, safeName } from './file-name.ts'

test('a name of a remote becomes one name in our folder, whatever it says', () => {
  const hostile: [string, string][] = [
    ['photo.jpg', 'photo.jpg'],
    ['../../etc/passwd', 'passwd'],
    ['/etc/shadow', 'shadow'],
    ['C:\\Windows\\system32\\drivers.sys', 'drivers.sys'],
    ['..', 'file'],
    ['.', 'file'],
    ['', 'file'],
    ['...', 'file'],
    ['/', 'file'],
    ['.bashrc', 'bashrc'],
    ['  .ssh', 'ssh'],
    ['a\u0000b.txt', 'a_b.txt'],
    ['a\nb.txt', 'a_b.txt'],
    ['\u001b[2Jboo', '_[2Jboo'],
    ['evil\u202egpj.exe', 'evil_gpj.exe'],
    ['a:stream', 'a_stream'],
    ['what?*.txt', 'what__.txt'],
    ['CON', '_CON'],
    ['nul.txt', '_nul.txt'],
    ['com1.tar.gz', '_com1.tar.gz'],
    ['trailing. . ', 'trailing'],
    ['\ud800x', '_x'],
    ['e\u0301.txt', '\u00e9.txt'],
    ['Grüße an Ann.txt', 'Grüße an Ann.txt'],
  ]
  for (const [given, expected] of hostile) assert.equal(safeName(given), expected, given)
})

test('a long name is cut between characters and keeps its ending', () => {
  const long = safeName(`${'ü'.repeat(300)}.tar.gz`)
  assert.ok(Buffer.byteLength(long) <= 200)
  assert.match(long, /^ü+\.gz$/)
  const longEnding = safeName(`a.${'x'.repeat(300)}`)
  assert.equal(Buffer.byteLength(longEnding), 200)
})

test('no name at all leaves the folder, hides or is longer than a file system takes', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 400 }), fc.nat(1_000), (given, number) => {
      const name = numberedName(safeName(given), number + 1)
      assert.equal(relative('/folder', join('/folder', name)), name)
      assert.ok(!/[/\\]/.test(name) && !name.startsWith('.') && name !== '')
      assert.ok(Buffer.byteLength(`${name}.12345678.part`) <= 255)
    }),
  )
})

test('a second file of a name is numbered before its ending', () => {
  assert.equal(numberedName('photo.jpg', 1), 'photo.jpg')
  assert.equal(numberedName('photo.jpg', 2), 'photo (2).jpg')
  assert.equal(numberedName('README', 3), 'README (3)')
})

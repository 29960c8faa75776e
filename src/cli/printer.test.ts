import assert from 'node:assert/strict'
import { test } from 'node:test'
import { harmless, printerTo } from './printer.ts'

test('text of remotes cannot steer the terminal', () => {
  assert.equal(harmless('a\u001b[2Jb\u0007\r\nc\u009bd\u202ee\u2028'), 'a�[2Jb���c�d�e�')
  assert.equal(harmless('ünï 👋🏽 日本 a\u200db'), 'ünï 👋🏽 日本 a\u200db')
})

test('a fact is a line for people or an object for programmes', () => {
  const lines: string[] = []
  const write = (text: string) => lines.push(text)
  printerTo(write, false)('join', { peerId: 'ab' }, '* ab joined')
  printerTo(write, false)('silent', { peerId: 'ab' })
  printerTo(write, true)('join', { peerId: 'ab' }, '* ab joined')
  assert.deepEqual(lines, ['* ab joined\n', '{"type":"join","peerId":"ab"}\n'])
})

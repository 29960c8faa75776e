import assert from 'node:assert/strict'
import { test } from 'node:test'
import { INBOX_BYTES_MAX, INBOX_MESSAGES_MAX, Inbox, type InboxMessage } from './inbox.ts'

function message(sequence: number, back: number, bytes = 0): InboxMessage {
  return { sequence, back, event: 'x', value: new Uint8Array(bytes) }
}

function sequences(released: InboxMessage[] | string): number[] {
  assert.ok(typeof released !== 'string', String(released))
  return released.map(({ sequence }) => sequence)
}

test('a message waits for the one it follows, also when that one waits itself', () => {
  const inbox = new Inbox()
  assert.deepEqual(sequences(inbox.arrived(message(3, 1))), [])
  assert.deepEqual(sequences(inbox.arrived(message(2, 2))), [])
  assert.deepEqual(sequences(inbox.arrived(message(1, 0))), [1])
  assert.deepEqual(sequences(inbox.arrived(message(0, 0))), [0, 2, 3])
  assert.equal(inbox.heldCount, 0)
  assert.equal(inbox.heldBytes, 0)
})

test('a message that arrived is not taken twice', () => {
  const inbox = new Inbox()
  inbox.arrived(message(0, 0))
  inbox.arrived(message(5, 1))
  assert.equal(inbox.arrived(message(0, 0)), 'replayed')
  assert.equal(inbox.arrived(message(5, 1)), 'replayed')
})

test('a letter of what waits in vain is not held back by what it would have followed', () => {
  const inbox = new Inbox()
  assert.deepEqual(sequences(inbox.arrived(message(1, 1, 10))), [])
  assert.deepEqual(sequences(inbox.arrived(message(2, 1, 10))), [])
  assert.deepEqual(sequences(inbox.arrived(message(1, 0, 10))), [1, 2])
  assert.deepEqual([inbox.heldCount, inbox.heldBytes], [0, 0])
  for (const sequence of [1, 2]) assert.equal(inbox.arrived(message(sequence, 0)), 'replayed')
  assert.deepEqual(sequences(inbox.arrived(message(0, 0))), [0])
})

test('two messages cannot wait for the same one', () => {
  const inbox = new Inbox()
  inbox.arrived(message(5, 3))
  assert.equal(inbox.arrived(message(6, 4)), 'malformed')
})

test('what a hostile member makes us hold is bounded in number and bytes', () => {
  const inbox = new Inbox()
  for (let i = 1; i < 3 * INBOX_MESSAGES_MAX; i++) inbox.arrived(message(i, 1))
  assert.equal(inbox.heldCount < INBOX_MESSAGES_MAX, true)
  assert.equal(inbox.arrived(message(2 ** 53 - 1, 1)), 'over-limit')
  const large = new Inbox()
  const verdicts = new Set<string>()
  for (let i = 1; i < 20; i++) verdicts.add(String(large.arrived(message(i, 1, 1024 * 1024))))
  assert.equal(verdicts.has('over-limit'), true)
  assert.equal(large.heldBytes <= INBOX_BYTES_MAX, true)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PeerId } from '../io.ts'
import { Turns } from './turns.ts'

const peer = (n: number) => `${n}` as PeerId

test('one at a time has its turn, the others in the order they came', () => {
  const turns = new Turns()
  assert.equal(turns.take(peer(1)), true, 'the first')
  assert.equal(turns.take(peer(1)), true, 'the first again')
  assert.equal(turns.take(peer(2)), false, 'the second waits')
  assert.equal(turns.take(peer(3)), false, 'the third waits')
  assert.equal(turns.release(peer(1)), peer(2), 'then it is the second')
  assert.equal(turns.take(peer(2)), true, 'who has it')
  assert.equal(turns.release(peer(1)), undefined, 'who had it has nothing to give')
  assert.equal(turns.release(peer(3)), undefined, 'who waits may leave')
  assert.equal(turns.release(peer(2)), undefined, 'nobody waits any more')
  assert.equal(turns.take(peer(4)), true, 'so the next has it at once')
})

test('no more than 64 wait', () => {
  const turns = new Turns()
  for (let i = 0; i < 1_000; i++) turns.take(peer(i))
  let given = 0
  for (let next = turns.release(peer(0)); next !== undefined; next = turns.release(next)) given++
  assert.equal(given, 64, 'turns given')
})

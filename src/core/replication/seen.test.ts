import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeenSet } from './seen.ts'

test('the last keys are remembered and never more than twice their number', () => {
  const seen = new SeenSet(100)
  for (let i = 0; i < 10_000; i++) {
    seen.add(`key ${i}`)
    assert.equal(seen.size <= 200, true)
    for (const back of [0, 1, 50, 99])
      if (i >= back) assert.equal(seen.has(`key ${i - back}`), true)
  }
  assert.equal(seen.has('key 0'), false)
})

test('a key added again takes no place', () => {
  const seen = new SeenSet(2)
  for (let i = 0; i < 10; i++) seen.add('same')
  assert.equal(seen.size, 1)
})

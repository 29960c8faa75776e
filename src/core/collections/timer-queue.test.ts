import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { TimerQueue } from './timer-queue.ts'

test('deadlines come out in order of time, then of setting, like a sorted list', () => {
  const operation = fc.record({
    key: fc.integer({ min: 0, max: 20 }),
    at: fc.option(fc.integer({ min: 0, max: 50 }), { nil: undefined }),
  })
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 300 }), (operations) => {
      const queue = new TimerQueue<number>()
      const model: { key: number; at: number; order: number }[] = []
      for (const [order, { key, at }] of operations.entries()) {
        queue.set(key, at, 'test')
        const index = model.findIndex((entry) => entry.key === key)
        if (index >= 0 && model[index]?.at === at) continue
        if (index >= 0) model.splice(index, 1)
        if (at !== undefined) model.push({ key, at, order })
      }
      model.sort((a, b) => a.at - b.at || a.order - b.order)
      for (const entry of model) assert.equal(queue.takeDue(50), entry.key)
      assert.equal(queue.takeDue(50), undefined)
      assert.equal(queue.size, 0)
    }),
  )
})

test('nothing is due before its time', () => {
  const queue = new TimerQueue<string>()
  queue.set('a', 10, 'test')
  assert.equal(queue.takeDue(9.99), undefined)
  assert.equal(queue.takeDue(10), 'a')
})

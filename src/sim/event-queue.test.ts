import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { EventQueue, Scheduled } from './event-queue.ts'

class Item extends Scheduled {
  readonly number: number
  constructor(number: number) {
    super()
    this.number = number
  }
  fire(): void {}
}

test('items come out by time, then in the order they were added, like a sorted list', () => {
  const operation = fc.oneof(
    fc.record({ type: fc.constant('add' as const), at: fc.integer({ min: 0, max: 20 }) }),
    fc.record({ type: fc.constant('remove' as const), at: fc.nat(200) }),
    fc.record({ type: fc.constant('take' as const), at: fc.constant(0) }),
  )
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
      const queue = new EventQueue()
      const items: Item[] = []
      const model: { item: Item; at: number; order: number }[] = []
      for (const { type, at } of operations) {
        if (type === 'add') {
          const item = new Item(items.length)
          model.push({ item, at, order: items.length })
          model.sort((a, b) => a.at - b.at || a.order - b.order)
          items.push(item)
          queue.add(item, at)
        } else if (type === 'take') assert.equal(queue.take(), model.shift()?.item)
        else {
          const item = items[at % Math.max(1, items.length)]
          if (item === undefined) continue
          queue.remove(item)
          const index = model.findIndex((entry) => entry.item === item)
          if (index >= 0) model.splice(index, 1)
        }
        assert.equal(queue.size, model.length)
        assert.equal(queue.first, model[0]?.item)
      }
      while (model.length > 0) assert.equal(queue.take(), model.shift()?.item)
      assert.equal(queue.take(), undefined)
    }),
  )
})

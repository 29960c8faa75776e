import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { SendProgress } from './send-progress.ts'

const LENGTH = 60
const step = fc.record({
  how: fc.constantFrom('send', 'send', 'acked', 'lost', 'repair'),
  start: fc.nat(LENGTH - 1),
  length: fc.integer({ min: 1, max: 15 }),
})

test('lost bytes are those lost and not acknowledged, whatever the order', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const progress = new SendProgress()
      progress.length = LENGTH
      const acked = new Set<number>()
      const lost = new Set<number>()
      for (const { how, start, length } of steps) {
        const from = how === 'send' ? progress.sent : start
        const to = Math.min(from + length, how === 'send' ? LENGTH : progress.sent)
        if (from >= to && how !== 'repair') continue
        if (how === 'send') progress.onSent(from, to)
        else if (how === 'acked') {
          for (let i = from; i < to; i++) acked.add(i)
          for (let i = from; i < to; i++) lost.delete(i)
          progress.onAcked(from, to)
        } else if (how === 'lost') {
          for (let i = from; i < to; i++) if (!acked.has(i)) lost.add(i)
          progress.onLost(from, to)
        } else if (progress.hasLost) {
          for (let i = progress.lostStart; i < progress.lostEnd; i++)
            assert.equal(lost.delete(i), true)
          progress.onSent(progress.lostStart, progress.lostEnd)
        }
        assert.equal(progress.hasLost, lost.size > 0)
        if (lost.size > 0) assert.equal(progress.lostStart, Math.min(...lost))
        let prefix = 0
        while (acked.has(prefix)) prefix++
        assert.equal(progress.acked, prefix)
        assert.equal(progress.isAcked, acked.size === LENGTH)
      }
    }),
    { seed: 2, numRuns: 500 },
  )
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Instant } from '../core/io.ts'
import { systemClock } from './clock.ts'

const after = (delayMs: number) => (systemClock().now() + delayMs) as Instant

test('a wake-up comes once, within a little of its time and never inside `at`', async () => {
  const clock = systemClock()
  for (const delayMs of [-5, 0, 0.3, 20]) {
    const when = after(delayMs)
    let wakes = 0
    await new Promise<void>((resolve) => {
      clock.at(when, () => {
        wakes++
        resolve()
      })
      assert.equal(wakes, 0)
    })
    assert.ok(clock.now() >= when - 2)
    await new Promise((resolve) => setTimeout(resolve, 5))
    assert.equal(wakes, 1)
  }
})

test('a cancelled wake-up does not come', async () => {
  const wakes: number[] = []
  for (const delayMs of [0, 1, 5]) systemClock().at(after(delayMs), () => wakes.push(delayMs))()
  await new Promise((resolve) => setTimeout(resolve, 30))
  assert.deepEqual(wakes, [])
})

test('a wake-up in a year does not come at once', async () => {
  let isAwake = false
  const cancel = systemClock().at(after(365 * 86_400_000), () => {
    isAwake = true
  })
  await new Promise((resolve) => setTimeout(resolve, 30))
  cancel()
  assert.equal(isAwake, false)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UsageFault } from './command.ts'
import { momentOption, secondsOption, spanOf, ttlOption } from './times.ts'

test('spans are a number and a unit', () => {
  assert.deepEqual(
    ['90s', '30m', '2h', '7d'].map(spanOf),
    [90_000, 1_800_000, 7_200_000, 604_800_000],
  )
  for (const text of ['', '2', 'h', '2 h', '-2h', '1.5h', '2w', '9999999999s'])
    assert.equal(spanOf(text), undefined, text)
  assert.equal(ttlOption(undefined, 'ttl'), undefined)
  for (const text of ['0s', 'soon', '8d']) assert.throws(() => ttlOption(text, 'ttl'), UsageFault)
})

test('a moment is a span ago, a date, or all', () => {
  const now = Date.parse('2026-11-27T12:00:00Z')
  assert.equal(momentOption('2h', 'since', now), now - 7_200_000)
  assert.equal(momentOption('all', 'since', now), 0)
  assert.equal(momentOption('2026-11-27T10:00Z', 'since', now), now - 7_200_000)
  assert.equal(momentOption('2026-11-27', 'since', now), now - 12 * 3_600_000)
  assert.equal(momentOption('9999999d', 'since', now), 0)
  for (const text of ['yesterday', '10:00', '2026', '2026-13-01', '5'])
    assert.throws(() => momentOption(text, 'since', now), UsageFault, text)
})

test('seconds that no timer can hold are refused', () => {
  assert.equal(secondsOption({ for: '5' }, 'for'), 5_000)
  assert.equal(secondsOption({}, 'for'), undefined)
  assert.throws(() => secondsOption({ for: '2147484' }, 'for'), UsageFault)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { jsonOf, lineOf, parsedValue } from './value-text.ts'

test('a typed value is JSON when it can be, else the text', () => {
  assert.deepEqual(['{"n": 5}', '5', '"5"', 'hello all', '{n}', ''].map(parsedValue), [
    { n: 5 },
    5,
    '5',
    'hello all',
    '{n}',
    '',
  ])
})

test('every value that can be sent has a JSON form and a line that does nothing to a terminal', () => {
  const value = {
    bytes: Uint8Array.of(1, 2),
    at: new Date(0),
    none: new Date(Number.NaN),
    big: 12n,
    map: new Map<unknown, unknown>([[1, [undefined, Number.NaN]]]),
    nothing: null,
  }
  assert.deepEqual(jsonOf(value), {
    bytes: { base64: 'AQI=' },
    at: '1970-01-01T00:00:00.000Z',
    none: null,
    big: '12',
    map: [[1, [null, 'NaN']]],
    nothing: null,
  })
  assert.equal(lineOf('hi\u001b[2J\nthere'), 'hi\ufffd[2J\ufffdthere')
  assert.equal(lineOf(new Uint8Array(9)), '<9 bytes>')
  assert.equal(lineOf({ a: '\u202e' }), '{"a":"\ufffd"}')
  assert.equal(lineOf(undefined), 'null')
})

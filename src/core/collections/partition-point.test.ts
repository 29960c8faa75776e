import assert from 'node:assert/strict'
import { test } from 'node:test'
import { partitionPoint } from './partition-point.ts'

test('it is where filtering would end', () => {
  for (let length = 0; length < 20; length++) {
    const list = Array.from({ length }, (_, i) => i >> 1)
    for (let limit = -1; limit <= length; limit++) {
      const isBefore = (one: number) => one < limit
      assert.equal(partitionPoint(list, isBefore), list.filter(isBefore).length)
    }
  }
})

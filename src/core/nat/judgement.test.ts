import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isBlock, judgeAllocation, judgeMapping, type Reflection } from './judgement.ts'
import { portDistance } from './port-distance.ts'

const OURS = '198.18.0.1'

/** Answers about one socket, as `host` and port pairs, one a reflector. */
function answers(...ports: readonly (number | undefined)[]): readonly Reflection[] {
  return ports.flatMap((port, order) =>
    port === undefined
      ? []
      : { socket: 16, reflector: `${order}`, localPort: 40_000, host: OURS, port, order },
  )
}

test('the mapping, from how many answers agree', () => {
  const table: readonly [ports: readonly number[], isDoubted: boolean, verdict: string][] = [
    [[], false, 'unknown'],
    [[5], false, 'unknown'],
    [[5, 5], false, 'endpoint-independent'],
    [[5, 5], true, 'endpoint-independent'],
    [[5, 6], false, 'unknown'],
    [[5, 6], true, 'endpoint-dependent'],
    [[5, 5, 6], true, 'endpoint-independent'],
    [[5, 6, 7], false, 'endpoint-dependent'],
    [[5, 5, 5, 6], true, 'endpoint-independent'],
    [[5, 5, 6, 7], false, 'endpoint-dependent'],
    [[5, 6, 7, 8], false, 'endpoint-dependent'],
  ]
  for (const [ports, isDoubted, verdict] of table) {
    const told = judgeMapping(answers(...ports), isDoubted)
    assert.equal(told.mapping, verdict, `${ports}, ${isDoubted}`)
    assert.equal(told.answers, ports.length)
  }
})

test('the allocation, from where ports lie', () => {
  const table: readonly [ports: readonly (number | undefined)[], verdict: string][] = [
    [[40_000, 40_001, 40_002, 40_003], 'preserving'],
    [[40_000, 40_001, 9, 40_003], 'preserving'],
    [[7_000, 7_001, 7_002, 7_003], 'sequential'],
    [[7_003, 7_002, 7_001, 7_000], 'sequential'],
    [[7_000, 7_016, 7_020, 7_021], 'sequential'],
    [[7_000, 7_001, 66, 7_003, 7_004], 'sequential'],
    [[65_534, 65_535, 1_024, 1_025], 'sequential'],
    [[7_000, 7_001, undefined, 7_002], 'unknown'],
    [[7_000, 7_017, 7_040, 7_019, 7_020], 'narrow'],
    [[7_000, 7_100, 7_050, 7_001, 11_095], 'narrow'],
    [[7_000, 7_100, 7_050, 7_001], 'unknown'],
    [[7_000, 66, 50_000, 31_000], 'random'],
    [[7_000, 7_001], 'unknown'],
    [[7_000], 'unknown'],
  ]
  for (const [ports, verdict] of table) {
    assert.equal(judgeAllocation(answers(...ports), 'endpoint-dependent'), verdict, `${ports}`)
    assert.equal(judgeAllocation(answers(...ports), 'unknown'), 'unknown')
  }
})

test('the order of repeated requests is uncertain: without it nothing is a sequence', () => {
  const repeated = answers(7_000, 7_001, 7_002, 7_003).map((each, i) =>
    i < 2 ? { ...each, order: undefined } : each,
  )
  assert.equal(judgeAllocation(repeated, 'endpoint-dependent'), 'unknown')
})

test('sixteen ports within 4,096 are a block, less or wider ones are not', () => {
  const ports = (count: number, apart: number) =>
    Array.from({ length: count }, (_, i) => ({ reflector: `${i % 4}`, port: 9_000 + apart * i }))
  assert.equal(isBlock(ports(16, 270)), true)
  assert.equal(isBlock(ports(15, 270)), false)
  assert.equal(isBlock(ports(16, 400)), false)
  const withLiar = ports(20, 200).map((each) =>
    each.reflector === '2' ? { ...each, port: 65_535 - each.port } : each,
  )
  assert.equal(isBlock(withLiar), true, 'one liar among four')
  const repeated = Array.from({ length: 64 }, () => ({ reflector: '1', port: 9_000 }))
  assert.equal(isBlock(repeated), false, 'one port, however often')
})

test('distances between ports go the shorter way round', () => {
  assert.equal(portDistance(1_024, 65_535), -1)
  assert.equal(portDistance(65_535, 1_025), 2)
  assert.equal(portDistance(5_000, 5_010), 10)
  assert.equal(portDistance(5_010, 5_000), -10)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PeerId } from '../io.ts'
import { bestRelays, compareRelays, RELAYS_MAX, type RelayCandidate } from './relay-choice.ts'

test('direct relays come before relayed ones, near before far, and old before young at a like distance', () => {
  const chained = relay('chained', { path: 'relayed', rttMs: 1 })
  const far = relay('far', { rttMs: 90 })
  const young = relay('young', { rttMs: 21, madeAt: 500 })
  const old = relay('old', { rttMs: 23, madeAt: 100 })
  const named = relay('named', { rttMs: 24, madeAt: 900, isKept: true })
  const sorted = [chained, far, young, old, named].sort(compareRelays)
  assert.deepEqual(sorted, [named, old, young, far, chained])
})

test('near relays that come later take every place but that of the most trusted', () => {
  const eldest = relay('eldest', { rttMs: 300, madeAt: 1 })
  let best = [eldest, relay('honest', { rttMs: 100, madeAt: 2 })]
  for (let i = 0; i < 100; i++) {
    best = bestRelays([...best, relay(`liar ${i}`, { rttMs: 1, madeAt: 100 + i })])
    assert.ok(best.length <= RELAYS_MAX)
  }
  assert.equal(best.length, RELAYS_MAX)
  assert.ok(best.includes(eldest))
  assert.equal(best.at(-1), eldest, 'it stays in reserve')
})

function relay(name: string, facts: Partial<RelayCandidate>): RelayCandidate {
  const candidate: RelayCandidate = {
    peer: name as PeerId,
    path: 'direct',
    rttMs: 20,
    madeAt: 0,
    isKept: false,
  }
  return { ...candidate, ...facts }
}

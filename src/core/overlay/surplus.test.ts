import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Instant, PeerId } from '../io.ts'
import { type SurplusSession, surplusSessions } from './surplus.ts'

const NOW = 60_000 as Instant

test('those go that nobody needs and nobody used lately, the longest unused first', () => {
  const sessions = [
    session('kept'),
    session('member'),
    session('owing', { owes: true }),
    session('talking', { usedAt: (NOW - 9_000) as Instant }),
    session('young', { madeAt: (NOW - 9_000) as Instant }),
    session('lost', { state: 'lost' }),
    session('relay'),
    session('relayed', { route: { kind: 'relay', via: id('relay'), prefix: '' } }),
    session('later', { usedAt: 20_000 as Instant }),
    session('x'),
  ]
  const limits = {
    kept: new Set([id('kept'), id('relayed')]),
    excess: 10,
    isBusy: (peer: PeerId) => peer === id('member'),
  }
  assert.deepEqual(surplusSessions(sessions, limits, NOW), [id('x'), id('later')])
  assert.deepEqual(surplusSessions(sessions, { ...limits, excess: 1 }, NOW), [id('x')])
})

test('in a crowd less idleness is enough, and so many go at a time', () => {
  const at = { usedAt: (NOW - 4_000) as Instant, madeAt: (NOW - 4_000) as Instant }
  const limits = { kept: new Set<PeerId>(), excess: 900, isBusy: () => false }
  const crowd = Array.from({ length: 900 }, (_, i) => session(`${i}`, at))
  assert.equal(surplusSessions(crowd, limits, NOW).length, 64)
  assert.equal(surplusSessions(crowd.slice(0, 500), limits, NOW).length, 0)
})

function session(name: string, facts: Partial<SurplusSession> = {}): SurplusSession {
  const at = 0 as Instant
  return {
    peer: id(name),
    state: 'up',
    route: undefined,
    madeAt: at,
    usedAt: at,
    owes: false,
    ...facts,
  }
}

function id(name: string): PeerId {
  return name as PeerId
}

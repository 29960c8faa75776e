import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Instant, PeerId } from '../io.ts'
import type { SessionPath } from '../session/session-path.ts'
import {
  BEST_NEIGHBOURS,
  DORMANT_AFTER_MS,
  Wanted,
  type WantedHost,
  type WantedSession,
} from './wanted.ts'

const SLEPT_MS = DORMANT_AFTER_MS + 120_000

interface Told {
  isDormant: boolean
  pings: number
}

/** As much of a session as the choice looks at. */
function session(name: string, rest: Partial<WantedSession> = {}): WantedSession & Told {
  return {
    peer: name as PeerId,
    state: 'up',
    path: 'direct',
    route: undefined,
    paths: [],
    rttMs: 20,
    madeAt: 0 as Instant,
    usedAt: 0 as Instant,
    owes: false,
    isDormant: false,
    pings: 0,
    setDormant(isDormant: boolean) {
      this.isDormant = isDormant
    },
    ping() {
      this.pings++
    },
    ...rest,
  }
}

/** So many open neighbours that are nearer than anybody else. */
function best(): (WantedSession & Told)[] {
  return Array.from({ length: BEST_NEIGHBOURS }, (_, i) => session(`open ${i}`, { rttMs: 1 }))
}

function after(
  sessions: readonly WantedSession[],
  untilMs: number,
  host: Partial<WantedHost> = {},
): Wanted {
  const wanted = new Wanted(
    {
      sessions: () => sessions,
      isMember: () => false,
      isNamed: () => false,
      kept: () => new Set(),
      isOpen: (peer) => peer.startsWith('open'),
      ...host,
    },
    0 as Instant,
  )
  run(wanted, untilMs)
  return wanted
}

function run(wanted: Wanted, untilMs: number): void {
  for (let at = wanted.deadline().at; at <= untilMs; at = wanted.deadline().at) {
    wanted.onDeadline(at)
  }
}

function dormant(sessions: readonly WantedSession[]): PeerId[] {
  return sessions.filter(({ isDormant }) => isDormant).map(({ peer }) => peer)
}

test('whom nobody needs goes dormant after five minutes', () => {
  const sessions = [...best(), session('x'), session('y')]
  const wanted = after(sessions, DORMANT_AFTER_MS - 1)
  assert.deepEqual(dormant(sessions), [])
  run(wanted, SLEPT_MS)
  assert.deepEqual(dormant(sessions), ['x', 'y'])
})

test('members, those the app named, and whoever owes an answer stay warm', () => {
  const sessions = [
    ...best(),
    session('member'),
    session('named'),
    session('owing', { owes: true }),
    session('talking', { usedAt: SLEPT_MS as Instant }),
    session('lost', { state: 'lost' }),
    session('x'),
  ]
  after(sessions, SLEPT_MS, {
    isMember: (peer) => peer === 'member',
    isNamed: (peer) => peer === 'named',
  })
  assert.deepEqual(dormant(sessions), ['x'])
})

test('the best neighbours stay: open before others, direct before relayed, near before far', () => {
  const sessions = [
    ...Array.from({ length: 4 }, (_, i) => session(`far open ${i}`, { rttMs: 300 })),
    ...Array.from({ length: 4 }, (_, i) => session(`near ${i}`, { rttMs: 10 })),
    ...Array.from({ length: 4 }, (_, i) => session(`middling ${i}`, { rttMs: 50 })),
    session('relayed', { rttMs: 1, path: 'relayed' }),
  ]
  after(sessions, SLEPT_MS, { isOpen: (peer) => peer.startsWith('far open') })
  const slept = ['middling 0', 'middling 1', 'middling 2', 'middling 3', 'relayed']
  assert.deepEqual(dormant(sessions), slept)
})

test('who relays for a session that is needed stays, and who relays for the relay', () => {
  const via = (peer: string) => {
    const route = { kind: 'relay', via: peer as PeerId, prefix: '' } as const
    return [{ route, isProved: true } as SessionPath]
  }
  const sessions = [
    ...best(),
    session('member', { path: 'relayed', paths: [...via('relay'), ...via('standby')] }),
    session('relay', { path: 'relayed', paths: via('second') }),
    session('second'),
    session('standby'),
    session('stranger', { path: 'relayed', paths: via('x') }),
    session('x'),
  ]
  after(sessions, SLEPT_MS, { isMember: (peer) => peer === 'member' })
  assert.deepEqual(dormant(sessions), ['stranger', 'x'])
})

test('a dormant session that is needed after all wakes and asks whether the remote is there', () => {
  const neighbours = best()
  const spare = session('open spare', { rttMs: 200 })
  const sessions = [...neighbours, spare]
  const wanted = after(sessions, SLEPT_MS)
  assert.deepEqual(dormant(sessions), ['open spare'])
  sessions.shift()
  run(wanted, SLEPT_MS + 60_000)
  assert.deepEqual(dormant(sessions), [])
  assert.equal(spare.pings, 1)
})

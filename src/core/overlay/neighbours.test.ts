import assert from 'node:assert/strict'
import { test } from 'node:test'
import { prefixOf } from '../session/route.ts'
import { Host, id, via, WALL } from './neighbour-host.fixture.ts'

test('a newcomer dials at once whom its neighbour knows, whatever the order of the ids', () => {
  const host = new Host()
  const near = host.up(id(1))
  for (const other of [id(2), id(999)]) host.hear(near, 'peers', [other])
  host.runTo(0)
  assert.deepEqual(
    host.dials.map(({ peer }) => peer),
    [id(2), id(999)],
  )
})

test('who was there waits for the newcomer to dial; of two that wait the lower id dials first', () => {
  const host = new Host()
  const near = host.up(id(1))
  host.hear(near, 'newcomers', [id(2), id(999)])
  host.runTo(399)
  assert.equal(host.dials.length, 0)
  host.runTo(440)
  assert.deepEqual(
    host.dials.map(({ peer }) => peer),
    [id(999)],
  )
  host.runTo(840)
  assert.equal(host.dials.at(-1)?.peer, id(2))
})

test('who the app asks for is dialled at once, newcomer or not', () => {
  const host = new Host()
  const near = host.up(id(1))
  host.neighbours.addBootstrap({ peer: id(2), addresses: [] }, host.now)
  host.runTo(0)
  host.hear(near, 'newcomers', [id(2)])
  host.runTo(1)
  assert.deepEqual(host.dials.at(-1), { peer: id(2), routes: [via(id(1), id(2))] })
})

test('two relays race: the second is added to a dial under way, more when the first two are silent', () => {
  const host = new Host()
  const relays = [1, 2, 3, 4].map((n) => host.up(id(n), { rttMs: 10 * n }))
  for (const relay of relays) {
    host.hear(relay, 'peers', [id(9)])
    host.runTo(host.now)
  }
  const routes = () => host.routesOf(id(9))
  assert.deepEqual(routes(), [via(id(1), id(9)), via(id(2), id(9))])
  host.runTo(host.now + 1_000)
  assert.equal(routes().length, 4)
})

test('relays to a peer are told best first, at most four, and not when their session is gone', () => {
  const host = new Host()
  const relays = [50, 10, 40, 20, 30].map((rttMs, i) => host.up(id(i + 1), { rttMs }))
  for (const relay of relays) host.hear(relay, 'peers', [id(9)])
  const names = () =>
    host.neighbours.relaysTo(id(9)).map((route) => route.kind === 'relay' && route.via)
  assert.deepEqual(names(), [id(2), id(4), id(5), id(1)], 'the eldest is kept though it is far')
  const [eldest, nearest] = relays
  assert.ok(eldest !== undefined && nearest !== undefined)
  nearest.state = 'lost'
  assert.deepEqual(names(), [id(4), id(5), id(1)])
  host.gone(eldest)
  assert.deepEqual(names(), [id(4), id(5)])
  nearest.state = 'up'
  assert.deepEqual(names(), [id(2), id(4), id(5)], 'a session that came back relays again')
  assert.deepEqual(host.neighbours.relaysTo(id(77)), [])
})

test('who relayed a session to us is known to have one with its remote', () => {
  const host = new Host()
  host.up(id(1))
  host.up(id(9), { path: 'relayed', route: via(id(1), id(9)) })
  assert.deepEqual(host.neighbours.relaysTo(id(9)), [via(id(1), id(9))])
})

test('a relay that does not know the peer is forgotten for it, one over its budget is not', () => {
  const host = new Host()
  for (const n of [1, 2, 3]) host.hear(host.up(id(n), { rttMs: 10 * n }), 'peers', [id(9)])
  host.runTo(0)
  assert.equal(host.routesOf(id(9)).length, 2)
  host.neighbours.refused(id(1), prefixOf(id(9)), 'over-budget', host.now)
  assert.equal(host.neighbours.relaysTo(id(9)).length, 3)
  host.neighbours.refused(id(1), prefixOf(id(9)), 'unknown', host.now)
  assert.deepEqual(host.neighbours.relaysTo(id(9)), [via(id(2), id(9)), via(id(3), id(9))])
  assert.equal(host.routesOf(id(9)).length, 3, 'the third takes its place at once')
})

test('a relay that is itself relayed is used when there is no other, and a third never is', () => {
  const host = new Host()
  host.up(id(1))
  const second = host.up(id(2), { path: 'relayed', route: via(id(1), id(2)) })
  const third = host.up(id(3), { path: 'relayed', route: via(id(2), id(3)) })
  host.hear(third, 'peers', [id(9)])
  assert.deepEqual(host.neighbours.relaysTo(id(9)), [], 'three in a chain')
  host.hear(second, 'peers', [id(9)])
  host.runTo(0)
  assert.deepEqual(host.routesOf(id(9)), [{ ...via(id(2), id(9)), isChained: true }])
  host.hear(second, 'peers', [id(1)])
  assert.deepEqual(host.neighbours.relaysTo(id(1)), [], 'not to a peer through itself')
})

test('a direct relay is dialled through before any relayed one', () => {
  const host = new Host()
  const direct = host.up(id(1), { rttMs: 200 })
  const chained = host.up(id(2), { path: 'relayed', route: via(id(1), id(2)), rttMs: 5 })
  host.hear(chained, 'peers', [id(9)])
  host.hear(direct, 'peers', [id(9)])
  host.runTo(0)
  assert.deepEqual(host.routesOf(id(9)), [via(id(1), id(9))])
  assert.deepEqual(host.neighbours.relaysTo(id(9)), [
    via(id(1), id(9)),
    { ...via(id(2), id(9)), isChained: true },
  ])
})

test('a flood of made-up ids begins no more dials than one neighbour may cause', () => {
  const host = new Host()
  const liar = host.up(id(1))
  const honest = host.up(id(2))
  for (let round = 0; round < 200; round++) {
    const made = Array.from({ length: 256 }, (_, i) => id(10_000 + 256 * round + i))
    host.hear(liar, 'peers', made)
    host.runTo(host.now + 5)
  }
  assert.equal(host.dials.length, 64)
  host.hear(honest, 'peers', [id(9)])
  host.runTo(host.now + 20)
  assert.equal(host.dials.at(-1)?.peer, id(9), 'an honest neighbour is heard all the same')
})

test('a peer is announced once, however often its path changes, and again when it came back', () => {
  const host = new Host()
  const listener = host.up(id(1))
  const other = host.up(id(2))
  host.runTo(100)
  for (let i = 0; i < 10; i++) {
    host.neighbours.pathChanged(other, host.now, WALL)
    host.runTo(host.now + 100)
  }
  const told = () =>
    host.told(listener).filter((told) => told.type === 'newcomers' && told.peers.includes(id(2)))
  assert.equal(told().length, 1)
  other.state = 'lost'
  host.neighbours.sessionGone(other, host.now, false)
  other.state = 'up'
  host.neighbours.sessionUp(other, host.now, WALL)
  host.runTo(host.now + 100)
  assert.equal(told().length, 2)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NatOptions, SimPeer, World } from '../../src/sim/index.ts'
import { bytesOf, CLUSTER_ID, join, membersSeenBy, send, world } from './subcluster.fixture.ts'

/** Sessions that nobody needs cost nothing, and are there at once when somebody does. */
const PUBLIC = 12
const HOMES = 28
const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const HOME: NatOptions = { filtering: 'address-and-port-dependent', lifetimeMs: 60_000 }

test('40 peers of different subclusters: idle sessions sleep, and wake at once', (t) => {
  const net = world({ seed: 'dormancy', defaultLink: { latencyMs: 15 } })
  const { peers, homes } = crowd(net, HOMES)
  const [a, b] = homes.slice(-2)
  assert.ok(a !== undefined && b !== undefined)
  for (const peer of [a, b]) join(peer)
  net.run(2 * MINUTE_MS)
  for (const peer of peers) assert.equal(peer.snapshot().sessions.length, peers.length - 1)
  const before = perPeerAndHour(net, peers.length, 2 * MINUTE_MS)
  net.run(6 * MINUTE_MS)
  const after = perPeerAndHour(net, peers.length, HOUR_MS)
  t.diagnostic(
    `datagrams of a peer in an hour: ${Math.round(before)} before, ${Math.round(after)} after`,
  )
  assert.ok(after < before / 2, 'less than half')
  for (const peer of peers) {
    assert.equal(peer.snapshot().state, 'online')
    assert.equal(peer.seen('disconnection').length, 0, 'nobody is given up')
    assert.equal(peer.snapshot().sessions.length, peers.length - 1)
  }

  send(a, 1, b, 'hello', bytesOf('x'))
  const toldMs = net.runUntil(() => b.seen('message').length === 1, 5_000)
  assert.ok(toldMs < 200, `members talk at once, not after ${toldMs} ms`)
  assert.equal(membersSeenBy(a).size, 1)

  const met: number[] = []
  for (let i = 0; i < 6; i += 2) {
    const [c, d] = [homes[i], homes[i + 1]]
    assert.ok(c !== undefined && d !== undefined)
    const key = new Uint8Array(32).fill(100 + i)
    // One alone speaks to the other, through mappings that ended long ago.
    join(c, key)
    net.run(5 * MINUTE_MS)
    join(d, key)
    const hasMet = () => membersSeenBy(c).has(d.peerId) && membersSeenBy(d).has(c.peerId)
    met.push(net.runUntil(hasMet, 10_000))
  }
  t.diagnostic(`a dormant pair behind two NATs met after ${Math.max(...met)} ms at most`)
  for (const ms of met) assert.ok(ms <= 2_000, `met after ${ms} ms`)

  const bootstrap = peers.slice(0, 1).map(({ host }) => host)
  const newcomer = net.addPeer({ clusterId: CLUSTER_ID, bootstrap, nat: HOME })
  const everyoneMs = net.runUntil(
    () => newcomer.snapshot().sessions.length === peers.length,
    30_000,
  )
  t.diagnostic(`a newcomer met everyone in ${everyoneMs} ms`)
})

test('a dormant neighbour that vanished is found out when it is spoken to', () => {
  const net = world({ seed: 'vanished', defaultLink: { latencyMs: 15 } })
  const { peers, homes } = crowd(net, 2)
  net.run(10 * MINUTE_MS)
  const [a, b] = homes
  assert.ok(a !== undefined && b !== undefined)
  b.host.crash()
  net.run(HOUR_MS)
  const gone = () => a.seen('disconnection').some(({ peer }) => peer === b.peerId)
  assert.ok(!gone(), 'nobody asked')
  join(a)
  net.runUntil(gone, 100_000)
  const others = peers.filter((peer) => peer !== a && peer !== b)
  for (const { peerId } of others)
    assert.ok(!a.seen('disconnection').some(({ peer }) => peer === peerId), 'the others are there')
})

function crowd(
  net: World,
  homeCount: number,
): { peers: readonly SimPeer[]; homes: readonly SimPeer[] } {
  const publics: SimPeer[] = []
  for (let i = 0; i < PUBLIC; i++) {
    const bootstrap = publics.slice(0, 1).map(({ host }) => host)
    publics.push(net.addPeer({ clusterId: CLUSTER_ID, bootstrap }))
  }
  const bootstrap = publics.slice(0, 1).map(({ host }) => host)
  const homes = Array.from({ length: homeCount }, () =>
    net.addPeer({ clusterId: CLUSTER_ID, bootstrap, nat: HOME }),
  )
  return { peers: [...publics, ...homes], homes }
}

function perPeerAndHour(net: World, peers: number, forMs: number): number {
  const before = net.network.traffic.sent
  net.run(forMs)
  return ((net.network.traffic.sent - before) / peers) * (HOUR_MS / forMs)
}

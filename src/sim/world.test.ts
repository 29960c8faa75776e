import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sodiumNative } from '../crypto/sodium-native.ts'
import { checkEveryoneConnected, checkPorts } from './check.ts'
import { type PeerOptions, World } from './world.ts'

const CLUSTER = { clusterId: new Uint8Array(32).fill(7) }

test('peers that know one address come to be connected, with the same trace for the same seed', () => {
  const run = (seed: number) => {
    const world = new World({ seed, crypto: sodiumNative(), defaultLink: { latencyMs: 15 } })
    const first = world.addPeer(CLUSTER)
    const peers = [first, ...[1, 2, 3].map(() => add(world, { bootstrap: [first] }))]
    world.runUntil(() => peers.every((peer) => peer.snapshot().sessions.length >= 3), 20_000)
    checkEveryoneConnected(world, peers)
    checkPorts(world)
    assert.equal(peers[1]?.seen('connection').length, 3)
    return world.trace.hash()
  }
  assert.equal(run(1), run(1))
  assert.notEqual(run(1), run(2))
})

test('a bootstrap peer may be given as a peer, a host, an address or all public ones', () => {
  for (const form of ['peer', 'host', 'address', 'all'] as const) {
    const world = new World({ seed: 1, crypto: sodiumNative() })
    const first = world.addPeer(CLUSTER)
    world.addPeer({ ...CLUSTER, nat: {} })
    const given = { peer: [first], host: [first.host], address: [first.host.address], all: form }
    const bootstrap = form === 'all' ? form : given[form]
    const second = add(world, { bootstrap })
    world.runUntil(() => second.seen('connection').length > 0, 10_000)
    assert.equal(second.seen('connection')[0]?.peer, first.peerId)
  }
})

test('a peer keeps its identity over a restart, and its name decides it', () => {
  const world = new World({ seed: 1, crypto: sodiumNative() })
  const peer = add(world, { name: 'alice' })
  const before = peer.snapshot().peerId
  assert.equal(before, peer.peerId)
  peer.host.restart()
  assert.equal(peer.snapshot().peerId, before)
  const twin = new World({ seed: 1, crypto: sodiumNative() })
  add(twin, { name: 'bob' })
  assert.equal(add(twin, { name: 'alice' }).peerId, before)
})

function add(world: World, options: Omit<PeerOptions, 'clusterId'>) {
  return world.addPeer({ ...CLUSTER, ...options })
}

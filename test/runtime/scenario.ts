import type { Crypto } from '../../src/core/crypto.ts'
import type { SimPeer } from '../../src/sim/index.ts'
import { World } from '../../src/sim/index.ts'

const PEERS = 6
const SUBCLUSTER = 1
const MEETING_MS = 10_000
const CHATTER_MS = 20_000

/**
 * Six peers behind bad links meet, publish, talk to each other, and lose one of theirs. Uses nothing
 * but the language and the given crypto; the result is the trace hash of every datagram.
 */
export function runScenario(seed: number, crypto: Crypto): string {
  const defaultLink = { latencyMs: 15, lossRate: 0.05, duplicateRate: 0.05, reorderRate: 0.05 }
  const world = new World({ seed, crypto, defaultLink })
  const clusterId = new Uint8Array(32).fill(1)
  const sharedKey = new Uint8Array(32).fill(2)
  const peers: SimPeer[] = []
  for (let i = 0; i < PEERS; i++) {
    const peer = world.addPeer({ clusterId, bootstrap: 'all' })
    peer.command({ type: 'join', subcluster: SUBCLUSTER, sharedKey, order: 'causal' })
    peers.push(peer)
  }
  world.run(MEETING_MS)
  for (const [i, peer] of peers.entries()) talk(peer, peers, i)
  world.run(CHATTER_MS / 2)
  peers[0]?.command({ type: 'close' })
  world.run(CHATTER_MS / 2)
  if (!peers.every((peer) => peer.seen('packet').length >= PEERS - 1)) {
    throw new Error('the scenario must deliver what is published: it proves nothing otherwise')
  }
  return world.trace.hash()
}

/** One publication to all, and one direct message of some fragments to each. */
function talk(from: SimPeer, peers: readonly SimPeer[], number: number): void {
  const value = new Uint8Array(5000).fill(number)
  const common = { subcluster: SUBCLUSTER, event: 'talk', value }
  from.command({ type: 'publish', operation: 1, delivery: 'durable', lifeMs: 60_000, ...common })
  for (const [i, { peerId }] of peers.entries()) {
    if (i !== number) from.command({ type: 'send', operation: 2 + i, peer: peerId, ...common })
  }
}

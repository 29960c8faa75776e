import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MALFORMED } from '../../src/core/errors.ts'
import type { PeerId } from '../../src/core/io.ts'
import { decodeNatMessage, encodeNatMessage } from '../../src/core/nat/messages.ts'
import { encodeOverlayMessage } from '../../src/core/overlay/messages.ts'
import type { SimPeer } from '../../src/sim/index.ts'
import {
  APDF,
  bytesOf,
  CLAIMS_FIXED,
  CLAIMS_RANDOM,
  type HostileHost,
  meetRelayed,
  scene,
  sessionBetween,
} from './hostile-net.fixture.ts'
import { prefixBytes } from './rogue.fixture.ts'

test('who claims a random NAT at a victim draws a few probes of what it names, and no spray', (t) => {
  const { hostile, us, relay } = scene('spray', APDF)
  const { host } = hostile.net.addHost().address
  const rogue = hostile.addRogue()
  meetRelayed(hostile, rogue, us, relay)
  hostile.sent.length = 0
  for (let second = 0; second < 120; second++) {
    rogue.claim(us, CLAIMS_RANDOM, [{ host, port: 5_000 + second }])
    rogue.aim(us, host)
    rogue.aim(us, host, { count: 128 })
    hostile.run(1_000)
  }
  const drawn = hostile.sentTo(host)
  t.diagnostic(`${drawn.length} datagrams, ${bytesOf(drawn)} bytes in 2 min`)
  assert.ok(drawn.length > 0, 'the attack was tried')
  assert.equal(us.snapshot().counters['sprays'], undefined, 'sprays')
  // Sixteen addresses at once and one more every 10 s, seven probes each.
  assert.ok(drawn.length <= 7 * (16 + 12), `${drawn.length} datagrams`)
  assert.equal(
    drawn.every((record) => record.host === us.name),
    true,
    'nobody else is drawn into it',
  )
})

test('with a witness that lies for it, a victim is sprayed three times in ten minutes and no more', (t) => {
  const { hostile, us, relay } = scene('colluding', APDF)
  const { host } = hostile.net.addHost().address
  const rogue = hostile.addRogue()
  const accomplice = hostile.addRogue()
  bear(accomplice, us, rogue.peerId)
  meetRelayed(hostile, accomplice, us, relay)
  accomplice.claim(us, CLAIMS_FIXED, [accomplice.host.address])
  hostile.run(2_000)
  assert.equal(sessionBetween(us, accomplice)?.path, 'direct', 'the accomplice is a neighbour')
  meetRelayed(hostile, rogue, us, relay)
  accomplice.act((actor) => {
    actor.tell(us.peerId, encodeOverlayMessage({ type: 'peers', peers: [rogue.peerId] }))
  })
  hostile.run(200)
  hostile.sent.length = 0
  let most = 0
  for (let second = 0; second < 600; second++) {
    const lifetimeMs = 5_000 * (1 + (second % 100))
    rogue.claim(us, { ...CLAIMS_RANDOM, lifetimeMs }, [{ host, port: 5_000 }])
    rogue.aim(us, host)
    const before = hostile.sentTo(host).length
    hostile.run(1_000)
    most = Math.max(most, hostile.sentTo(host).length - before)
  }
  const drawn = hostile.sentTo(host)
  t.diagnostic(`${drawn.length} datagrams, ${bytesOf(drawn)} bytes; ${most} in one second`)
  assert.equal(us.snapshot().counters['sprays'], 3, 'sprays')
  assert.ok(drawn.length > 1_536, 'the attack was tried')
  // Its one candidate is probed seven times, at first and whenever its budget has one more.
  assert.ok(drawn.length <= 3 * 1_536 + 7 * (16 + 60), `${drawn.length} datagrams in 10 min`)
  assert.ok(bytesOf(drawn) <= 60 * drawn.length, `${bytesOf(drawn)} bytes`)
  assert.ok(most <= 350, `${most} in one second`)
})

test('who is deaf by turns has a victim that it named probed no oftener than others', (t) => {
  const { hostile, us, relay } = scene('deaf', APDF)
  const { host } = hostile.net.addHost().address
  const rogue = hostile.addRogue()
  meetRelayed(hostile, rogue, us, relay)
  rogue.claim(us, CLAIMS_FIXED, [{ host, port: 5_000 }])
  hostile.sent.length = 0
  for (let round = 0; round < 200; round++) {
    rogue.act((actor) => {
      actor.push(us.peerId, { type: 'challenge', nonce: new Uint8Array(8).fill(round) })
      actor.hears = () => false
    })
    hostile.run(2_000)
    rogue.act((actor) => {
      actor.hears = () => true
    })
    hostile.run(2_000)
  }
  const drawn = hostile.sentTo(host)
  t.diagnostic(`${drawn.length} datagrams in 800 s`)
  assert.ok(sessionBetween(us, rogue) !== undefined, 'the session goes on')
  assert.ok(drawn.length > 7 * 16, 'the attack was tried')
  assert.ok(drawn.length <= 7 * (16 + 80), `${drawn.length} datagrams`)
})

/** Says that it sees a peer wherever it is asked about it. */
function bear(witness: HostileHost, us: SimPeer, about: PeerId): void {
  witness.rogue.onMessage = (from, payload) => {
    const message = decodeNatMessage(payload)
    if (message === MALFORMED || message.type !== 'witnessAsk' || from !== us.peerId) return
    const { prefix, address } = message
    assert.deepEqual(prefix, prefixBytes(about))
    witness.rogue.tell(from, encodeNatMessage({ type: 'witness', prefix, address, isSeen: true }))
  }
}

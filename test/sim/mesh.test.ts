import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkEveryoneConnected, ExactlyOnceDelivery } from '../../src/sim/index.ts'
import {
  addMember,
  addMembers,
  membersSeenBy,
  publish,
  textOf,
  textsOf,
  untilMet,
  world,
} from './subcluster.fixture.ts'

test('64 peers who know one of them all meet; every publish reaches every member once, at 2 % loss', (t) => {
  // A datagram crosses two lines: 1 − (1 − 0.01)² ≈ 2 % loss.
  const net = world({ seed: 64, defaultLink: { latencyMs: 20, jitterMs: 5, lossRate: 0.01005 } })
  const members = addMembers(net, 64)
  const metMs = untilMet(net, members, 30_000)
  net.run(5_000)
  checkEveryoneConnected(net, members)
  const once = new ExactlyOnceDelivery(net)
  for (const member of members) {
    member.onEvent((event) => {
      if (event.type === 'packet') once.received(textOf(event.value), member.name)
    })
  }
  for (let round = 0; round < 3; round++) {
    for (const member of members) {
      const text = `${member.name} ${round}`
      const others = members.filter((other) => other !== member).map(({ name }) => name)
      once.sent(text, others)
      publish(member, round, text)
    }
    net.run(500)
  }
  net.run(10_000)
  once.finish()
  const direct = members.flatMap((member) => member.snapshot().sessions)
  const share = direct.filter(({ path }) => path === 'direct').length / direct.length
  t.diagnostic(
    `all met after ${Math.round(metMs)} ms; ${(100 * share).toFixed(1)} % of paths direct`,
  )
  assert.equal(share, 1)
})

test('who lacks the shared key meets the same peers and joins, reads and injects nothing', () => {
  const net = world({ seed: 3, defaultLink: { latencyMs: 20 } })
  const members = addMembers(net, 3)
  const outsider = addMember(net, { bootstrap: 'all' }, new Uint8Array(32).fill(1))
  untilMet(net, members, 20_000)
  net.run(5_000)
  assert.equal(outsider.snapshot().sessions.length, 3, 'it is part of the same network')
  for (const member of members) publish(member, 1, 'secret')
  publish(outsider, 1, 'spam')
  net.run(5_000)
  assert.equal(membersSeenBy(outsider).size, 0)
  assert.equal(outsider.seen('packet').length, 0)
  for (const member of members) {
    assert.ok(!membersSeenBy(member).has(outsider.peerId))
    assert.deepEqual(new Set(textsOf(member, 'packet')), new Set(['secret']))
  }
})

test('two members who share only a stranger find each other through it', () => {
  const net = world({ seed: 4, defaultLink: { latencyMs: 20 } })
  const stranger = addMember(net, {}, new Uint8Array(32).fill(1))
  const alice = addMember(net, { bootstrap: [stranger.host] })
  const bob = addMember(net, { bootstrap: [stranger] })
  untilMet(net, [alice, bob], 3_000)
  net.run(3_000)
  const path = alice.snapshot().sessions.find(({ peer }) => peer === bob.peerId)?.path
  assert.equal(path, 'direct')
})

test('peers on one local network meet without being told of anyone', () => {
  const net = world({ seed: 5, defaultLink: { latencyMs: 5 } })
  const home = net.addNat()
  const alice = addMember(net, { nat: home, lan: true })
  const bob = addMember(net, { nat: home, lan: true })
  untilMet(net, [alice, bob], 2_000)
  assert.equal(alice.snapshot().sessions[0]?.path, 'lan')
})

test('a peer that says good-bye is seen leaving at once, one that crashed within 40 s', () => {
  const net = world({ seed: 6, defaultLink: { latencyMs: 20 } })
  const members = addMembers(net, 3)
  untilMet(net, members, 20_000)
  const [first, second, third] = members
  assert.ok(first !== undefined && second !== undefined && third !== undefined)
  third.host.stop()
  net.runUntil(() => !membersSeenBy(first).has(third.peerId), 200)
  second.host.crash()
  net.runUntil(() => !membersSeenBy(first).has(second.peerId), 40_000)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SimPeer } from '../../src/sim/index.ts'
import {
  addMembers,
  bytesOf,
  isDone,
  join,
  publish,
  send,
  textsOf,
  untilMet,
  world,
} from './subcluster.fixture.ts'

/**
 * Goal: whoever slept or moved is talking again within 2 s, and nothing that was acknowledged or
 * awaited is lost or doubled. Method: messages are sent towards the sleeper and by it before it
 * sleeps; its waking starts the clock.
 */
const MINUTES = 60_000

for (const monotonicJumps of [false, true]) {
  const clock = monotonicJumps ? 'a clock that ran on' : 'a clock that stood still'
  test(`a peer that slept 10 minutes, with ${clock}, talks again within 2 s`, () => {
    for (let seed = 1; seed <= 5; seed++) {
      const net = world({ seed, defaultLink: { latencyMs: 30, jitterMs: 5, lossRate: 0.01 } })
      const members = addMembers(net, 4)
      const [, awake, sleeper] = members as [SimPeer, SimPeer, SimPeer]
      untilMet(net, members, 20_000)
      net.run(2_000)
      sleeper.host.sleep()
      net.run(100)
      send(awake, 1, sleeper, 'note', bytesOf('while you slept'))
      net.run(10 * MINUTES)
      assert.ok(isDone(awake, 1), 'the others keep it')
      sleeper.host.wake({ monotonicJumps })
      send(sleeper, 2, awake, 'note', bytesOf('good morning'))
      net.runUntil(() => isDone(sleeper, 2), 2_000)
      net.runUntil(() => isDone(awake, 1), 2_000)
      net.run(30_000)
      assert.deepEqual(textsOf(sleeper, 'message'), ['while you slept'])
      assert.deepEqual(textsOf(awake, 'message'), ['good morning'])
    }
  })
}

test('a peer whose address changed under traffic talks again within 2 s', () => {
  for (let seed = 1; seed <= 5; seed++) {
    const net = world({ seed, defaultLink: { latencyMs: 30, lossRate: 0.01 } })
    const members = addMembers(net, 4)
    const [, still, mover] = members as [SimPeer, SimPeer, SimPeer]
    untilMet(net, members, 20_000)
    net.run(2_000)
    const expected: string[] = []
    let operation = 0
    for (let i = 0; i < 20; i++) {
      if (i === 10) net.move(mover.host, {})
      const text = String(i)
      expected.push(text)
      send(still, ++operation, mover, 'note', bytesOf(text))
      send(mover, ++operation, still, 'note', bytesOf(text))
      net.run(20)
    }
    const all = () =>
      textsOf(mover, 'message').length === expected.length &&
      textsOf(still, 'message').length === expected.length
    net.runUntil(all, 2_000)
    net.run(10_000)
    assert.deepEqual(textsOf(mover, 'message'), expected)
    assert.deepEqual(textsOf(still, 'message'), expected)
  }
})

test('a peer that moved and says nothing is followed to its new address within 2 s', () => {
  for (let seed = 1; seed <= 6; seed++) {
    const net = world({ seed, defaultLink: { latencyMs: 30, lossRate: 0.01 } })
    const members = addMembers(net, 2)
    const [still, mover] = (seed % 2 === 0 ? members : members.reverse()) as [SimPeer, SimPeer]
    untilMet(net, members, 20_000)
    net.run(2_000)
    const expected: string[] = []
    let movedAtMs = 0
    let heardAtMs = Number.POSITIVE_INFINITY
    mover.onEvent((event) => {
      if (event.type === 'message' && movedAtMs > 0) heardAtMs = Math.min(heardAtMs, net.nowMs)
    })
    for (let i = 0; i < 300; i++) {
      if (i === 50) {
        net.move(mover.host, {})
        movedAtMs = net.nowMs
        heardAtMs = Number.POSITIVE_INFINITY
      }
      expected.push(String(i))
      send(still, i + 1, mover, 'note', bytesOf(String(i)))
      net.run(10)
    }
    net.run(5_000)
    assert.deepEqual(textsOf(mover, 'message'), expected)
    assert.equal(heardAtMs - movedAtMs < 2_000, true, `${heardAtMs - movedAtMs} ms`)
  }
})

test('a peer that was killed and started again meets the others from what it remembers', () => {
  for (let seed = 1; seed <= 5; seed++) {
    const net = world({ seed, defaultLink: { latencyMs: 30 } })
    const members = addMembers(net, 4)
    const [introducer, other, victim] = members as [SimPeer, SimPeer, SimPeer]
    untilMet(net, members, 20_000)
    net.run(5_000)
    introducer.host.crash()
    victim.host.crash()
    net.run(1_000)
    const before = victim.seen('member').length
    victim.host.restart()
    join(victim)
    const isBack = () =>
      victim
        .seen('member')
        .slice(before)
        .some((event) => event.change.state === 'joined' && event.peer === other.peerId)
    net.runUntil(isBack, 5_000)
    publish(victim, 9, 'back')
    net.run(1_000)
    assert.deepEqual(textsOf(other, 'packet'), ['back'])
  }
})

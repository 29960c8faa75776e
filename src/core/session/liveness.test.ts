import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DIRECT, type End, flow, Wires } from './wires.fixture.ts'

const HOUR_MS = 3_600_000

function direct(seed: number, latencyMs = 20) {
  const lab = new Wires(seed)
  const wire = lab.straight(...DIRECT, { latencyMs })
  const [a, b] = lab.begin(wire)
  lab.run(2_000)
  return { lab, wire, a, b }
}

function datagrams(...ends: End[]): number {
  return ends.reduce((sum, { sizes }) => sum + sizes.length, 0)
}

test('an idle hour costs a ping and its acknowledgement every keepalive, by one side for both', (t) => {
  for (const [keepaliveMs, limit] of [
    [undefined, 480],
    [60_000, 120],
    [120_000, 60],
  ] as const) {
    const { lab, a, b } = direct(1)
    for (const { session } of [a, b]) if (keepaliveMs) session.keepaliveMs = keepaliveMs
    lab.run(200_000)
    const before = datagrams(a, b)
    lab.run(HOUR_MS)
    const count = datagrams(a, b) - before
    t.diagnostic(`keepalive ${a.session.keepaliveMs} ms: ${count} datagrams an idle hour`)
    assert.ok(count <= limit + 2 && count > limit - 6, `${count} datagrams`)
    assert.equal(a.happened('lost').length + b.happened('lost').length, 0)
  }
})

test('a keepalive stays within 10 to 120 s, whatever it is set to', () => {
  const { a } = direct(2)
  for (const [asked, got] of [
    [1, 10_000],
    [1e9, 120_000],
    [42_000, 42_000],
  ] as const) {
    a.session.keepaliveMs = asked
    assert.equal(a.session.keepaliveMs, got)
  }
})

test('a remote that is gone is lost after two keepalives and 2 s', () => {
  for (const keepaliveMs of [10_000, 15_000, 120_000]) {
    const { lab, wire, a, b } = direct(3)
    for (const { session } of [a, b]) session.keepaliveMs = keepaliveMs
    lab.run(5_000)
    lab.cut(wire)
    lab.run(2 * keepaliveMs - 6_000)
    assert.equal(a.session.state, 'up')
    lab.run(9_000)
    assert.deepEqual([a.session.state, b.session.state], ['lost', 'lost'])
  }
})

for (const [everyMs, withinMs] of [
  [40, 1_000],
  [700, 2_200],
] as const)
  test(`a side that only received notices within ${withinMs} ms that the way of a flow, one in ${everyMs} ms, ended`, () => {
    for (const receiver of ['initiator', 'responder'] as const) {
      const { lab, wire, a, b } = direct(4)
      const [from, to] = receiver === 'initiator' ? [b, a] : [a, b]
      const answers = flow(lab, to, 100)
      lab.run(2_000)
      answers.stop()
      const one = flow(lab, from, everyMs)
      lab.run(3_000)
      lab.cut(wire)
      lab.run(withinMs)
      one.stop()
      assert.equal(to.happened('silent').length, 1, receiver)
    }
  })

test('a flow that just ended costs three pings, by one side, and none follow from those', () => {
  for (const senders of ['both', 'initiator', 'responder'] as const) {
    const { lab, a, b } = direct(5)
    const flows = [
      ...(senders === 'responder' ? [] : [flow(lab, a, 40)]),
      ...(senders === 'initiator' ? [] : [flow(lab, b, 40)]),
    ]
    lab.run(3_000)
    for (const one of flows) one.stop()
    lab.run(200)
    const before = datagrams(a, b)
    lab.run(14_000)
    assert.equal(datagrams(a, b) - before, 6, `${senders}: three pings and three answers`)
  }
})

test('a question and its answer draw no pings', () => {
  const { lab, a, b } = direct(6)
  a.say(0)
  lab.run(50)
  b.say(0)
  lab.run(200)
  const before = datagrams(a, b)
  lab.run(12_000)
  assert.equal(datagrams(a, b) - before, 0)
})

test('a dormant session costs nothing, is not lost, and wakes when either side speaks', () => {
  for (const speaker of ['a', 'b'] as const) {
    const { lab, a, b } = direct(7)
    for (const { session } of [a, b]) session.setDormant(true, lab.now)
    lab.run(1_000)
    const before = datagrams(a, b)
    lab.run(24 * HOUR_MS)
    assert.equal(datagrams(a, b), before)
    assert.deepEqual([a.session.state, b.session.state], ['up', 'up'])
    const [from, to] = speaker === 'a' ? [a, b] : [b, a]
    from.say(0)
    lab.run(1_000)
    assert.equal(to.received.length, 1)
    assert.deepEqual([a.session.isDormant, b.session.isDormant], [false, false])
    lab.run(60_000)
    assert.ok(datagrams(a, b) > before + 8, 'keepalives again')
  }
})

test('a dormant session whose way is gone says so when it is used, and is lost after the usual time', () => {
  const { lab, wire, a } = direct(8)
  a.session.setDormant(true, lab.now)
  lab.run(HOUR_MS)
  lab.cut(wire)
  a.say(0)
  lab.run(1_000)
  assert.equal(a.happened('silent').length, 1)
  assert.equal(a.session.state, 'up')
  lab.run(32_000)
  assert.equal(a.session.state, 'lost')
})

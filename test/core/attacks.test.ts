import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Endpoint } from '../../src/core/io.ts'
import { SeededRandom } from '../../src/sim/index.ts'
import { Lab, type LabPeer, SHARED_KEY } from './lab.fixture.ts'

const STRANGER: Endpoint = { kind: 'udp', socket: 0, host: '66.6.6.6', port: 6666 }

test('the first sealed answer comes after one round trip', () => {
  const lab = new Lab()
  const server = lab.add()
  const client = lab.add()
  lab.run(20)
  assert.equal(sessionsOf(client), 1, 'one round trip of 20 ms after the first datagram')
  lab.run(10)
  assert.equal(sessionsOf(server), 1)
})

test('1,000 replays of every datagram of a conversation change no state and draw nothing', () => {
  const { lab, a, b } = conversation()
  // STUN requests are answered as often as they come: 32 bytes for 20, within a budget (DESIGN §4).
  const recorded = lab.sent.filter(({ from, data }) => from === b && (data[0] ?? 0) >= 0xc0)
  lab.run(60_000)
  const before = a.state
  const messages = messagesOf(a)
  for (let i = 0; i < 1000; i++) {
    const replay = recorded[i % recorded.length]
    assert.ok(replay !== undefined)
    const source = i % 2 === 0 ? b.endpoint : STRANGER
    lab.sent = []
    lab.inject(a, source, replay.data)
    assert.equal(lab.sent.length, 0, `replay ${i} drew something`)
  }
  assert.equal(a.state, before)
  assert.equal(messagesOf(a), messages)
})

test('10,000 forged datagrams of every kind change no state and throw nothing', () => {
  const { lab, a, b } = conversation()
  lab.run(1_000)
  const before = a.state
  const random = new SeededRandom('forger')
  const kinds = [0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc8, 0xe0, 0xe1, 0xe9, 0xff, 0x00]
  const sizes = [182, 85, 192, 164, 109, 29, 192, 60, 1200, 24, 5, 20]
  for (let i = 0; i < 10_000; i++) {
    const data = random.bytes(sizes[i % sizes.length] ?? 1)
    data[0] = kinds[i % kinds.length] ?? 0
    if (i % 3 === 0) data[1] = 1
    lab.sent = []
    lab.inject(a, i % 5 === 0 ? b.endpoint : STRANGER, data)
    const answered = bytesTo(lab, STRANGER) + bytesTo(lab, b.endpoint)
    assert.ok(answered <= data.length, `kind ${data[0]}: ${answered} for ${data.length} bytes`)
  }
  assert.equal(a.state, before)
})

test('1,000,000 mutated datagrams change no state and throw nothing', () => {
  const { lab, a, b } = conversation()
  const recorded = lab.sent.filter(({ from, data }) => from === b && (data[0] ?? 0) >= 0xe0)
  lab.run(60_000)
  const before = a.state
  const messages = messagesOf(a)
  const random = new SeededRandom('mutator')
  const sample = recorded.at(-1)
  assert.ok(sample !== undefined)
  const data = sample.data.slice()
  for (let i = 0; i < 1_000_000; i++) {
    // A mutation is undone after its try: each datagram differs from a true one in one byte.
    const at = random.below(data.length)
    const original = data[at] ?? 0
    data[at] = original ^ (1 + random.below(255))
    a.core.handle({ type: 'datagram', from: b.endpoint, data }, lab.now, lab.wall)
    while (a.core.poll() !== undefined);
    data[at] = original
  }
  assert.equal(a.state, before)
  assert.equal(messagesOf(a), messages)
})

test('an unproved source never draws more bytes than it sent, three times as many once it began well', () => {
  const { lab, a, b } = conversation()
  // A sealed datagram that never reached `a` comes from a stranger's address: a moved peer, or a
  // thief who wants `a` to flood that address.
  b.command({
    type: 'send',
    operation: 99,
    subcluster: 1,
    peer: a.peerId,
    event: 'x',
    value: new Uint8Array(1),
  })
  const stolen = lab.sent.filter(({ from }) => from === b).at(-1)
  assert.ok(stolen !== undefined)
  lab.sent = []
  lab.inject(a, STRANGER, stolen.data)
  for (let i = 0; i < 20; i++) {
    a.command({
      type: 'send',
      operation: 200 + i,
      subcluster: 1,
      peer: b.peerId,
      event: 'big',
      value: new Uint8Array(50_000),
    })
  }
  lab.run(30_000)
  assert.ok(bytesTo(lab, STRANGER) <= 3 * stolen.data.length, `${bytesTo(lab, STRANGER)} bytes`)
  assert.equal(
    a.core.snapshot().sessions.find(({ peer }) => peer === b.peerId)?.address?.host,
    b.endpoint.host,
  )
})

test('nothing is ever sent to an address that merely stood in a datagram', () => {
  const lab = new Lab()
  const a = lab.add()
  const random = new SeededRandom('spoofer')
  const victim = [44, 9, 9, 9]
  for (let i = 0; i < 5_000; i++) {
    const data = random.bytes(192)
    data[0] = [0xc0, 0xc2, 0xc8, 0xe0][i % 4] ?? 0
    data[1] = 1
    data.set(victim, 8 + (i % 100))
    lab.inject(a, STRANGER, data)
  }
  lab.run(60_000)
  const others = lab.sent.filter(({ to }) => to.host !== STRANGER.host)
  assert.deepEqual(others, [])
})

test('a peer in a session cannot make us flood addresses that it names as its own', () => {
  const { lab, a, b } = conversation()
  const victims = Array.from({ length: 200 }, (_, i) => ({ host: `77.0.${i}.1`, port: 53 }))
  lab.sent = []
  for (const victim of victims) {
    // What `b` calls its own addresses, it tells every neighbour.
    b.core.handle(
      { type: 'socket', socket: 0, state: 'up', addresses: [victim] },
      lab.now,
      lab.wall,
    )
    lab.drain(b)
    lab.run(100)
  }
  b.command({ type: 'close' })
  lab.run(3_600_000)
  const drawn = lab.sent.filter(({ from, to }) => from === a && to.host.startsWith('77.'))
  const drawnBytes = drawn.reduce((sum, { data }) => sum + data.length, 0)
  assert.equal(drawn.length > 0, true, 'the attack was tried')
  // Sixteen addresses at once, one more every 10 s, seven probes each.
  assert.equal(drawn.length <= 7 * (16 + 2), true, `${drawn.length} datagrams`)
  assert.equal(drawnBytes <= 50 * drawn.length, true, `${drawnBytes} bytes`)
})

function conversation(): { lab: Lab; a: LabPeer; b: LabPeer } {
  const lab = new Lab()
  const a = lab.add()
  const b = lab.add()
  for (const peer of [a, b])
    peer.command({ type: 'join', subcluster: 1, sharedKey: SHARED_KEY, order: 'causal' })
  lab.run(2_000)
  for (let i = 0; i < 20; i++) {
    b.command({
      type: 'send',
      operation: i,
      subcluster: 1,
      peer: a.peerId,
      event: 'hello',
      value: new Uint8Array(100 * i),
    })
    lab.run(50)
  }
  assert.equal(messagesOf(a), 20)
  return { lab, a, b }
}

function sessionsOf(peer: LabPeer): number {
  return peer.core.snapshot().sessions.length
}

function messagesOf(peer: LabPeer): number {
  return peer.events.filter(({ type }) => type === 'message').length
}

function bytesTo(lab: Lab, endpoint: Endpoint): number {
  let bytes = 0
  for (const { to, data } of lab.sent) if (to.host === endpoint.host) bytes += data.length
  return bytes
}

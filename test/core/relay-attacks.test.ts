import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Endpoint, PeerId, SessionSnapshot } from '../../src/core/io.ts'
import { encodeOverlayMessage } from '../../src/core/overlay/messages.ts'
import { encodeShorts, KIND_WANT } from '../../src/core/replication/spread/spread-messages.ts'
import { toHex } from '../../src/core/wire/bytes.ts'
import { SeededRandom } from '../../src/sim/index.ts'
import { Lab, type LabPeer, SHARED_KEY } from './lab.fixture.ts'
import { prefixBytes } from './rogue.fixture.ts'

const VICTIM: Endpoint = { kind: 'udp', socket: 0, host: '66.6.6.6', port: 6666 }
const SEALED = 0xe0

test('nobody gets a route to another peer for himself: not by its name, nor by relaying in its name', () => {
  const { lab, a, b } = conversation()
  const impostor = lab.addRogue(b.peerId)
  const relay = lab.addRogue()
  meet(lab, relay, a)
  const stolen = lab.sent.filter(({ from }) => from === b).map(({ data }) => data)
  lab.sent = []
  for (let i = 0; i < 10; i++) {
    lab.act(impostor, (rogue) => rogue.dial(a.endpoint))
    lab.act(impostor, (rogue) => rogue.dial(a.endpoint, a.peerId))
    lab.act(relay, (rogue) => {
      rogue.tell(a.peerId, encodeOverlayMessage({ type: 'peers', peers: [b.peerId] }))
      for (const datagram of stolen.slice(0, 50)) {
        rogue.push(a.peerId, {
          type: 'relayed',
          prefix: prefixBytes(b.peerId),
          datagram,
          isChained: false,
        })
      }
    })
    lab.run(200)
  }
  assert.ok(a.counter('rejected.unauthentic') > 0, 'the impostor was heard')
  assert.ok(a.counter('rejected.replayed') + a.counter('rejected.unknown') > 0, 'so was the relay')
  assert.equal(sessionOf(a, b)?.address?.host, b.endpoint.host)
  assert.equal(sessionOf(a, b)?.path, 'direct')
  lab.sent = []
  const before = messagesOf(b)
  say(a, b, 300)
  lab.run(1_000)
  assert.equal(messagesOf(b), before + 1)
  const misled = lab.sent.filter(
    ({ from, to }) => from === a && to.host === impostor.at.endpoint.host,
  )
  assert.equal(misled.length, 0)
})

test('a flood of PEERS draws dials through the liar alone, and nothing for anybody else', () => {
  const { lab, a, b } = conversation()
  const liar = lab.addRogue()
  meet(lab, liar, a)
  lab.run(20_000)
  lab.sent = []
  const random = new SeededRandom('ids')
  for (let i = 0; i < 100; i++) {
    lab.act(liar, (rogue) => {
      const peers = Array.from({ length: 256 }, () => random.bytes(32)).map(hex)
      rogue.tell(a.peerId, encodeOverlayMessage({ type: 'peers', peers }))
    })
    lab.run(200)
  }
  const drawn = lab.sent.filter(({ from }) => from === a)
  const hosts = new Set(drawn.map(({ to }) => to.host))
  assert.deepEqual(hosts, new Set([liar.at.endpoint.host, b.endpoint.host]))
  const sent = bytes(lab.sent.filter(({ from }) => from === liar.at))
  const toOther = bytes(drawn.filter(({ to }) => to.host === b.endpoint.host))
  assert.ok(toOther <= 0.01 * sent, `${toOther} bytes to a bystander for ${sent}`)
  const back = bytes(drawn.filter(({ to }) => to.host === liar.at.endpoint.host))
  assert.ok(back <= sent, `${back} bytes back for ${sent}`)
})

test('one remote that lies about where it sees us moves nothing and draws nothing to the address it named', () => {
  const lab = new Lab()
  const friends = [lab.add(), lab.add(), lab.add()]
  lab.run(2_000)
  const b = lab.add()
  lab.run(2_000)
  const liar = lab.addRogue()
  meet(lab, liar, b)
  lab.sent = []
  for (let i = 0; i < 500; i++) {
    const address = { host: `77.7.${i & 7}.7`, port: 1_000 + i }
    lab.act(liar, (rogue) => rogue.push(b.peerId, { type: 'observed', address }))
    lab.run(20)
  }
  lab.run(30_000)
  assert.ok(friends.every((friend) => sessionOf(b, friend) !== undefined))
  const { observed } = b.core.snapshot()
  assert.ok(observed.length > 0, 'the others say where it is')
  assert.ok(observed.every(({ host }) => host === b.endpoint.host))
  const named = lab.sent.filter(({ to }) => to.host.startsWith('77.'))
  assert.equal(named.length, 0)
})

test('challenges from a forged source draw no more than three times their bytes, few or many', () => {
  for (const { challenges, rounds, gapMs } of [
    { challenges: 60, rounds: 200, gapMs: 10 },
    { challenges: 1, rounds: 20, gapMs: 4_000 },
  ]) {
    const { lab, a } = conversation()
    const { rogue, at } = lab.addRogue()
    meet(lab, { rogue, at }, a)
    lab.sent = []
    let forged = 0
    for (let round = 0; round < rounds; round++) {
      const datagrams = rogue.capture(() => {
        for (let i = 0; i < challenges; i++) {
          rogue.push(a.peerId, { type: 'challenge', nonce: new Uint8Array(8).fill(i) })
        }
      }, lab.now)
      for (const data of datagrams) {
        forged += data.length
        lab.inject(a, { ...VICTIM, port: 1_000 + (round % 50) }, data)
      }
      lab.run(gapMs)
    }
    lab.run(10_000)
    const drawn = bytes(lab.sent.filter(({ to }) => to.host === VICTIM.host))
    assert.ok(drawn > 0, 'it answers at all')
    assert.ok(drawn <= 3 * forged, `${drawn} bytes for ${forged}`)
  }
})

test('packets that are asked for from a forged source draw no more than three times its bytes there', (t) => {
  const { lab, a, b } = conversation()
  publish(lab, a, 100)
  const ids = b.events.flatMap((event) => (event.type === 'packet' ? event.packet.id : []))
  assert.equal(ids.length, 100)
  const { rogue, at } = lab.addRogue()
  meet(lab, { rogue, at }, a)
  const shorts = ids.map((id) => id.slice(0, 16))
  lab.sent = []
  let forged = 0
  for (let round = 0; round < 50; round++) {
    const ask = () => rogue.tell(a.peerId, encodeShorts(KIND_WANT, shorts))
    for (const data of rogue.capture(ask, lab.now)) {
      forged += data.length
      lab.inject(a, VICTIM, data)
    }
    lab.run(200)
  }
  lab.run(10_000)
  const drawn = bytes(lab.sent.filter(({ to }) => to.host === VICTIM.host))
  const answered = bytes(lab.sent.filter(({ to }) => to.host === at.endpoint.host))
  t.diagnostic(`${forged} bytes forged, ${drawn} came there, ${answered} to who asked`)
  assert.ok(answered > 100_000, 'it answers at all')
  assert.ok(drawn <= 3 * forged, `${drawn} bytes for ${forged}`)
})

test('a stranger in a session that asks for everything gets no more bytes than it sends', (t) => {
  const { lab, a } = conversation()
  publish(lab, a, 100)
  const stranger = lab.addRogue()
  meet(lab, stranger, a)
  lab.run(1_000)
  lab.sent = []
  const random = new SeededRandom('asks')
  for (let i = 0; i < 1_000; i++) {
    lab.act(stranger, (rogue) => {
      const payload = random.bytes(1 + random.below(200))
      payload[0] = 0x10 + (i % 0x40)
      rogue.tell(a.peerId, payload)
    })
    lab.run(10)
  }
  const asked = bytes(lab.sent.filter(({ from }) => from === stranger.at))
  const got = bytes(lab.sent.filter(({ to }) => to.host === stranger.at.endpoint.host))
  t.diagnostic(`${asked} bytes asked, ${got} bytes came`)
  assert.ok(got <= asked, `${got} bytes for ${asked}`)
})

test('a loop of relays that double every datagram is held to their budgets, and others get through', () => {
  const lab = new Lab()
  const honest = lab.add()
  const loop = [lab.addRogue(), lab.addRogue(), lab.addRogue()]
  const pair = [lab.addRogue(), lab.addRogue()] as const
  for (const rogue of [...loop, ...pair]) meet(lab, rogue, honest)
  for (const [i, { rogue }] of loop.entries()) {
    const next = loop[(i + 1) % loop.length]
    assert.ok(next !== undefined)
    rogue.onRelayed = (_from, datagram) => {
      for (let k = 0; k < 2; k++) rogue.relay(honest.peerId, next.at.peerId, datagram)
    }
  }
  const [first, second] = loop
  assert.ok(first !== undefined && second !== undefined)
  lab.sent = []
  lab.act(first, (rogue) => rogue.relay(honest.peerId, second.at.peerId, sealed(1_000)))
  let tried = 0
  for (let at = 0; at < 8_000; at += 500) {
    lab.run(500)
    tried++
    lab.act(pair[0], (rogue) => rogue.relay(honest.peerId, pair[1].at.peerId, sealed(900)))
  }
  lab.run(100)
  const carried = bytes(lab.sent.filter(({ from }) => from === honest))
  assert.ok(carried > 1_000_000, `${carried} bytes: the loop ran`)
  // Three sources with a burst of 500 kB and 125 kB/s each, and a tenth for what is added to each.
  assert.ok(carried <= 1.1 * 3 * (500_000 + 8.1 * 125_000), `${carried} bytes`)
  const passed = pair[1].rogue.frames.filter(({ frame }) => frame.type === 'relayed').length
  assert.equal(passed, tried)
})

test('a datagram nested for one relay after the other ends at the second: no relay sends more than it got', () => {
  const lab = new Lab()
  const relays = [lab.add(), lab.add(), lab.add()] as const
  const [first, second, third] = relays
  lab.run(2_000)
  const target = lab.addRogue()
  for (const relay of relays) meet(lab, target, relay)
  // It tells nobody where it is, so that its sessions with the others stay relayed.
  const source = lab.addRogue()
  meet(lab, source, first)
  for (const [via, to] of [
    [first, second],
    [second, third],
  ] as const) {
    lab.act(source, (rogue) => rogue.dialThrough(via.peerId, to.peerId))
    lab.run(200)
    assert.equal(source.rogue.sessions.with(to.peerId)?.path, 'relayed')
  }
  for (const last of [second, third]) {
    lab.sent = []
    const count = 300
    const before = target.rogue.frames.length
    for (let i = 0; i < count; i++) {
      lab.act(source, (rogue) => rogue.relay(last.peerId, target.at.peerId, sealed(600)))
    }
    lab.run(100)
    const route = source.rogue.sessions.with(last.peerId)?.route
    const isSecond = route?.kind === 'relay' && route.isChained !== true
    assert.equal(target.rogue.frames.length - before, isSecond ? count : 0)
    for (const relay of relays) {
      const got = lab.sent.filter(({ to }) => to.host === relay.endpoint.host)
      const sent = lab.sent.filter(({ from }) => from === relay)
      // Packet numbers take one to four bytes, and those of two legs differ; keepalives go their way.
      const slack = 3 * got.length + 1_000
      assert.ok(sent.length <= got.length + 10, `${sent.length} datagrams sent, ${got.length} got`)
      assert.ok(bytes(sent) <= bytes(got) + slack, `${bytes(sent)} bytes sent, ${bytes(got)} got`)
    }
  }
})

test('two relays that each reach us through the other carry nothing in a circle', () => {
  const lab = new Lab()
  const honest = lab.add()
  const rogues = [lab.addRogue(), lab.addRogue()] as const
  for (const rogue of rogues) meet(lab, rogue, honest)
  lab.sent = []
  // Each says that it knows the other, and the honest peer is asked to relay to both.
  for (const [i, rogue] of rogues.entries()) {
    const other = rogues[1 - i]?.at.peerId
    assert.ok(other !== undefined)
    lab.act(rogue, (actor) => {
      actor.tell(honest.peerId, encodeOverlayMessage({ type: 'peers', peers: [other] }))
      actor.relay(honest.peerId, other, sealed(1_000))
      actor.relay(honest.peerId, actor.peerId, sealed(1_000))
    })
  }
  lab.run(1_000)
  const large = lab.sent.filter(({ from, data }) => from === honest && data.length > 1_000)
  assert.equal(large.length, 2, 'each datagram is carried once, and none back to its source')
})

test('a source that floods its budget is still introduced, and still finds its direct path', () => {
  const lab = new Lab()
  const relay = lab.add()
  const target = lab.add()
  lab.run(2_000)
  const source = lab.addRogue()
  const sink = lab.addRogue()
  meet(lab, source, relay)
  meet(lab, sink, relay)
  // The short ones use up what is too little for the long ones.
  const flood = () =>
    lab.act(source, (rogue) => {
      for (const size of [1_000, 161]) {
        for (let i = 0; i < 50; i++) rogue.relay(relay.peerId, sink.at.peerId, sealed(size))
      }
    })
  for (let i = 0; i < 20; i++) flood()
  lab.run(100)
  assert.ok(relay.counter('relayRefusals') > 0, 'the budget is spent')
  const startedAt = lab.now
  for (let i = 0; i < 5; i++) flood()
  lab.act(source, (rogue) => rogue.dialThrough(relay.peerId, target.peerId))
  const session = () => source.rogue.sessions.with(target.peerId)
  while (session() === undefined && lab.now - startedAt < 1_000) {
    flood()
    lab.run(5)
  }
  assert.ok(lab.now - startedAt <= 60, `introduced after ${lab.now - startedAt} ms`)
  lab.act(source, () => session()?.tryRoute({ kind: 'udp', endpoint: target.endpoint }, lab.now))
  for (let i = 0; i < 20; i++) {
    flood()
    lab.run(10)
  }
  assert.equal(session()?.path, 'direct')
  assert.equal(sessionOf(target, source.at)?.path, 'direct')
})

function conversation(): { lab: Lab; a: LabPeer; b: LabPeer } {
  const lab = new Lab()
  const a = lab.add()
  const b = lab.add()
  for (const peer of [a, b])
    peer.command({ type: 'join', subcluster: 1, sharedKey: SHARED_KEY, order: 'causal' })
  lab.run(2_000)
  for (let i = 0; i < 20; i++) {
    say(b, a, i)
    lab.run(50)
  }
  assert.equal(messagesOf(a), 20)
  return { lab, a, b }
}

function publish(lab: Lab, by: LabPeer, packets: number): void {
  for (let i = 0; i < packets; i++)
    by.command({
      type: 'publish',
      operation: 1_000 + i,
      subcluster: 1,
      event: 'news',
      value: new Uint8Array(1_000),
      delivery: 'durable',
      lifeMs: 3_600_000,
    })
  lab.run(5_000)
}

function say(from: LabPeer, to: LabPeer, operation: number): void {
  const value = new Uint8Array(100)
  const peer = to.peerId
  from.command({ type: 'send', operation, subcluster: 1, peer, event: 'hello', value })
}

/** The rogue gets a session with the peer. */
function meet(lab: Lab, made: ReturnType<Lab['addRogue']>, peer: LabPeer): void {
  lab.act(made, (rogue) => rogue.dial(peer.endpoint))
  lab.run(100)
  assert.ok(made.rogue.sessions.with(peer.peerId) !== undefined)
}

function sessionOf(peer: LabPeer, other: LabPeer): SessionSnapshot | undefined {
  return peer.core.snapshot().sessions.find(({ peer: remote }) => remote === other.peerId)
}

function messagesOf(peer: LabPeer): number {
  return peer.events.filter(({ type }) => type === 'message').length
}

function bytes(sent: readonly { readonly data: Uint8Array }[]): number {
  return sent.reduce((sum, { data }) => sum + data.length, 0)
}

function sealed(size: number): Uint8Array {
  return new Uint8Array(size).fill(SEALED, 0, 1)
}

function hex(id: Uint8Array): PeerId {
  return toHex(id) as PeerId
}

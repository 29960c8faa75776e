import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MALFORMED } from '../../src/core/errors.ts'
import type { LocalAddress, PeerId } from '../../src/core/io.ts'
import { decodeNatMessage } from '../../src/core/nat/messages.ts'
import { encodeBindingRequest } from '../../src/core/wire/stun.ts'
import type { SimPeer } from '../../src/sim/index.ts'
import { SeededRandom } from '../../src/sim/index.ts'
import {
  APDF,
  addRelayed,
  bytesOf,
  CLAIMS_FIXED,
  HostileNet,
  meetRelayed,
  scene,
  sessionBetween,
} from './hostile-net.fixture.ts'
import { Lab } from './lab.fixture.ts'
import { prefixBytes } from './rogue.fixture.ts'

/** PROBES of one address, and what one session, or all, may have probed (docs/spec/nat.md, session.md). */
const PROBES = 7
const OF_ONE = 16
const OF_ALL = 512

test('STUN from a forged source draws 1.6 times its bytes at most, twenty times a second', () => {
  const lab = new Lab()
  const us = lab.add()
  lab.run(1_000)
  const random = new SeededRandom('stun')
  for (const { host, extra } of [
    { host: '66.6.6.6', extra: 0 },
    { host: '2a00:66::6', extra: 0 },
    { host: '2a00:66::6', extra: 8 },
    { host: '66.6.6.6', extra: 500 },
  ]) {
    lab.run(5_000)
    lab.sent = []
    let asked = 0
    for (let i = 0; i < 1_000; i++) {
      const request = new Uint8Array(20 + extra)
      request.set(encodeBindingRequest(random.bytes(12)))
      // Padding, as one attribute that nobody knows.
      if (extra > 0) {
        const view = new DataView(request.buffer)
        view.setUint16(2, extra)
        view.setUint32(20, 0x8022_0000 + extra - 4)
      }
      asked += request.length
      lab.inject(us, { kind: 'udp', socket: 0, host, port: 1 + i }, request)
      lab.run(10)
    }
    const drawn = lab.sent.filter(({ to }) => to.host === host)
    const bytes = drawn.reduce((sum, { data }) => sum + data.length, 0)
    const isAnswered = host.includes('.') || extra > 0
    assert.equal(drawn.length > 0, isAnswered, `${host} with ${extra} bytes more`)
    assert.ok(drawn.length <= 20 + 20 * 10, `${drawn.length} answers in 10 s`)
    for (const { data } of drawn) {
      assert.ok(data.length <= 1.6 * (20 + extra), `${data.length} bytes for ${20 + extra}`)
    }
    assert.ok(bytes <= 1.6 * asked, `${bytes} bytes for ${asked}`)
  }
})

test('KNOCK draws 32 bytes to the asker alone, from whatever source it is forged', () => {
  const hostile = new HostileNet('knock')
  const [us, bystander] = hostile.addCrowd(2)
  assert.ok(us !== undefined && bystander !== undefined)
  const victim = hostile.net.addHost()
  const rogue = hostile.addRogue()
  hostile.settle()
  rogue.dial(us)
  hostile.run(1_000)
  const asker = rogue.host.address.host
  hostile.sent.length = 0
  const seconds = 20
  for (let i = 0; i < 20 * seconds; i++) {
    rogue.say(us, {
      type: 'knock',
      transaction: new Uint8Array(12).fill(i),
      // As of services that answer whoever writes to them.
      port: [53, 123, 1_900, victim.port][i % 4] ?? 53,
      isFromOtherPort: i % 2 === 0,
    })
    hostile.run(50)
  }
  const honest = bystander.host.address.host
  const knocks = hostile.sent.filter(
    ({ host, remoteHost, data }) => host === us.name && remoteHost !== honest && isResponse(data),
  )
  assert.ok(knocks.length >= 4, 'the attack was tried')
  assert.ok(knocks.length <= 4 + 0.2 * seconds, `${knocks.length} knocks in ${seconds} s`)
  assert.equal(
    knocks.every(({ remoteHost, data }) => remoteHost === asker && data.length === 32),
    true,
    'to the asker, of 32 bytes',
  )
  assert.equal(hostile.sentTo(victim.address.host).length, 0, 'nothing reaches the victim')
  assert.ok(us.host.scratchSockets <= 10, `${us.host.scratchSockets} sockets are open`)
})

test('a KNOCK whose datagram comes from a forged source goes where the session is, not there', () => {
  const lab = new Lab()
  const us = lab.add()
  const { rogue, at } = lab.addRogue()
  lab.act({ rogue, at }, (actor) => actor.dial(us.endpoint))
  lab.run(500)
  lab.sent = []
  const victim = '66.6.6.6'
  const message = Uint8Array.of(3, 0, 0, 53, ...new Uint8Array(12).fill(5))
  for (let i = 0; i < 4; i++) {
    const datagrams = rogue.capture(() => rogue.tell(us.peerId, message), lab.now)
    for (const data of datagrams) {
      lab.inject(us, { kind: 'udp', socket: 0, host: victim, port: 6_666 }, data)
    }
    lab.run(100)
  }
  const knocks = lab.sent.filter(({ from, data }) => from === us && isResponse(data))
  assert.equal(knocks.length, 4, 'served')
  assert.equal(
    knocks.every(({ to }) => to.host === at.endpoint.host),
    true,
    'where the session is',
  )
})

test('WITNESS says yes or no to a guess, so often and no more, and never where a peer is', () => {
  const hostile = new HostileNet('oracle')
  const [us, target] = hostile.addCrowd(2)
  assert.ok(us !== undefined && target !== undefined)
  const hidden = hostile.addPeer(APDF)
  const rogue = hostile.addRogue()
  hostile.settle()
  rogue.dial(us)
  hostile.run(500)
  const known = [hidden, target].map(({ peerId }) => peerId)
  const places = new Map<PeerId, string>()
  for (const { peer, address } of us.snapshot().sessions) places.set(peer, address?.host ?? '')
  rogue.rogue.messages.length = 0
  const seconds = 10
  const guesses = 200
  for (let i = 0; i < guesses * seconds; i++) {
    const peer = known[i % 2] ?? us.peerId
    // One guess in fifty is right.
    const host = i % 50 < 2 ? (places.get(peer) ?? '') : `20.9.${i % 250}.9`
    rogue.say(us, { type: 'witnessAsk', prefix: prefixBytes(peer), address: { host, port: 1 } })
    hostile.run(1_000 / guesses)
  }
  const words = rogue.rogue.messages.flatMap(({ payload }) => {
    const message = decodeNatMessage(payload)
    return message !== MALFORMED && message.type === 'witness' ? message : []
  })
  assert.ok(words.length <= 64 + 8 * (seconds + 1), `${words.length} answers in ${seconds} s`)
  assert.ok(
    words.some(({ isSeen }) => isSeen),
    'a right guess is confirmed',
  )
  for (const { prefix, address, isSeen } of words) {
    const peer = known.find((id) => `${prefixBytes(id)}` === `${prefix}`)
    const isThere = peer !== undefined && places.get(peer) === address.host
    assert.equal(isSeen, isThere, `${address.host}: the very host of the guess`)
    assert.equal(isThere || address.host.startsWith('20.9.'), true, 'no other host is named')
  }
  const answered = hostile
    .sentTo(rogue.host.address.host, us)
    .reduce((sum, { data }) => sum + data.length, 0)
  const asked = bytesOf(
    hostile.sentTo(us.host.address.host).filter((r) => r.host === rogue.host.name),
  )
  assert.ok(answered <= asked, `${answered} bytes for ${asked}`)
})

test('a hundred remotes that name one victim as their own draw one budget of small probes to it', (t) => {
  const { hostile, us, relay } = scene('flood by candidates', APDF)
  const { host } = hostile.net.addHost().address
  const rogues = addRelayed(hostile, us, relay, 100)
  hostile.sent.length = 0
  const seconds = 60
  for (let second = 0; second < seconds; second++) {
    for (const [i, rogue] of rogues.entries()) {
      rogue.claim(
        us,
        { ...CLAIMS_FIXED, lifetimeMs: 5_000 * (1 + second) },
        portsOf(host, i, second),
      )
    }
    hostile.run(1_000)
  }
  const drawn = hostile.sentTo(host, us)
  const addresses = OF_ALL + 4 * seconds + rogues.length * 5
  t.diagnostic(`${drawn.length} datagrams, ${bytesOf(drawn)} bytes in a minute`)
  assert.ok(drawn.length > PROBES * OF_ALL * 0.9, 'the attack was tried')
  assert.ok(drawn.length <= PROBES * addresses, `${drawn.length} datagrams`)
  assert.ok(bytesOf(drawn) <= 50 * drawn.length, `${bytesOf(drawn)} bytes`)
  const asked = bytesOf(
    hostile.sent.filter((record) => rogues.some(({ host: h }) => h.name === record.host)),
  )
  assert.ok(bytesOf(drawn) <= asked, `${bytesOf(drawn)} bytes for ${asked}`)
})

test('two neighbours that agree on a lie about where we are have each neighbour probe it, and no more', (t) => {
  const hostile = new HostileNet('two liars')
  const crowd = hostile.addCrowd(6)
  const us = hostile.addPeer(APDF)
  const victim = hostile.net.addHost()
  const liars = [hostile.addRogue(), hostile.addRogue()]
  hostile.settle()
  for (const liar of liars) becomeNeighbour(hostile, liar, us, crowd[0])
  hostile.sent.length = 0
  const { host } = victim.address
  for (let second = 0; second < 60; second++) {
    const address = { host, port: 1_000 + second }
    for (const liar of liars) {
      liar.act((rogue) => rogue.push(us.peerId, { type: 'observed', address }))
    }
    hostile.run(1_000)
  }
  const drawn = hostile.sentTo(host)
  t.diagnostic(
    `${drawn.length} datagrams, ${bytesOf(drawn)} bytes in a minute from ${crowd.length}`,
  )
  const others = crowd.length + liars.length
  assert.ok(drawn.length <= others * PROBES * (OF_ONE + 6), `${drawn.length} datagrams`)
  for (const peer of crowd) assert.equal(sessionBetween(us, peer)?.path, 'direct', 'still direct')
})

test('a forwarding at a host where nobody sees us is told to nobody', () => {
  const hostile = new HostileNet('lying router')
  hostile.addCrowd(4)
  const us = hostile.addPeer(APDF)
  const victim = hostile.net.addHost()
  hostile.settle()
  hostile.sent.length = 0
  us.host.tellPortMapping({ protocol: 'upnp', external: victim.address })
  hostile.run(5_000)
  const mate = hostile.addPeer(APDF)
  hostile.run(5_000)
  assert.equal(sessionBetween(us, mate)?.path, 'direct', 'they punch, whatever the router says')
  assert.equal(hostile.sentTo(victim.address.host).length, 0, 'nobody writes to the victim')
  assert.equal(sessionBetween(mate, us)?.nat?.filtering, 'address-and-port-dependent')
})

/** Of STUN: the first byte of its type (RFC 8489 §5). */
function isResponse(data: Uint8Array): boolean {
  return data[0] === 1
}

function portsOf(host: string, i: number, round: number): LocalAddress[] {
  const first = 1_000 + ((i * 8 + round * 800) % 60_000)
  return Array.from({ length: 8 }, (_, k) => ({ host, port: first + k }))
}

/** A public rogue gets a direct session with a peer behind a NAT, as any neighbour would. */
function becomeNeighbour(
  hostile: HostileNet,
  rogue: ReturnType<HostileNet['addRogue']>,
  us: SimPeer,
  relay: SimPeer | undefined,
): void {
  assert.ok(relay !== undefined)
  meetRelayed(hostile, rogue, us, relay)
  rogue.claim(us, CLAIMS_FIXED, [rogue.host.address])
  hostile.run(2_000)
  assert.equal(sessionBetween(us, rogue)?.path, 'direct', 'a neighbour like any other')
}

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sodiumNative } from '../../crypto/sodium-native.ts'
import type { Endpoint, Instant, PeerId, RejectCode } from '../io.ts'
import { PADDED_BYTES } from '../wire/datagram.ts'
import { ANSWERS_MAX } from './answers.ts'
import { type Established, Handshakes } from './handshakes.ts'
import { Identity } from './identity.ts'
import type { Route } from './route.ts'

const crypto = sodiumNative()

test('IK: one round trip, and both sides hold the same keys and know each other', () => {
  const wire = new Wire()
  const a = wire.peer(1)
  const b = wire.peer(2)
  a.handshakes.dial(b.id, [wire.routeTo(b)], at(0))
  assert.deepEqual(wire.deliverOne(), 'initiateIk 182')
  assert.deepEqual(wire.deliverOne(), 'respondIk 85')
  const [mine] = a.results
  assert.equal(mine?.peer, b.id)
  assert.equal(b.results.length, 0, 'the responder waits for proof')
  confirm(a, b)
  assert.equal(b.results[0]?.peer, a.id)
  assert.deepEqual(b.results[0]?.binding, mine?.binding)
})

test('XX: an address is enough, and the third message completes it', () => {
  const wire = new Wire()
  const a = wire.peer(1)
  const b = wire.peer(2)
  a.handshakes.dial(undefined, [wire.routeTo(b)], at(0))
  wire.deliverAll()
  assert.equal(a.results[0]?.peer, b.id)
  assert.equal(b.results[0]?.peer, a.id)
  assert.deepEqual(a.results[0]?.observed, { host: '10.0.0.1', port: 1000 })
})

test('an answer is never longer than the message that drew it', () => {
  for (const isKnown of [true, false]) {
    const wire = new Wire()
    const a = wire.peer(1)
    const b = wire.peer(2)
    a.handshakes.dial(isKnown ? b.id : undefined, [wire.routeTo(b)], at(0))
    const first = wire.take()
    wire.deliver(first)
    const answer = wire.take()
    assert.ok(answer.data.length <= first.data.length)
  }
  assert.equal(PADDED_BYTES, 192)
})

test('simultaneous open by IK settles on the handshake of the lower id', () => {
  const wire = new Wire()
  const peers = [wire.peer(1), wire.peer(2)].sort((p, q) => (p.id < q.id ? -1 : 1))
  const [low, high] = peers
  assert.ok(low !== undefined && high !== undefined)
  low.handshakes.dial(high.id, [wire.routeTo(high)], at(0))
  high.handshakes.dial(low.id, [wire.routeTo(low)], at(0))
  wire.deliverAll()
  assert.equal(low.results.length, 1)
  assert.equal(low.results[0]?.isInitiator, true)
  confirm(low, high)
  assert.equal(high.results[0]?.isInitiator, false)
  assert.equal(high.handshakes.attemptCount, 0, 'the higher gave up its own attempt')
})

test('a first message that is replayed draws the same answer, then nothing, and no state', () => {
  const wire = new Wire()
  const a = wire.peer(1)
  const b = wire.peer(2)
  a.handshakes.dial(b.id, [wire.routeTo(b)], at(0))
  const first = wire.take()
  wire.deliver(first)
  const answer = wire.take()
  for (let i = 0; i < 1000; i++) {
    wire.deliver(first)
    assert.deepEqual(wire.take().data, answer.data)
  }
  assert.equal(b.handshakes.answerCount, 1)
  wire.deliver(answer)
  confirm(a, b)
  for (let i = 0; i < 1000; i++) wire.deliver(first)
  assert.equal(wire.queue.length, 0)
  assert.equal(b.results.length, 1)
  assert.equal(b.rejected.get('replayed'), 1000)
})

test('a flood of first messages costs cookies, not key agreements, and its notes are bounded', () => {
  const wire = new Wire()
  const b = wire.peer(2)
  const a = wire.peer(1)
  let answers = 0
  for (let i = 0; i < 3 * ANSWERS_MAX; i++) {
    const flooder = new Handshakes(
      { crypto, random: seeded(1000 + i), identity: a.identity, host: a.host },
      at(0),
    )
    flooder.dial(b.id, [wire.routeTo(b)], at(0))
    wire.deliver(wire.take())
    const answer = wire.take()
    if (answer.data.length > 29) answers++
  }
  assert.ok(answers <= 128, `${answers} answers`)
  assert.ok(b.handshakes.answerCount <= ANSWERS_MAX)
})

test('under load a real peer proves its address with the cookie and gets in', () => {
  const wire = new Wire()
  const b = wire.peer(2)
  const flood = wire.peer(3)
  for (let i = 0; i < 200; i++) {
    const flooder = new Handshakes(
      { crypto, random: seeded(2000 + i), identity: flood.identity, host: flood.host },
      at(0),
    )
    flooder.dial(b.id, [wire.routeTo(b)], at(0))
    wire.deliver(wire.take())
    wire.queue.length = 0
  }
  const a = wire.peer(1)
  a.handshakes.dial(b.id, [wire.routeTo(b)], at(1))
  assert.equal(wire.deliverOne(), 'initiateIk 182')
  assert.equal(wire.deliverOne(), 'cookie 29')
  assert.equal(wire.deliverOne(), 'initiateIk 182')
  assert.equal(wire.deliverOne(), 'respondIk 85')
  assert.equal(a.results[0]?.peer, b.id)
})

test('forged and mutated datagrams complete nothing and throw nothing', () => {
  const wire = new Wire()
  const a = wire.peer(1)
  const b = wire.peer(2)
  const random = seeded(7)
  a.handshakes.dial(b.id, [wire.routeTo(b)], at(0))
  const first = wire.take()
  for (let i = 0; i < 20_000; i++) {
    const data = first.data.slice()
    const [where = 0, bit = 0] = random.bytes(2)
    const index = where % data.length
    data[index] = (data[index] ?? 0) ^ (1 << (bit % 8))
    b.handshakes.receive(data, first.from, at(0))
    b.handshakes.receive(random.bytes(where), first.from, at(0))
  }
  // Flips within the cookie field leave the message what it was: they may draw its answer, once.
  assert.ok(b.handshakes.answerCount <= 1)
  assert.equal(b.results.length, 0)
})

test('who holds the other key gets no session: the id inside must be the one Noise proved', () => {
  const wire = new Wire()
  const a = wire.peer(1)
  const b = wire.peer(2)
  const mallory = wire.peer(3)
  Object.defineProperty(mallory.identity, 'publicKey', { value: a.identity.publicKey })
  mallory.handshakes.dial(b.id, [wire.routeTo(b)], at(0))
  wire.deliverAll()
  assert.equal(b.results.length, 0)
  assert.equal(b.rejected.get('unauthentic'), 1)
})

test('an attempt that nobody answers is repeated, then given up', () => {
  const wire = new Wire()
  const a = wire.peer(1)
  const b = wire.peer(2)
  a.handshakes.dial(b.id, [wire.routeTo(b)], at(0))
  for (let i = 0; i < 100; i++) {
    const next = a.handshakes.deadline()
    if (next === undefined) break
    a.handshakes.onDeadline(next.at)
  }
  assert.equal(a.gaveUp.length, 1)
  assert.ok(wire.queue.length >= 6 && wire.queue.length <= 12, `${wire.queue.length} sent`)
  assert.equal(a.handshakes.attemptCount, 0)
})

interface TestPeer {
  readonly id: PeerId
  readonly identity: Identity
  readonly handshakes: Handshakes
  readonly host: ConstructorParameters<typeof Handshakes>[0]['host']
  readonly results: Established[]
  readonly rejected: Map<RejectCode, number>
  readonly gaveUp: (PeerId | undefined)[]
  readonly endpoint: Endpoint
}

class Wire {
  readonly queue: { to: Endpoint; from: Route; data: Uint8Array }[] = []
  readonly #peers: TestPeer[] = []

  peer(seed: number): TestPeer {
    const endpoint: Endpoint = { kind: 'udp', socket: 0, host: `10.0.0.${seed}`, port: 1000 }
    const from: Route = { kind: 'udp', endpoint }
    const identity = new Identity(crypto, crypto.signingKeyPair(seeded(seed).bytes(32)))
    const results: Established[] = []
    const rejected = new Map<RejectCode, number>()
    const gaveUp: (PeerId | undefined)[] = []
    const host = {
      send: (to: Route, data: Uint8Array) => {
        if (to.kind === 'udp') this.queue.push({ to: to.endpoint, from, data })
      },
      reject: (code: RejectCode) => {
        rejected.set(code, (rejected.get(code) ?? 0) + 1)
      },
      transportIdOf: () => undefined,
      sessionRunOf: () => undefined,
      highestReceivedFrom: () => -1,
      isCidTaken: () => false,
      established: (result: Established) => {
        results.push(result)
      },
      metAgain: () => {},
      gaveUp: (peer: PeerId | undefined) => {
        gaveUp.push(peer)
      },
    }
    const handshakes = new Handshakes({ crypto, random: seeded(seed + 100), identity, host }, at(0))
    const id = identity.peerId
    const peer = { id, identity, handshakes, host, results, rejected, gaveUp, endpoint }
    this.#peers.push(peer)
    return peer
  }

  routeTo(peer: TestPeer): Route {
    return { kind: 'udp', endpoint: peer.endpoint }
  }

  take() {
    const next = this.queue.shift()
    assert.ok(next !== undefined, 'something was sent')
    return next
  }

  deliver(item: { to: Endpoint; from: Route; data: Uint8Array }): void {
    const target = this.#peers.find((peer) => peer.endpoint.host === item.to.host)
    target?.handshakes.receive(item.data, item.from, at(0))
  }

  deliverOne(): string {
    const item = this.take()
    this.deliver(item)
    const names = ['initiateIk', 'respondIk', 'initiateXx', 'respondXx', 'finishXx', 'cookie']
    return `${names[(item.data[0] ?? 0) - 0xc0]} ${item.data.length}`
  }

  deliverAll(): void {
    while (this.queue.length > 0) this.deliver(this.take())
  }
}

/** The initiator's first sealed datagram reaches the responder. */
function confirm(initiator: TestPeer, responder: TestPeer): void {
  const result = initiator.results[0]
  assert.ok(result !== undefined)
  const destination = new Uint8Array(4)
  new DataView(destination.buffer).setUint32(0, result.remoteCid)
  const datagram = result.keys.seal(destination, 0, 1, Uint8Array.of(1))
  assert.ok(responder.handshakes.confirm(result.remoteCid, datagram, at(0)))
}

function at(ms: number): Instant {
  return ms as Instant
}

function seeded(seed: number) {
  let counter = 0
  return {
    bytes(length: number): Uint8Array {
      const whole = new Uint8Array(length)
      for (let offset = 0; offset < length; offset += 64) {
        const block = crypto.hash(
          64,
          [Uint8Array.of(seed & 255, (seed >> 8) & 255, seed >> 16)],
          new Uint8Array([
            1,
            counter & 255,
            (counter >> 8) & 255,
            counter >> 16,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
          ]),
        )
        counter++
        whole.set(block.subarray(0, Math.min(64, length - offset)), offset)
      }
      return whole
    },
  }
}

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MALFORMED } from '../errors.ts'
import type { Instant, PathKind, PeerId } from '../io.ts'
import { SOCKET_IPV4 } from '../io.ts'
import { prefixOf, type Route } from '../session/route.ts'
import { fromHex } from '../wire/bytes.ts'
import { decodeNatMessage, type NatMessage } from './messages.ts'
import type { TraversalSession } from './traversal-session.ts'
import { Witnesses } from './witnesses.ts'

const at = (ms: number) => ms as Instant
const peerId = (n: number) =>
  n.toString(16).padStart(64, '0').replace(/^0{8}/, n.toString(16).padStart(8, '0')) as PeerId
const HOST = '198.18.0.7'

class Neighbour implements TraversalSession {
  readonly isInitiator = true
  readonly state = 'up'
  readonly isDormant = false
  readonly paths = []
  readonly rttMs = 10
  readonly sent: NatMessage[] = []
  readonly peer: PeerId
  readonly path: PathKind
  readonly route: Route

  constructor(peer: PeerId, host: string, path: PathKind = 'direct') {
    this.peer = peer
    this.path = path
    const endpoint = { kind: 'udp', socket: SOCKET_IPV4, host, port: 5_000 } as const
    this.route =
      path === 'relayed'
        ? { kind: 'relay', via: peerId(99), prefix: prefixOf(peer) }
        : { kind: 'udp', endpoint }
  }

  sendMessage(payload: Uint8Array): void {
    const message = decodeNatMessage(payload)
    assert.notEqual(message, MALFORMED, 'what is sent can be read')
    if (message !== MALFORMED) this.sent.push(message)
  }

  tryRoute(): void {
    assert.fail('a witness tries no routes')
  }

  knock(): void {
    assert.fail('a witness does not knock')
  }

  letGo(): void {
    assert.fail('a witness has no sockets')
  }
}

function witnesses(neighbours: readonly Neighbour[], relays = neighbours) {
  const host = {
    sessionOf: (peer: PeerId) => neighbours.find((each) => each.peer === peer),
    withPrefix: (prefix: string) => neighbours.find((each) => prefixOf(each.peer) === prefix),
    relaysTo: (peer: PeerId): Route[] =>
      relays.map(({ peer: via }) => ({ kind: 'relay', via, prefix: prefixOf(peer) })),
  }
  return new Witnesses(host, at(0))
}

const REMOTE = peerId(50)
const bytesOf = (peer: PeerId) => fromHex(prefixOf(peer)) ?? new Uint8Array()
const word = (isSeen: boolean, host = HOST) =>
  ({ type: 'witness', prefix: bytesOf(REMOTE), address: { host, port: 0 }, isSeen }) as const

test('two neighbours are asked, once, and one that sees the remote is enough', () => {
  const all = [1, 2, 3].map((n) => new Neighbour(peerId(n), `198.18.1.${n}`))
  const machine = witnesses(all)
  assert.equal(machine.sees(REMOTE, HOST, at(0)), false, 'nobody has said so yet')
  assert.equal(machine.sees(REMOTE, HOST, at(10)), false, 'still nobody')
  assert.deepEqual(
    all.map(({ sent }) => sent.length),
    [1, 1, 0],
    'questions',
  )
  assert.equal(machine.heard(peerId(1), word(true)), prefixOf(REMOTE), 'a yes makes a difference')
  assert.equal(machine.sees(REMOTE, HOST, at(20)), true, 'seen')
  assert.equal(machine.sees(REMOTE, '198.18.0.8', at(20)), false, 'at that host alone')
  assert.equal(machine.sees(REMOTE, HOST, at(60_001)), false, 'and not for ever')
})

test('the remote cannot witness for itself, nor can who was not asked, or is relayed', () => {
  const remote = new Neighbour(REMOTE, HOST)
  const relayed = new Neighbour(peerId(2), '198.18.1.2', 'relayed')
  const stranger = new Neighbour(peerId(3), '198.18.1.3')
  const machine = witnesses([remote, relayed, stranger], [remote, relayed])
  machine.sees(REMOTE, HOST, at(0))
  for (const each of [remote, relayed, stranger]) {
    assert.equal(each.sent.length, 0, `${each.peer} is not asked`)
    assert.equal(machine.heard(each.peer, word(true)), undefined, `${each.peer} is not believed`)
  }
  assert.equal(machine.sees(REMOTE, HOST, at(1)), false, 'unwitnessed')
})

test('after two noes two others are asked', () => {
  const all = [1, 2, 3, 4].map((n) => new Neighbour(peerId(n), `198.18.1.${n}`))
  const machine = witnesses(all)
  machine.sees(REMOTE, HOST, at(0))
  for (const n of [1, 2]) machine.heard(peerId(n), word(false))
  machine.sees(REMOTE, HOST, at(100))
  assert.deepEqual(
    all.map(({ sent }) => sent.length),
    [1, 1, 1, 1],
    'questions',
  )
  machine.heard(peerId(1), word(true))
  assert.equal(machine.sees(REMOTE, HOST, at(200)), false, 'a no is not taken back')
})

test('who does not answer is asked again after 3 s', () => {
  const only = new Neighbour(peerId(1), '198.18.1.1')
  const machine = witnesses([only])
  machine.sees(REMOTE, HOST, at(0))
  machine.sees(REMOTE, HOST, at(2_900))
  machine.sees(REMOTE, HOST, at(3_000))
  assert.equal(only.sent.length, 2, 'questions')
})

test('an answer says yes or no to the host that was named, and names no other', () => {
  const asker = new Neighbour(peerId(1), '198.18.1.1')
  const remote = new Neighbour(REMOTE, HOST)
  const relayed = new Neighbour(peerId(2), '198.18.1.2', 'relayed')
  const machine = witnesses([asker, remote, relayed])
  const asked = [
    [REMOTE, HOST, true],
    [REMOTE, '198.18.0.8', false],
    [peerId(2), '198.18.1.2', false],
    [peerId(77), HOST, false],
  ] as const
  for (const [peer, host, isSeen] of asked) {
    const address = { host, port: 0 }
    const prefix = bytesOf(peer)
    machine.answer(asker, { type: 'witnessAsk', prefix, address }, at(0))
    const expected = { type: 'witness', prefix, address, isSeen }
    assert.deepEqual(asker.sent.at(-1), expected, `${prefixOf(peer)} at ${host}`)
  }
})

test('questions are answered within a budget for each asker and one for all', () => {
  const askers = Array.from(
    { length: 1_000 },
    (_, n) => new Neighbour(peerId(n + 100), '198.18.1.1'),
  )
  const machine = witnesses(askers)
  const ask = {
    type: 'witnessAsk',
    prefix: bytesOf(REMOTE),
    address: { host: HOST, port: 0 },
  } as const
  const [first] = askers
  assert.ok(first !== undefined, 'there are askers')
  for (let i = 0; i < 100; i++) machine.answer(first, ask, at(0))
  assert.equal(first.sent.length, 64, 'answers to one')
  for (let ms = 0; ms < 10_000; ms += 1_000) {
    for (const asker of askers) machine.answer(asker, ask, at(ms))
  }
  const answers = askers.reduce((sum, { sent }) => sum + sent.length, 0)
  assert.ok(answers <= 256 + 10 * 64, `${answers} answers in 10 s`)
})

test('what is remembered of remotes is bounded', () => {
  const only = new Neighbour(peerId(1), '198.18.1.1')
  const machine = witnesses([only])
  for (let n = 0; n < 5_000; n++) machine.sees(peerId(1_000 + n), HOST, at(0))
  const first = { ...word(true), prefix: bytesOf(peerId(1_000)) }
  assert.equal(machine.heard(peerId(1), first), undefined, 'the first question is forgotten')
  const last = { ...word(true), prefix: bytesOf(peerId(5_999)) }
  assert.equal(machine.heard(peerId(1), last), prefixOf(peerId(5_999)), 'the last is not')
})

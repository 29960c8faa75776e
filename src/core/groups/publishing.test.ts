import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Instant, PeerEvent } from '../io.ts'
import { CAUSAL_WAIT_MS } from '../replication/causal.ts'
import { encodeLeaf, KIND_WANT_LEAVES } from '../replication/leaves/leaf-messages.ts'
import { type SealedPacket, sealPacket } from '../replication/packet-seal.ts'
import { HELD_WAIT_MS } from '../replication/spread/receipts.ts'
import { encodePacketMessage, KIND_PACKET } from '../replication/spread/spread-messages.ts'
import { SeededRandom } from '../seeded.fixture.ts'
import { ascii, toHex } from '../wire/bytes.ts'
import {
  CLUSTER_ID,
  crypto,
  type FakePeer,
  type FakePort,
  Mesh,
  packetsOn,
  SHARED_KEY,
  text,
} from './mesh.fixture.ts'
import { type EpochKeys, SubclusterKeys } from './subcluster-keys.ts'

function mesh(count: number, seed = 1): { net: Mesh; peers: FakePeer[]; ports: FakePort[] } {
  const net = new Mesh(seed)
  const peers = Array.from({ length: count }, (_, i) => net.peer(i + 1))
  const ports: FakePort[] = []
  for (const peer of peers) peer.join()
  for (const [i, a] of peers.entries())
    for (const b of peers.slice(i + 1)) ports.push(...net.connect(a, b))
  net.settle()
  return { net, peers, ports }
}

function packetsOf(peer: FakePeer): string[] {
  return peer.of('packet').map(({ value }) => text(value))
}

function keysAt(createdS: number, sharedKey = SHARED_KEY): EpochKeys {
  const keys = new SubclusterKeys(crypto, sharedKey, CLUSTER_ID)
  return keys.at(createdS) ?? assert.fail('nothing was forgotten')
}

function sealedBy(
  author: number,
  net: Mesh,
  parents: readonly Uint8Array[] = [],
  payload = ascii('x'),
  salt = 1,
): SealedPacket {
  const createdS = Math.floor(net.wall / 1000)
  const keyPair = crypto.signingKeyPair(new Uint8Array(32).fill(author))
  const content = { event: 'news', lamport: 5, parents, payload }
  const draft = { ...content, createdS, lifeMinutes: 60, salt: new SeededRandom(salt).bytes(12) }
  return sealPacket(crypto, keysAt(createdS), keyPair, draft)
}

function give(port: FakePort, packet: Uint8Array, isFromKeeping = false): void {
  const payload = encodePacketMessage(packet, isFromKeeping ? undefined : 1, false)
  port.receive({ kind: 'message', number: 0, payload })
}

test('a published packet reaches every member once, signed by its author', () => {
  const { net, peers } = mesh(8)
  const [author, ...others] = peers
  assert.ok(author)
  author.publish(7, 'news', ascii('hello'))
  net.settle()
  const done = author.of('done')[0]
  assert.equal(done?.operation, 7)
  assert.equal(done?.packet?.via, 'self')
  for (const peer of others) {
    const [received, ...rest] = peer.of('packet')
    assert.deepEqual(rest, [])
    assert.deepEqual(received, {
      type: 'packet',
      subcluster: 1,
      packet: { ...done?.packet, via: 'direct', gap: false },
      event: 'news',
      value: ascii('hello'),
    } as PeerEvent)
    assert.equal(received?.packet.author, author.peerId)
  }
  assert.deepEqual(author.of('packet'), [])
})

test('everyone’s packets arrive everywhere exactly once, in causal order', () => {
  for (let seed = 1; seed <= 5; seed++) {
    const { net, peers } = mesh(6, seed)
    for (let i = 0; i < 120; i++) {
      peers[net.random.below(peers.length)]?.publish(i, 'news', ascii(`${i}`))
      for (let k = net.random.below(10); k > 0; k--) net.step()
    }
    net.settle()
    for (const peer of peers) {
      const own = peer.of('done').map(({ packet }) => packet?.id.slice(0, 32) ?? '')
      const seen = new Set<string>(own)
      for (const { packet } of peer.of('packet')) {
        assert.equal(packet.gap, false)
        for (const parent of packet.previous) assert.equal(seen.has(parent), true)
        assert.equal(seen.has(packet.id.slice(0, 32)), false)
        seen.add(packet.id.slice(0, 32))
      }
      assert.equal(seen.size, 120)
    }
  }
})

test('a packet whose parent is lost arrives after two seconds with a gap', () => {
  const { net, peers } = mesh(2)
  const [a, b] = peers
  assert.ok(a && b)
  const port = net.ports[1]
  assert.ok(port)
  give(port, sealedBy(9, net, [new Uint8Array(16)]).bytes)
  net.settle()
  assert.deepEqual(packetsOf(b), [])
  net.pass(CAUSAL_WAIT_MS, peers)
  assert.equal(b.of('packet')[0]?.packet.gap, true)
  assert.equal(b.of('packet')[0]?.packet.via, 'relayed')
})

test('large payloads arrive whole, whatever order the leaves take', () => {
  const { net, peers } = mesh(3)
  const [author, b, c] = peers
  assert.ok(author && b && c)
  const others: readonly FakePeer[] = [b, c]
  for (const [i, bytes] of [1000, 5000, 65_536, 1_500_000].entries()) {
    const value = new SeededRandom(i).bytes(bytes)
    author.publish(i, 'blob', value)
    net.settle()
    for (const peer of others) {
      const last: Uint8Array | undefined = peer.of('packet').at(-1)?.value
      assert.deepEqual(last, value)
      assert.equal(peer.of('packet').length, i + 1)
      assert.equal(peer.rejected.length, 0)
    }
  }
  const wants = () => toAuthor(net, b).filter(([kind]) => kind === KIND_WANT_LEAVES).length
  const wanted = wants()
  assert.equal(wanted > 0, true)
  net.pass(60_000, peers)
  assert.equal(wants(), wanted, 'nothing more is asked for')
})

function toAuthor(net: Mesh, from: FakePeer): Uint8Array[] {
  return net.ports.filter(({ owner }) => owner === from).flatMap(({ sent }) => sent)
}

test('a packet that comes again is delivered once, from whomever it comes', () => {
  const { net, peers, ports } = mesh(3)
  const [a, b] = peers
  assert.ok(a && b)
  a.publish(1, 'news', ascii('once'))
  net.settle()
  const packet = ports[0]?.sent.find(([kind]) => (kind ?? 0) >= KIND_PACKET)
  assert.ok(packet)
  for (const port of ports) port.sendMessage(packet)
  net.settle()
  assert.equal(b.of('packet').length, 1)
  assert.deepEqual(a.of('packet'), [])
})

// Each turns into a delivery when its check in `Replication` is removed.
test('what is forged, altered, expired or future-dated is refused, and another tag’s is not delivered', () => {
  const { net, peers } = mesh(2)
  const [, b] = peers
  const port = net.ports[1]
  assert.ok(b && port)
  const codeOf = (packet: Uint8Array) => {
    give(port, packet)
    const [code, ...more] = b.rejected.splice(0)
    assert.deepEqual(more, [])
    return code
  }
  const good = sealedBy(9, net).bytes
  const altered = good.slice()
  altered[60] = (altered[60] ?? 0) ^ 1
  assert.equal(codeOf(altered), 'unauthentic')
  assert.equal(codeOf(good.subarray(1)), 'malformed')
  const createdS = Math.floor(net.wall / 1000)
  const content = { event: 'x', lamport: 1, parents: [], payload: ascii('x') }
  const draft = { ...content, createdS, lifeMinutes: 60, salt: new Uint8Array(12) }
  const author = crypto.signingKeyPair(new Uint8Array(32).fill(9))
  const sealed = (keys: EpochKeys, at = createdS) =>
    sealPacket(crypto, keys, author, { ...draft, createdS: at }).bytes
  assert.equal(codeOf(sealed(keysAt(createdS - 13 * 3600 - 3600), createdS - 14 * 3600)), 'expired')
  assert.equal(codeOf(sealed(keysAt(createdS + 13 * 3600), createdS + 13 * 3600)), 'expired')
  const stranger = keysAt(createdS, new Uint8Array(32))
  assert.equal(codeOf(sealed(stranger)), undefined, 'kept for whom it is')
  assert.equal(codeOf(sealed(keysAt(createdS - 86_400))), undefined, 'the tag of another day')
  const member = { ...keysAt(createdS), sealKey: new Uint8Array(32) }
  assert.equal(codeOf(sealed(member)), 'unauthentic')
  assert.deepEqual(b.of('packet'), [])
  assert.equal(codeOf(good), undefined)
  assert.equal(b.of('packet').length, 1)
})

test('a forged packet does not keep the genuine one out', () => {
  const { net, peers } = mesh(2)
  const [, b] = peers
  const port = net.ports[1]
  assert.ok(b && port)
  const good = sealedBy(9, net).bytes
  const forged = good.slice()
  forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1
  give(port, forged)
  assert.deepEqual(b.rejected, ['unauthentic'])
  give(port, good)
  assert.equal(b.of('packet').length, 1)
})

test('wrong, early and orphaned leaves change nothing, and another may bring the right ones', () => {
  const { net, peers } = mesh(2)
  const [, b] = peers
  assert.ok(b)
  const [, liar] = net.connect(net.peer(50), b)
  const [, honest] = net.connect(net.peer(51), b)
  net.settle()
  const { id, bytes, levels } = sealedBy(9, net, [], new SeededRandom(8).bytes(30_000))
  const leaves = levels.toReversed().flat()
  const [first] = leaves
  assert.ok(first)
  const leaf = (port: FakePort, level: number, index: number, data: Uint8Array) => {
    const payload = encodeLeaf(id, level, index, data)
    port.receive({ kind: 'message', number: 0, payload })
    return b.rejected.splice(0)
  }
  assert.deepEqual(leaf(liar, first.level, first.index, first.bytes), ['unknown'])
  give(liar, bytes, true)
  assert.deepEqual(leaf(liar, 0, 0, new Uint8Array(1152)), ['unknown'])
  assert.deepEqual(leaf(liar, 200, 2 ** 40, new Uint8Array(5000)), ['unauthentic'])
  const wrong = new Uint8Array(first.bytes.length)
  assert.notDeepEqual(leaf(honest, first.level, first.index, wrong), [])
  give(honest, bytes, true)
  for (const each of leaves) leaf(honest, each.level, each.index, each.bytes)
  assert.deepEqual(b.of('packet')[0]?.value, new SeededRandom(8).bytes(30_000))
})

test('a lossy publish is one datagram to each, and too long a one fails', () => {
  const { net, peers } = mesh(3)
  const [a, b, c] = peers
  assert.ok(a && b && c)
  a.publish(1, 'cursor', ascii('here'), 'lossy')
  a.publish(2, 'cursor', new Uint8Array(1200), 'lossy')
  net.settle()
  for (const peer of [b, c]) {
    assert.deepEqual(
      peer.of('message').map(({ delivery }) => delivery),
      ['lossy'],
    )
  }
  assert.deepEqual(a.of('done'), [{ type: 'done', operation: 1, packet: undefined }])
  assert.equal(a.of('failed')[0]?.code, 'ETOOBIG')
})

test('a packet is published for at least a minute and at most a week', () => {
  const net = new Mesh()
  const a = net.peer(1)
  a.join()
  const publish = (lifeMs: number) =>
    a.do({
      type: 'publish',
      operation: 1,
      subcluster: 1,
      event: 'x',
      value: ascii('x'),
      delivery: 'durable',
      lifeMs,
    })
  for (const lifeMs of [0, -1, Number.NaN, 7 * 86_400_000 + 1])
    assert.throws(() => publish(lifeMs), { code: 'ELIFE' })
  publish(1)
  publish(7 * 86_400_000)
  net.pass(HELD_WAIT_MS, [a])
  assert.deepEqual(
    a.of('done').map(({ packet }) => packet?.ttlMs),
    [60_000, 604_800_000],
  )
})

// Turns red when the author, or anything that names one, is outside of what is sealed.
test('an outsider keeps a packet and sees neither what it says nor who wrote it', () => {
  const { net, peers } = mesh(2)
  const [a] = peers
  assert.ok(a)
  const outsider = net.peer(60)
  net.connect(a, outsider)
  net.settle()
  a.publish(1, 'news', ascii('a secret for members'))
  net.settle()
  const [kept, ...more] = packetsOn(outsider)
  assert.deepEqual(more, [])
  assert.deepEqual(packetsOn(a), [kept])
  const [key, record] = [...outsider.disk][0] ?? []
  assert.equal(toHex(record ?? new Uint8Array()), `0101${kept}`, 'and nothing more beside it')
  assert.equal(key, `packet/${toHex(crypto.hash(32, [identified(kept)])).slice(0, 32)}`)
  for (const secret of [a.peerId, toHex(ascii('secret')), toHex(ascii('news'))])
    assert.equal(!kept?.includes(secret), true)
  assert.deepEqual(outsider.events, [])
})

function identified(packet: string | undefined): Uint8Array {
  return Uint8Array.from(Buffer.from(packet ?? '', 'hex').subarray(0, -64))
}

test('who joins later is given what was published before, when its author has long gone', () => {
  const net = new Mesh()
  const [a, b, c] = [net.peer(1), net.peer(2), net.peer(3)]
  a.join()
  net.pass(HELD_WAIT_MS, [a])
  a.publish(1, 'news', ascii('early'))
  net.pass(0, [a])
  assert.equal(a.of('done').length, 1, 'there has long been none to wait for')
  const [atA] = net.connect(a, b)
  net.pass(1000, [a, b])
  net.part(atA, 'closed')
  assert.deepEqual(b.events, [])
  net.connect(c, b)
  net.pass(1000, [b, c])
  c.join()
  const [early] = c.of('packet')
  assert.equal(early?.packet.author, a.peerId)
  assert.equal(early?.packet.via, 'cache')
  assert.equal(text(early?.value ?? new Uint8Array()), 'early')
  b.join()
  assert.deepEqual(packetsOf(b), ['early'], 'who kept it can read it once it has the key')
})

test('a publisher waits until three others have its packet on disk, or all if there are fewer', () => {
  for (const [others, waitsFor] of [
    [1, 1],
    [2, 2],
    [3, 3],
    [6, 3],
  ] as const) {
    const { net, peers, ports } = mesh(1 + others)
    const [a] = peers as [FakePeer]
    for (const port of ports) if (port.owner !== a) port.isCut = true
    a.publish(1, 'news', new Uint8Array(100_000))
    let answered = 0
    for (const port of ports.filter(({ owner }) => owner !== a && owner.peerId !== a.peerId)) {
      if (port.peer !== a.peerId) continue
      net.settle()
      assert.equal(a.of('done').length, answered >= waitsFor ? 1 : 0)
      port.isCut = false
      answered++
    }
    net.settle()
    assert.equal(a.of('done').length, 1)
  }
})

test('a publisher does not wait long for those who take nothing', () => {
  const { net, peers } = mesh(2)
  const [a] = peers as [FakePeer]
  a.publish(1, 'news', ascii('x'))
  const heldAt = (net.now + HELD_WAIT_MS) as Instant
  a.groups.onDeadline((heldAt - 1) as Instant, net.wall)
  assert.equal(a.of('done').length, 0)
  a.groups.onDeadline(heldAt, net.wall)
  assert.equal(a.of('done').length, 1)
  net.settle()
  assert.equal(a.of('done').length, 1, 'told once')
})

test('what concerns the network alone is shown to no app', () => {
  const { net, peers } = mesh(2)
  const [a, b] = peers as [FakePeer, FakePeer]
  const c = net.peer(9)
  a.send(1, c, 'x', ascii('x'))
  net.settle()
  net.pass(1000, peers)
  assert.deepEqual(b.of('packet'), [])
  a.do({
    type: 'history',
    operation: 2,
    subcluster: 1,
    since: 0 as never,
    after: undefined,
    limit: 9,
  })
  assert.deepEqual(a.of('history')[0]?.packets, [])
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Instant, PeerEvent, UnixMs } from '../io.ts'
import { CAUSAL_WAIT_MS } from '../replication/causal.ts'
import { authored, forge } from '../replication/forge.fixture.ts'
import { sealPacket } from '../replication/packet-seal.ts'
import { ASSEMBLIES_MAX, ASSEMBLY_IDLE_MS } from '../replication/replication.ts'
import { SeededRandom } from '../seeded.fixture.ts'
import { ascii, toHex } from '../wire/bytes.ts'
import { encodeLeaf, encodePacketMessage, KIND_LEAF, KIND_PACKET } from './member-wire.ts'
import {
  CLUSTER_ID,
  crypto,
  type FakePeer,
  type FakePort,
  Mesh,
  SHARED_KEY,
  text,
} from './mesh.fixture.ts'
import { HELD_WAIT_MS, KEPT_BYTES_MAX, KEPT_PACKETS_MAX, MeshSpread } from './mesh-spread.ts'
import { SubclusterKeys } from './subcluster-keys.ts'

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

function sealedBy(
  author: number,
  net: Mesh,
  parents: readonly Uint8Array[] = [],
  payload = ascii('x'),
  salt = 1,
) {
  const keys = new SubclusterKeys(crypto, SHARED_KEY, CLUSTER_ID)
  const createdS = Math.floor(net.wall / 1000)
  return sealPacket(
    crypto,
    keys.at(createdS),
    crypto.signingKeyPair(new Uint8Array(32).fill(author)),
    {
      createdS,
      lifeMinutes: 60,
      salt: new SeededRandom(salt).bytes(12),
      event: 'news',
      lamport: 5,
      parents,
      payload,
    },
  )
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
  net.ports[1]?.receive({
    kind: 'message',
    number: 0,
    payload: encodePacketMessage(sealedBy(9, net, [new Uint8Array(16)]).bytes),
  })
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
  assert.equal(b.groups.deadline(), undefined)
})

test('a packet that comes again is delivered once, from whomever it comes', () => {
  const { net, peers, ports } = mesh(3)
  const [a, b] = peers
  assert.ok(a && b)
  a.publish(1, 'news', ascii('once'))
  net.settle()
  const packet = ports[0]?.sent.find(([kind]) => kind === KIND_PACKET)
  assert.ok(packet)
  for (const port of ports) port.sendMessage(packet)
  net.settle()
  assert.equal(b.of('packet').length, 1)
  assert.deepEqual(a.of('packet'), [])
})

// Each turns into a delivery when its check in `receivePacket` is removed.
test('what is forged, altered, expired, future-dated or of an unknown tag is counted and not delivered', () => {
  const { net, peers } = mesh(2)
  const [, b] = peers
  const port = net.ports[1]
  assert.ok(b && port)
  const give = (packet: Uint8Array) => {
    port.receive({ kind: 'message', number: 0, payload: encodePacketMessage(packet) })
    const [code, ...more] = b.rejected.splice(0)
    assert.deepEqual(more, [])
    return code
  }
  const good = sealedBy(9, net).bytes
  const altered = good.slice()
  altered[60] = (altered[60] ?? 0) ^ 1
  assert.equal(give(altered), 'unauthentic')
  assert.equal(give(good.subarray(1)), 'malformed')
  const stranger = new SubclusterKeys(crypto, new Uint8Array(32), CLUSTER_ID)
  const createdS = Math.floor(net.wall / 1000)
  const draft = {
    createdS,
    lifeMinutes: 60,
    salt: new Uint8Array(12),
    event: 'x',
    lamport: 1,
    parents: [],
    payload: ascii('x'),
  }
  const author = crypto.signingKeyPair(new Uint8Array(32).fill(9))
  assert.equal(give(sealPacket(crypto, stranger.at(createdS), author, draft).bytes), 'unknown')
  const keys = new SubclusterKeys(crypto, SHARED_KEY, CLUSTER_ID)
  const dated = (at: number, under = at) =>
    sealPacket(crypto, keys.at(under), author, { ...draft, createdS: at }).bytes
  assert.equal(give(dated(createdS - 13 * 3600 - 3600)), 'expired')
  assert.equal(give(dated(createdS + 13 * 3600)), 'expired')
  assert.equal(give(dated(createdS, createdS - 86_400)), 'unknown', 'the tag of another day')
  const member = { ...keys.at(createdS), sealKey: new Uint8Array(32) }
  assert.equal(give(sealPacket(crypto, member, author, draft).bytes), 'unauthentic')
  assert.deepEqual(b.of('packet'), [])
  assert.equal(give(good), undefined)
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
  port.receive({ kind: 'message', number: 0, payload: encodePacketMessage(forged) })
  assert.deepEqual(b.rejected, ['unauthentic'])
  port.receive({ kind: 'message', number: 0, payload: encodePacketMessage(good) })
  assert.equal(b.of('packet').length, 1)
})

test('wrong, early and orphaned leaves change nothing, and a stranger may bring the right ones', () => {
  const { net, peers } = mesh(2)
  const [, b] = peers
  assert.ok(b)
  const stranger = net.peer(50)
  const [, port] = net.connect(stranger, b)
  net.settle()
  const give = (payload: Uint8Array) => port.receive({ kind: 'message', number: 0, payload })
  const payload = new SeededRandom(8).bytes(30_000)
  const { id, bytes, levels } = sealedBy(9, net, [], payload)
  const leaves = levels.toReversed().flat()
  const orphan = leaves[0]
  assert.ok(orphan)
  give(encodeLeaf(id, orphan.level, orphan.index, orphan.bytes))
  give(encodePacketMessage(bytes))
  give(encodeLeaf(id, 0, 0, new Uint8Array(1152)))
  give(encodeLeaf(id, orphan.level, orphan.index, new Uint8Array(orphan.bytes.length)))
  give(encodeLeaf(id, 200, 2 ** 40, new Uint8Array(5000)))
  assert.deepEqual(b.rejected, ['unknown', 'unknown', 'unauthentic', 'unauthentic'])
  for (const leaf of leaves) give(encodeLeaf(id, leaf.level, leaf.index, leaf.bytes))
  assert.deepEqual(b.of('packet')[0]?.value, payload)
})

test('unfinished large messages are bounded in number and bytes, and forgotten when nothing comes', () => {
  const { net, peers } = mesh(2)
  const [, b] = peers
  const port = net.ports[1]
  assert.ok(b && port)
  const payload = new Uint8Array(3000)
  for (let i = 0; i < ASSEMBLIES_MAX + 6; i++) {
    const { bytes } = sealedBy(9, net, [], payload, i)
    port.receive({ kind: 'message', number: 0, payload: encodePacketMessage(bytes) })
  }
  assert.deepEqual(b.rejected, Array(6).fill('over-limit'))
  assert.equal(b.groups.deadline()?.at, net.now + ASSEMBLY_IDLE_MS)
  net.pass(ASSEMBLY_IDLE_MS, peers)
  assert.equal(b.groups.deadline(), undefined)
  b.rejected.length = 0
  const keys = new SubclusterKeys(crypto, SHARED_KEY, CLUSTER_ID)
  const createdS = Math.floor(net.wall / 1000)
  const { tag } = keys.at(createdS)
  const root = { payloadBytes: 64 * 1024 * 1024, depth: 4, hashes: new Uint8Array(64) }
  for (let i = 0; i < 3; i++) {
    const salt = new Uint8Array(12).fill(i)
    const header = { createdS, lifeMinutes: 60, tag: tag.publicKey, salt, root }
    const inner = Uint8Array.of(1, 0, 0, 0)
    const author = crypto.signingKeyPair(new Uint8Array(32).fill(9))
    const packet = forge(header, authored(author, header, inner), keys.at(createdS))
    port.receive({ kind: 'message', number: 0, payload: encodePacketMessage(packet) })
  }
  assert.deepEqual(b.rejected, ['over-limit'])
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
  const a = new Mesh().peer(1)
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
  assert.deepEqual(
    a.of('done').map(({ packet }) => packet?.ttlMs),
    [60_000, 604_800_000],
  )
})

test('an outsider in the same mesh sees no packet and no plaintext', () => {
  const { net, peers } = mesh(2)
  const [a] = peers
  assert.ok(a)
  const outsider = net.peer(60)
  const [toOutsider] = net.connect(a, outsider)
  net.settle()
  a.publish(1, 'news', ascii('a secret for members'))
  net.settle()
  assert.equal(
    toOutsider.sent.some(([kind]) => kind === KIND_PACKET || kind === KIND_LEAF),
    false,
  )
  const onTheWire = net.ports[0]?.sent.map(toHex).join('') ?? ''
  assert.equal(onTheWire.includes(toHex(ascii('secret'))), false)
  assert.equal(onTheWire.includes(a.peerId), false, 'nor who wrote it')
})

test('who joins later is given what members published before, while they are there', () => {
  const net = new Mesh()
  const [a, b, c] = [net.peer(1), net.peer(2), net.peer(3)]
  a.join()
  a.publish(1, 'news', ascii('early'))
  assert.equal(a.of('done').length, 1, 'there is none to wait for')
  net.connect(a, b)
  net.settle()
  b.join()
  net.settle()
  assert.deepEqual(packetsOf(b), ['early'])
  a.do({ type: 'leave', subcluster: 1 })
  a.join()
  net.connect(a, c)
  c.join()
  net.settle()
  assert.deepEqual(packetsOf(c), [], 'leaving forgets what was kept')
})

test('a publisher waits until one member has its packet', () => {
  const { net, peers } = mesh(2)
  const [a, b] = peers as [FakePeer, FakePeer]
  a.publish(1, 'news', new Uint8Array(100_000))
  assert.equal(a.of('done').length, 0)
  net.settle()
  assert.equal(a.of('done').length, 1)
  assert.equal(b.of('packet').length, 1)
})

test('a publisher does not wait long for members who take nothing', () => {
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

test('what is kept for newcomers is bounded, in bytes and in packets', () => {
  const spread = new MeshSpread(() => [])
  const packet = { id: new Uint8Array(32), bytes: new Uint8Array(1000), levels: [] }
  const expiresAt = 1e15 as UnixMs
  const give = (levels: Parameters<typeof spread.spread>[1]['levels']) =>
    spread.spread(1, { ...packet, levels }, expiresAt, 0 as Instant, () => {})
  for (let i = 0; i < 10_000; i++) give([])
  assert.equal(spread.keptBytes, KEPT_PACKETS_MAX * 1001)
  give([[{ level: 0, index: 0, bytes: new Uint8Array(KEPT_BYTES_MAX) }]])
  assert.equal(spread.keptBytes, KEPT_PACKETS_MAX * 1001, 'one too large pushes nothing out')
  const half = new Uint8Array(KEPT_BYTES_MAX / 2)
  for (let i = 0; i < 10; i++) give([[{ level: 0, index: 0, bytes: half }]])
  assert.ok(spread.keptBytes <= KEPT_BYTES_MAX, 'bytes')
})

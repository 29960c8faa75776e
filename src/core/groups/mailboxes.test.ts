import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Instant } from '../io.ts'
import { sealPacket } from '../replication/packet-seal.ts'
import { encodePacketMessage } from '../replication/spread/spread-messages.ts'
import { SeededRandom } from '../seeded.fixture.ts'
import { ascii, toHex } from '../wire/bytes.ts'
import { mailKey } from './mail-key.ts'
import { OPEN_AFTER_MS } from './mailboxes.ts'
import {
  CLUSTER_ID,
  crypto,
  type FakePeer,
  Mesh,
  packetsOn,
  SHARED_KEY,
  subclusterTags,
  text,
} from './mesh.fixture.ts'
import { SubclusterKeys } from './subcluster-keys.ts'

const DAY_MS = 86_400_000
const { joinKey } = new SubclusterKeys(crypto, SHARED_KEY, CLUSTER_ID)

function received(peer: FakePeer): string[] {
  return peer.of('message').map(({ value }) => text(value))
}

function write(from: FakePeer, to: FakePeer, ...values: string[]): void {
  for (const value of values) from.send(Number(value), to, 'note', ascii(value))
}

/** What is on a stranger's disk and belongs to no subcluster's day. */
function lettersOn(peer: FakePeer): string[] {
  const tags = new Set(subclusterTags(peer.mesh))
  return packetsOn(peer).filter((packet) => !tags.has(tagOf(packet)))
}

function tagOf(packet: string): string {
  return packet.slice(14, 78)
}

/** Members 1, 2 and 3, and peer 9, which is in nothing. */
function town(seed = 1) {
  const mesh = new Mesh(seed)
  const [a, b, c, stranger] = [mesh.peer(1), mesh.peer(2), mesh.peer(3), mesh.peer(9)]
  for (const member of [a, b, c]) member.join()
  const all: readonly FakePeer[] = [a, b, c, stranger]
  return { mesh, a, b, c, stranger, all, pass: (ms = 2000) => mesh.pass(ms, all) }
}

test('a message to who is away comes later, in order and once, though both only ever met a stranger', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const { mesh, a, b, stranger, pass } = town(seed)
    const [atA] = mesh.connect(a, stranger)
    mesh.settle()
    write(a, b, '1', '2', '3')
    pass()
    const done = a.of('done').toSorted((x, y) => x.operation - y.operation)
    assert.deepEqual(
      done.map(({ operation, packet }) => [operation, packet?.author, packet?.via]),
      [1, 2, 3].map((operation) => [operation, a.peerId, 'self']),
    )
    mesh.part(atA, 'closed')
    pass(3_600_000)
    mesh.connect(b, stranger)
    pass()
    assert.deepEqual(received(b), ['1', '2', '3'], `seed ${seed}`)
    for (const message of b.of('message')) {
      const { peer, subcluster, event, delivery, via } = message
      assert.deepEqual(
        { peer, subcluster, event, delivery, via },
        { peer: a.peerId, subcluster: 1, event: 'note', delivery: 'ordered', via: 'cache' },
      )
      assert.equal(message.packet?.author, a.peerId)
    }
    assert.deepEqual(b.of('packet'), [], 'a letter is no publication')
    assert.deepEqual(stranger.events, [])
  }
})

// Turns red when the mail key follows from the shared key alone.
test('another member that holds a letter can neither open it nor tell whose it is', () => {
  const { mesh, a, b, c, pass } = town()
  mesh.connect(a, c)
  mesh.settle()
  write(a, b, '1')
  pass()
  assert.equal(lettersOn(c).length, 1)
  assert.deepEqual(c.of('message'), [])
  assert.deepEqual(c.of('packet'), [])
  const tag = tagOf(lettersOn(c)[0] ?? '')
  const second = mesh.wall / 1000
  const identity = crypto.signingKeyPair(new Uint8Array(32).fill(3))
  const ids = [a.peerId, b.peerId].toSorted().map((id) => Uint8Array.from(Buffer.from(id, 'hex')))
  const withoutSecret = crypto.hash(32, [ascii('latica mail key'), ...ids], joinKey)
  const known = [SHARED_KEY, joinKey, withoutSecret]
  for (const peer of [a, b])
    known.push(mailKey(crypto, identity, peer.peerId, joinKey) ?? new Uint8Array(32))
  for (const key of known) {
    const keys = new SubclusterKeys(crypto, key, CLUSTER_ID)
    assert.notEqual(toHex(keys.at(second)?.tag.publicKey ?? new Uint8Array()), tag)
  }
  const pair = crypto.signingKeyPair(new Uint8Array(32).fill(2))
  const pairKey = mailKey(crypto, pair, a.peerId, joinKey) ?? new Uint8Array(32)
  const mailbox = new SubclusterKeys(crypto, pairKey, CLUSTER_ID)
  assert.equal(toHex(mailbox.at(second)?.tag.publicKey ?? new Uint8Array()), tag)
})

// Turns red when anything of the pair stands outside of the seal, or when the tag is the pair's for good.
test('a kept letter names nobody, and those of other pairs and other days have other tags', () => {
  const { mesh, a, b, c, stranger, pass } = town()
  for (const member of [a, b, c]) mesh.connect(member, stranger)
  mesh.settle()
  for (const [from, to] of [
    [a, b],
    [b, c],
    [c, a],
  ] as const)
    write(from, to, '1')
  pass()
  mesh.now = (mesh.now + DAY_MS) as Instant
  pass(120_000)
  write(a, b, '2')
  pass()
  const letters = lettersOn(stranger)
  assert.equal(letters.length, 4)
  assert.equal(new Set(letters.map(tagOf)).size, 4)
  const secrets = [joinKey, SHARED_KEY, CLUSTER_ID, ascii('note')].map(toHex)
  for (const { peerId } of [a, b, c, stranger]) {
    const remote = crypto.agreementPublicKey(Uint8Array.from(Buffer.from(peerId, 'hex')))
    secrets.push(peerId, peerId.slice(0, 16), toHex(remote ?? assert.fail('a key')))
  }
  const disk = [...stranger.disk].map(([key, value]) => key + toHex(value)).join('\n')
  for (const secret of secrets) assert.ok(!disk.includes(secret), secret)
})

// Turns red when a letter does not say on which session its message may have come already.
test('a message under way when its session dies comes once, by session or letter, and in its place', () => {
  for (let seed = 1; seed <= 60; seed++) {
    const { mesh, a, b, stranger, pass } = town(seed)
    const [atA] = mesh.connect(a, b)
    mesh.connect(a, stranger)
    mesh.connect(stranger, b)
    pass(100)
    write(a, b, '1', '2', '3', '4')
    for (let k = mesh.random.below(12); k > 0; k--) mesh.step()
    if (seed % 2 === 0) mesh.cut(atA)
    else mesh.part(atA, seed % 3 === 0 ? 'closed' : 'timeout')
    write(a, b, '5')
    pass(mesh.random.below(3) * 500)
    if (seed % 2 === 0) mesh.mend(atA)
    else mesh.connect(a, b)
    write(a, b, '6')
    pass()
    assert.deepEqual(received(b), ['1', '2', '3', '4', '5', '6'], `seed ${seed}`)
    assert.equal(a.of('done').length, 6)
  }
})

test('what is sent when a member returns follows what was written to it', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const { mesh, a, b, pass } = town(seed)
    write(a, b, '1', '2')
    const large = new SeededRandom(seed).bytes(50_000)
    a.send(3, b, 'blob', large)
    mesh.connect(b, a)
    for (let k = mesh.random.below(30); k > 0; k--) mesh.step()
    write(a, b, '4')
    mesh.settle()
    write(a, b, '5')
    pass()
    const events = b.of('message').map(({ event, value }) => (event === 'blob' ? '3' : text(value)))
    assert.deepEqual(events, ['1', '2', '3', '4', '5'], `seed ${seed}`)
    assert.deepEqual(b.of('message')[2]?.value, large)
  }
})

test('a member is written to that nobody met: who read something of it looks no further', () => {
  const { mesh, a, b, stranger, pass } = town()
  const [atB] = mesh.connect(b, stranger)
  b.publish(1, 'news', ascii('I was here'))
  pass()
  mesh.part(atB, 'closed')
  const [atA] = mesh.connect(a, stranger)
  pass()
  assert.equal(a.of('packet')[0]?.packet.author, b.peerId)
  a.send(2, b, 'note', ascii('and I'))
  pass()
  mesh.part(atA, 'closed')
  mesh.connect(b, stranger)
  pass()
  assert.deepEqual(received(b), ['and I'])
})

// Turns red when letters introduce their author each, or when nobody is introduced.
test('who has published nothing introduces itself once, over restarts too', () => {
  const { mesh, a, b, c, stranger, pass } = town()
  const [atA] = mesh.connect(a, stranger)
  mesh.settle()
  write(a, b, '1', '2')
  write(a, c, '3')
  pass()
  const introductions = () => packetsOn(stranger).length - lettersOn(stranger).length
  assert.equal(introductions(), 1)
  mesh.part(atA, 'closed')
  const again = mesh.peer(1, { disk: a.disk })
  again.join()
  mesh.connect(again, stranger)
  write(again, c, '4')
  mesh.pass(2000, [again, stranger])
  assert.equal(introductions(), 1)
  assert.equal(lettersOn(stranger).length, 4)
  const spoken = mesh.peer(4)
  spoken.join()
  mesh.connect(spoken, stranger)
  spoken.publish(1, 'news', ascii('x'))
  write(spoken, c, '5')
  mesh.pass(2000, [spoken, stranger])
  assert.equal(introductions(), 2, 'who has published is known by that')
})

test('contacts outlast a restart: their letters are looked for though nothing else tells of them', () => {
  const { mesh, a, b, stranger, pass } = town()
  const [atA] = mesh.connect(a, b)
  pass(100)
  mesh.part(atA, 'closed')
  mesh.connect(a, stranger)
  write(a, b, '1')
  pass()
  for (const key of [...stranger.disk.keys()]) {
    const record = toHex(stranger.disk.get(key) ?? new Uint8Array()).slice(4)
    if (!lettersOn(stranger).includes(record)) stranger.disk.delete(key)
  }
  const keeper = mesh.peer(9, { disk: stranger.disk })
  assert.equal(packetsOn(keeper).length, 1, 'the letter alone')
  const contacts = new Map([...b.disk].filter(([key]) => key.startsWith('contact/')))
  assert.equal(contacts.size, 1)
  for (const [disk, expected] of [
    [contacts, ['1']],
    [new Map<string, Uint8Array>(), []],
  ] as const) {
    const again = mesh.peer(2, { disk: new Map(disk) })
    again.join()
    const [atB] = mesh.connect(again, keeper)
    mesh.pass(2000, [again, keeper])
    assert.deepEqual(received(again), expected)
    mesh.part(atB, 'closed')
  }
})

test('a letter of one’s own that comes back is no message', () => {
  const { mesh, a, b, stranger, pass } = town()
  mesh.connect(a, stranger)
  write(a, b, '1')
  pass()
  const wiped = mesh.peer(1)
  wiped.join()
  mesh.connect(wiped, stranger)
  mesh.settle()
  write(wiped, b, '2')
  mesh.pass(2000, [wiped, stranger])
  assert.equal(lettersOn(wiped).length, 2, 'it got its first letter back')
  assert.deepEqual(wiped.of('message'), [])
})

test('what a member seals into a mailbox that is no letter is refused', () => {
  const { mesh, a, b, pass } = town()
  const [, atB] = mesh.connect(a, b)
  pass(2 * OPEN_AFTER_MS)
  const identity = crypto.signingKeyPair(new Uint8Array(32).fill(1))
  const key = mailKey(crypto, identity, b.peerId, joinKey) ?? assert.fail('no key')
  const createdS = Math.floor(mesh.wall / 1000)
  const keys = new SubclusterKeys(crypto, key, CLUSTER_ID).at(createdS) ?? assert.fail('no keys')
  for (const payload of [[], [2], [1, 0], [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]]) {
    const content = { event: 'x', lamport: 1, parents: [], payload: Uint8Array.from(payload) }
    const salt = new SeededRandom(payload.length).bytes(12)
    const draft = { ...content, createdS, lifeMinutes: 60, salt }
    const { bytes } = sealPacket(crypto, keys, identity, draft)
    const message = encodePacketMessage(bytes, undefined, false)
    atB.receive({ kind: 'message', number: 0, payload: message })
  }
  assert.deepEqual(b.rejected, Array(4).fill('malformed'))
  assert.deepEqual(b.of('message'), [])
})

test('who has left a subcluster gets no letter there, and finds it on joining again', () => {
  const { mesh, a, b, pass } = town()
  mesh.connect(a, b)
  pass(100)
  b.do({ type: 'leave', subcluster: 1 })
  pass(100)
  write(a, b, '1')
  pass()
  assert.equal(lettersOn(b).length, 1, 'kept as a stranger keeps it')
  assert.deepEqual(received(b), [])
  b.join()
  pass()
  assert.deepEqual(received(b), ['1'])
})

// Turns red when mailboxes are opened all at once, or never.
test('mailboxes are opened one after the other, and at once for who gives what may be a letter', () => {
  const mesh = new Mesh()
  const b = mesh.peer(2)
  b.join()
  const others = Array.from({ length: 20 }, (_, i) => mesh.peer(10 + i))
  for (const other of others) {
    other.join()
    mesh.connect(other, b)
  }
  mesh.settle()
  const give = (number: number, wantsReceipt: boolean) => {
    const identity = crypto.signingKeyPair(new Uint8Array(32).fill(10 + number))
    const key = mailKey(crypto, identity, b.peerId, joinKey) ?? assert.fail('no key')
    const createdS = Math.floor(mesh.wall / 1000)
    const keys = new SubclusterKeys(crypto, key, CLUSTER_ID).at(createdS) ?? assert.fail('no keys')
    const content = { event: 'x', lamport: 1, parents: [], payload: Uint8Array.of(0, 1) }
    const draft = { ...content, createdS, lifeMinutes: 60, salt: mesh.random.bytes(12) }
    const payload = encodePacketMessage(
      sealPacket(crypto, keys, identity, draft).bytes,
      undefined,
      wantsReceipt,
    )
    const peer = others[number]?.peerId
    const port = mesh.ports.find((each) => each.owner === b && each.peer === peer)
    port?.receive({ kind: 'message', number: 0, payload })
    return b.of('message').length
  }
  assert.equal(give(0, false), 0, 'not yet')
  assert.equal(give(1, true), 1, 'its author may have given it')
  for (let i = 2; i < 20; i++) assert.equal(give(i, false), 1)
  mesh.pass(OPEN_AFTER_MS, [b])
  const opened = b.of('message').length
  assert.equal(opened > 1 && opened < 12, true, `${opened}`)
  mesh.pass(100, [b])
  assert.equal(b.of('message').length, 20, 'what came before is read then')
})

test('both ways at once: what two members write to each other while apart arrives on both sides', () => {
  for (let seed = 1; seed <= 10; seed++) {
    const { mesh, a, b, stranger, pass } = town(seed)
    for (const [self, other, value] of [
      [a, b, '1'],
      [b, a, '2'],
      [a, b, '3'],
    ] as const) {
      const [port] = mesh.connect(self, stranger)
      pass(1000)
      write(self, other, value)
      pass(1000)
      mesh.part(port, 'closed')
    }
    mesh.connect(b, stranger)
    mesh.connect(a, stranger)
    pass()
    assert.deepEqual(received(b), ['1', '3'])
    assert.deepEqual(received(a), ['2'])
  }
})

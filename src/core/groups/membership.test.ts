import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MALFORMED } from '../errors.ts'
import { SeededRandom } from '../seeded.fixture.ts'
import { ascii, toHex } from '../wire/bytes.ts'
import {
  decodeMemberMessage,
  encodeAccept,
  encodeEmit,
  encodeJoin,
  encodeLeave,
  KIND_ACCEPT,
  KIND_JOIN,
  KIND_REPLICATION_MIN,
  type MemberMessage,
} from './member-wire.ts'
import { membershipMac } from './membership.ts'
import {
  CLUSTER_ID,
  crypto,
  type FakePeer,
  type FakePort,
  Mesh,
  SHARED_KEY,
} from './mesh.fixture.ts'
import { SubclusterKeys } from './subcluster-keys.ts'

const OTHER_KEY = new Uint8Array(32).fill(99)
const { joinKey } = new SubclusterKeys(crypto, SHARED_KEY, CLUSTER_ID)

/** What concerns members: every neighbour is told besides what we keep of others' packets. */
function sentBy(port: FakePort): MemberMessage[] {
  return memberPayloads(port).map((payload) => {
    const message = decodeMemberMessage(payload)
    assert.ok(message !== MALFORMED)
    return message
  })
}

function memberPayloads(port: FakePort): Uint8Array[] {
  return port.sent.filter(([kind]) => (kind ?? 0) < KIND_REPLICATION_MIN)
}

function joinEntries(port: FakePort) {
  return sentBy(port).flatMap((message) => (message.kind === KIND_JOIN ? message.entries : []))
}

function publicKeyOf(peer: FakePeer): Uint8Array {
  return Uint8Array.from(Buffer.from(peer.peerId, 'hex'))
}

test('two peers with the same key become members in whatever order their proofs arrive', () => {
  for (let seed = 1; seed <= 100; seed++) {
    const mesh = new Mesh(seed)
    const [a, b] = [mesh.peer(1), mesh.peer(2)]
    const order = seed % 3
    if (order !== 2) a.join()
    if (order === 0) b.join()
    mesh.connect(a, b)
    if (seed % 2 === 0) mesh.settle()
    if (order === 2) a.join()
    if (order !== 0) b.join()
    mesh.settle()
    for (const [self, other] of [
      [a, b],
      [b, a],
    ] as const) {
      assert.deepEqual(self.members(), [other.peerId], `seed ${seed}`)
      assert.equal(self.of('member').length, 1)
      assert.equal(self.groups.isMember(other.peerId), true)
      assert.deepEqual(self.rejected, [])
    }
  }
})

// Turns red when a link that was left, or an earlier one, counts again; or when no ACCEPT is answered.
test('any history of joins and leaves ends with both sides agreed', () => {
  for (let seed = 1; seed <= 400; seed++) {
    const mesh = new Mesh(seed)
    const [a, b] = [mesh.peer(1), mesh.peer(2)]
    const joined = new Map<FakePeer, boolean>([
      [a, false],
      [b, false],
    ])
    mesh.connect(a, b)
    const changes = 11 + (seed % 2)
    for (let i = 0; i < changes; i++) {
      const peer = mesh.random.below(2) === 0 ? a : b
      if (joined.get(peer)) peer.do({ type: 'leave', subcluster: 1 })
      else peer.join()
      joined.set(peer, !joined.get(peer))
      for (let k = mesh.random.below(8); k > 0; k--) mesh.step()
    }
    mesh.settle()
    const areBoth = joined.get(a) && joined.get(b)
    assert.equal(a.groups.isMember(b.peerId), areBoth, `seed ${seed}`)
    assert.equal(b.groups.isMember(a.peerId), areBoth, `seed ${seed}`)
    a.events.length = 0
    b.events.length = 0
    a.send(1, b, 'after', ascii('x'))
    b.send(1, a, 'after', ascii('y'))
    mesh.settle()
    assert.equal(a.of('message').length, areBoth ? 1 : 0, `seed ${seed}`)
    assert.equal(b.of('message').length, areBoth ? 1 : 0, `seed ${seed}`)
    assert.equal(a.of('failed').length, joined.get(a) ? 0 : 1, `seed ${seed}`)
    const done = joined.get(a) ? [areBoth ? 'at once' : 'by letter'] : []
    assert.deepEqual(
      a.of('done').map(({ packet }) => (packet ? 'by letter' : 'at once')),
      done,
    )
  }
})

test('a peer without the key is never answered and learns no more than a blurred number', () => {
  const mesh = new Mesh()
  const [a, stranger] = [mesh.peer(1), mesh.peer(2)]
  a.join()
  stranger.join(1, OTHER_KEY)
  const [atA, atStranger] = mesh.connect(a, stranger)
  mesh.settle()
  assert.deepEqual(a.members(), [])
  for (const port of [atA, atStranger]) {
    assert.deepEqual(
      sentBy(port).map(({ kind }) => kind),
      [KIND_JOIN],
    )
    assert.equal(joinEntries(port).length, 4)
  }
  a.do({ type: 'leave', subcluster: 1 })
  mesh.settle()
  assert.equal(memberPayloads(atA).length, 1, 'not even the leaving shows')
})

test('a JOIN has a multiple of four entries, each link once, also from a peer in nothing', () => {
  for (const [subclusters, entries] of [
    [0, 4],
    [1, 4],
    [4, 4],
    [5, 8],
    [300, 300],
  ] as const) {
    const mesh = new Mesh()
    const [a, b] = [mesh.peer(1), mesh.peer(2)]
    for (let i = 0; i < subclusters; i++) a.join(i + 1, new SeededRandom(i).bytes(32))
    const [atA] = mesh.connect(a, b)
    const links = joinEntries(atA).map(({ link }) => link)
    assert.equal(links.length, entries)
    assert.deepEqual(
      [...new Set(links)].sort((x, y) => x - y),
      links,
    )
  }
})

test('our proofs stand at random places among the noise', () => {
  const places = new Set<number>()
  for (let seed = 1; seed <= 40; seed++) {
    const mesh = new Mesh(seed)
    const [a, b] = [mesh.peer(seed), mesh.peer(100)]
    a.join()
    const [atA] = mesh.connect(a, b)
    const mac = membershipMac(crypto, joinKey, atA.binding, publicKeyOf(a), publicKeyOf(b))
    places.add(joinEntries(atA).findIndex((entry) => toHex(entry.mac) === toHex(mac)))
  }
  assert.deepEqual([...places].sort(), [0, 1, 2, 3])
})

// Turns red when `onJoin` or `onAccept` takes any mac, or when the mac leaves out the binding, the
// sender or the receiver.
test('a proof from another session, or of another peer, proves nothing', () => {
  const mesh = new Mesh()
  const [a, thief] = [mesh.peer(1), mesh.peer(3)]
  a.join()
  const [, atThief] = mesh.connect(a, thief)
  mesh.settle()
  const own = publicKeyOf(a)
  const thiefKey = publicKeyOf(thief)
  const otherBinding = new Uint8Array(32).fill(77)
  const stolen: Uint8Array[] = [
    membershipMac(crypto, joinKey, otherBinding, thiefKey, own),
    membershipMac(crypto, joinKey, atThief.binding, own, thiefKey),
    membershipMac(crypto, joinKey, atThief.binding, publicKeyOf(mesh.peer(4)), own),
    membershipMac(crypto, joinKey, atThief.binding, thiefKey, publicKeyOf(mesh.peer(4))),
    new Uint8Array(16),
  ]
  for (const [i, mac] of stolen.entries()) {
    atThief.sendMessage(encodeJoin([{ link: 100 + i, mac }]))
    for (let link = 0; link < 4; link++) atThief.sendMessage(encodeAccept(link, 200 + i, mac))
    atThief.sendMessage(encodeEmit({ to: i % 4, from: 100 + i }, 0, 0, 'inject', ascii('x')))
  }
  mesh.settle()
  assert.equal(a.groups.isMember(thief.peerId), false)
  assert.deepEqual(a.events, [])
  const genuine = membershipMac(crypto, joinKey, atThief.binding, thiefKey, own)
  atThief.sendMessage(encodeJoin([{ link: 300, mac: genuine }]))
  mesh.settle()
  assert.equal(sentBy(atThief.other as FakePort).at(-1)?.kind, KIND_ACCEPT)
})

// Turns red when `#resolve` finds unproved links.
test('an outsider injects nothing on any link', () => {
  const mesh = new Mesh()
  const [a, stranger] = [mesh.peer(1), mesh.peer(2)]
  a.join()
  const [, atStranger] = mesh.connect(a, stranger)
  mesh.settle()
  for (let link = 0; link < 20; link++) {
    for (let to = 0; to < 4; to++)
      atStranger.sendMessage(encodeEmit({ to, from: link }, 0, 0, 'inject', ascii('x')))
    atStranger.sendMessage(encodeLeave(link))
  }
  mesh.settle()
  assert.deepEqual(a.events, [])
  assert.deepEqual(new Set(a.rejected), new Set(['unknown']))
  assert.equal(a.groups.isMember(stranger.peerId), false)
})

test('leaving is told to members, and joining again makes a member again', () => {
  const mesh = new Mesh()
  const [a, b] = [mesh.peer(1), mesh.peer(2)]
  a.join()
  b.join()
  mesh.connect(a, b)
  mesh.settle()
  b.do({ type: 'leave', subcluster: 1 })
  mesh.settle()
  assert.deepEqual(a.of('member').at(-1)?.change, { state: 'left', why: 'left' })
  b.join(2)
  mesh.settle()
  assert.deepEqual(a.members(), [b.peerId])
  assert.deepEqual(b.members(2), [a.peerId])
})

test('a session without contact makes its member leave, and back in contact join', () => {
  const mesh = new Mesh()
  const [a, b] = [mesh.peer(1), mesh.peer(2)]
  a.join()
  b.join()
  const [atA] = mesh.connect(a, b)
  mesh.settle()
  a.groups.sessionLost(atA, mesh.now, mesh.wall)
  assert.deepEqual(a.of('member').at(-1)?.change, { state: 'left', why: 'timeout' })
  a.send(1, b, 'kept', ascii('x'))
  a.groups.sessionBack(atA, mesh.now)
  assert.deepEqual(a.members(), [b.peerId])
  mesh.settle()
  assert.equal(b.of('message').length, 1)
  assert.equal(a.of('done').length, 1)
})

test('subclusters of one session are told apart', () => {
  const mesh = new Mesh()
  const [a, b] = [mesh.peer(1), mesh.peer(2)]
  a.join(1, SHARED_KEY)
  a.join(2, OTHER_KEY)
  b.join(7, OTHER_KEY)
  mesh.connect(a, b)
  mesh.settle()
  assert.deepEqual(a.members(1), [])
  assert.deepEqual(a.members(2), [b.peerId])
  b.send(1, a, 'x', ascii('x'), 7)
  mesh.settle()
  assert.equal(a.of('message')[0]?.subcluster, 2)
})

test('joining twice, or with a key of the wrong length, is the caller’s fault', () => {
  const a = new Mesh().peer(1)
  a.join()
  assert.throws(() => a.join(), { code: 'EHANDLE' })
  assert.throws(() => a.join(2), { code: 'EJOINED' })
  assert.throws(() => a.join(3, new Uint8Array(31)), { code: 'EKEY' })
})

test('the peer forgets links that were left long ago', () => {
  const mesh = new Mesh()
  const [a, b] = [mesh.peer(1), mesh.peer(2)]
  const [, atB] = mesh.connect(a, b)
  for (let link = 0; link < 5000; link++) atB.sendMessage(encodeLeave(link))
  mesh.settle()
  assert.deepEqual(a.events, [])
})

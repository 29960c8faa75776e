import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRandom } from '../seeded.fixture.ts'
import { ascii, concat } from '../wire/bytes.ts'
import { JOIN_ENTRIES_MAX } from './member-wire.ts'
import { Mesh } from './mesh.fixture.ts'

const KINDS = [
  ...[0x10, 0x11, 0x12, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35],
  ...[0x36, 0x37, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x7f, 0x80, 0xc1, 0xff],
]

function pair(isMember: boolean) {
  const mesh = new Mesh(5)
  const [a, b] = [mesh.peer(1), mesh.peer(2)]
  a.join()
  if (isMember) b.join()
  const [atA, atB] = mesh.connect(a, b)
  mesh.settle()
  return { mesh, a, b, atA, atB }
}

test('random bytes of every kind throw nothing, from a member or a stranger', () => {
  for (const isMember of [false, true]) {
    const { mesh, a, atA } = pair(isMember)
    const random = new SeededRandom(8)
    for (let i = 0; i < 30_000; i++) {
      const kind = KINDS[i % KINDS.length] ?? 0
      const links = random.below(2) === 0 ? [] : [random.below(5), random.below(5)]
      const payload = concat(Uint8Array.of(kind, ...links), random.bytes(random.below(80)))
      if (random.below(10) === 0) a.groups.datagram(atA, payload, mesh.now)
      else a.groups.message(atA, payload, mesh.now, mesh.wall)
    }
    assert.equal(a.rejected.length > 10_000, true)
    if (!isMember) assert.deepEqual(a.events, [])
    mesh.pass(4 * 3_600_000, [a])
  }
})

test('mutations of what a member really sends throw nothing', () => {
  const { mesh, a, b, atA, atB } = pair(true)
  b.send(1, a, 'x', ascii('value'))
  b.publish(2, 'news', ascii('value'))
  b.publish(3, 'news', new Uint8Array(5000))
  b.publish(4, 'live', ascii('value'), 'live')
  b.do({ type: 'presence', subcluster: 1, value: ascii('here') })
  const call = { subcluster: 1, peer: a.peerId, name: 'f', value: ascii('x'), timeoutMs: 1000 }
  b.do({ type: 'request', operation: 5, ...call })
  mesh.settle()
  const random = new SeededRandom(9)
  const genuine = atB.sent
  for (let i = 0; i < 30_000; i++) {
    const payload = (genuine[random.below(genuine.length)] ?? new Uint8Array(1)).slice()
    payload[random.below(payload.length)] = random.below(256)
    const length = random.below(4) === 0 ? random.below(payload.length + 1) : payload.length
    a.groups.message(atA, payload.subarray(0, length), mesh.now, mesh.wall)
  }
  assert.equal(a.of('packet').length <= 2, true)
})

test('random bytes on streams throw nothing and show no stream to the application', () => {
  const { a, atA } = pair(false)
  const random = new SeededRandom(10)
  for (let stream = 1; stream < 4000; stream += 2) {
    a.groups.streamOpened(atA, stream)
    for (let k = random.below(4); k > 0; k--)
      a.groups.streamData(atA, stream, random.bytes(random.below(200)))
    const end = random.below(3)
    if (end === 0) a.groups.streamEnded(atA, stream)
    if (end === 1) a.groups.streamReset(atA, stream, 0)
    a.groups.streamWritable(atA, stream, 100)
  }
  assert.deepEqual(a.events, [])
})

test('a JOIN of gigantic length is malformed', () => {
  const { mesh, a, atA } = pair(false)
  const entry = new Uint8Array(17)
  const join = (count: number) =>
    concat(Uint8Array.of(0x10), ...Array.from({ length: count }, () => entry))
  a.groups.message(atA, join(JOIN_ENTRIES_MAX), mesh.now, mesh.wall)
  assert.deepEqual(a.rejected, [])
  a.groups.message(atA, join(JOIN_ENTRIES_MAX + 1), mesh.now, mesh.wall)
  assert.deepEqual(a.rejected, ['malformed'])
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ascii, concat } from '../wire/bytes.ts'
import { NAMELESS_STREAMS_MAX } from './member-streams.ts'
import { type FakePeer, Mesh, text } from './mesh.fixture.ts'

function pair(seed = 1) {
  const mesh = new Mesh(seed)
  const [a, b] = [mesh.peer(1), mesh.peer(2)]
  a.join()
  b.join()
  const [atA, atB] = mesh.connect(a, b)
  mesh.settle()
  return { mesh, a, b, atA, atB }
}

function open(from: FakePeer, to: FakePeer, stream = 2, name = 'file'): void {
  from.do({ type: 'openStream', stream, subcluster: 1, peer: to.peerId, name })
}

function dataOf(peer: FakePeer): string {
  return text(concat(...peer.of('data').map(({ data }) => data)))
}

test('a stream carries its name and then its bytes, both ways, to the end', () => {
  const { mesh, a, b, atB } = pair()
  open(a, b)
  a.do({ type: 'write', stream: 2, data: ascii('question') })
  a.do({ type: 'finish', stream: 2 })
  mesh.settle()
  assert.equal(a.of('writable')[0]?.stream, 2)
  const opened = b.of('stream')[0]
  assert.ok(opened)
  assert.equal(opened.name, 'file')
  assert.equal(opened.peer, a.peerId)
  assert.equal(opened.stream % 2, 1)
  assert.equal(dataOf(b), 'question')
  assert.equal(b.of('ended').length, 1)
  b.do({ type: 'consume', stream: opened.stream, bytes: 8 })
  const headerBytes = 1 + 1 + 1 + 4
  assert.deepEqual([...atB.consumed.values()], [headerBytes + 8])
  b.do({ type: 'write', stream: opened.stream, data: ascii('answer') })
  b.do({ type: 'finish', stream: opened.stream })
  mesh.settle()
  assert.equal(dataOf(a), 'answer')
  assert.deepEqual(a.of('broken'), [])
})

test('a stream to who is no member breaks at once', () => {
  const { a, mesh } = pair()
  open(a, mesh.peer(7))
  assert.deepEqual(a.of('broken'), [{ type: 'broken', stream: 2, code: 'EPEERGONE' }])
  a.do({ type: 'write', stream: 2, data: ascii('x') })
})

test('a reset stream breaks at the other side', () => {
  const { mesh, a, b } = pair()
  open(a, b)
  mesh.settle()
  a.do({ type: 'reset', stream: 2 })
  mesh.settle()
  assert.equal(b.of('broken')[0]?.code, 'EABORTED')
  assert.deepEqual(a.of('broken'), [])
})

test('streams break with the session, the member and our own leaving', () => {
  const down = pair()
  open(down.a, down.b)
  down.mesh.disconnect(down.atA, 'timeout')
  assert.equal(down.a.of('broken')[0]?.code, 'EPEERGONE')
  const left = pair()
  open(left.a, left.b)
  left.mesh.settle()
  left.b.do({ type: 'leave', subcluster: 1 })
  assert.equal(left.b.of('broken')[0]?.code, 'ECLOSED')
  left.mesh.settle()
  assert.equal(left.a.of('broken').length, 1)
})

test('a stream that names no link of a member is reset and never shown', () => {
  const { mesh, a, b, atB } = pair()
  const streams = [Uint8Array.of(9, 9, 1, 65), Uint8Array.of(0xff), new Uint8Array(400).fill(0xff)]
  for (const start of streams) {
    const stream = atB.openStream()
    atB.writeStream(stream, start)
    atB.finishStream(stream)
  }
  mesh.settle()
  assert.deepEqual(a.of('stream'), [])
  assert.equal(a.rejected.length, streams.length)
  assert.deepEqual(b.of('broken'), [])
})

test('streams whose name does not come are bounded', () => {
  const { mesh, a, atA, atB } = pair()
  for (let i = 0; i < NAMELESS_STREAMS_MAX + 10; i++) atB.openStream()
  mesh.settle()
  assert.equal(a.rejected.length, 10)
  assert.equal(atA.resets.length, 10)
})

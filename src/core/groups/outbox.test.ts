import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LeaveReason, PeerId } from '../io.ts'
import { ascii } from '../wire/bytes.ts'
import { INBOX_MESSAGES_MAX } from './inbox.ts'
import {
  type FakePeer,
  type FakePort,
  Mesh,
  packetsOn,
  subclusterTags,
  text,
} from './mesh.fixture.ts'
import { RESTART_WAIT_MS, VALUE_BYTES_MAX } from './outbox.ts'

function pair(seed = 1): { mesh: Mesh; a: FakePeer; b: FakePeer; atA: FakePort; atB: FakePort } {
  const mesh = new Mesh(seed)
  const [a, b] = [mesh.peer(1), mesh.peer(2)]
  a.join()
  b.join()
  const [atA, atB] = mesh.connect(a, b)
  mesh.settle()
  return { mesh, a, b, atA, atB }
}

function received(peer: FakePeer, event: string): string[] {
  const messages = peer.of('message').filter((message) => message.event === event)
  return messages.map(({ value }) => text(value))
}

/** Letters that a peer wrote and keeps: packets of no day's tag of the subcluster. */
function letters(peer: FakePeer): string[] {
  const tags = new Set(subclusterTags(peer.mesh))
  return packetsOn(peer).filter((packet) => !tags.has(packet.slice(14, 78)))
}

/** Both sides' ends of the session go, and a new session begins. */
function restart(mesh: Mesh, port: FakePort, why: LeaveReason): readonly [FakePort, FakePort] {
  const a = port.owner
  const b = port.other?.owner
  assert.ok(b)
  mesh.part(port, why)
  return mesh.connect(a, b)
}

test('messages arrive exactly once, in order per event, whatever order the transport keeps', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const { mesh, a, b } = pair(seed)
    const sent = new Map<string, string[]>()
    for (let i = 0; i < 300; i++) {
      const event = `event ${mesh.random.below(5)}`
      a.send(i, b, event, ascii(`${i}`))
      sent.set(event, [...(sent.get(event) ?? []), `${i}`])
      for (let k = mesh.random.below(3); k > 0; k--) mesh.step()
    }
    mesh.settle()
    for (const [event, values] of sent) assert.deepEqual(received(b, event), values)
    assert.equal(b.of('message').length, 300)
    assert.equal(a.of('done').length, 300)
    assert.deepEqual(b.rejected, [])
  }
})

test('one event does not wait for another', () => {
  const { mesh, a, b, atB } = pair()
  a.send(1, b, 'slow', ascii('1'))
  a.send(2, b, 'fast', ascii('2'))
  const [, fast] = atB.inbound.splice(0, 2)
  assert.ok(fast)
  atB.receive(fast)
  assert.deepEqual(received(b, 'fast'), ['2'])
  mesh.settle()
})

test('a message to who is not here is a letter, and to what is no peer’s key it fails', () => {
  const mesh = new Mesh()
  const [a, b] = [mesh.peer(1), mesh.peer(2)]
  a.join()
  mesh.connect(a, b)
  mesh.settle()
  a.send(5, b, 'x', ascii('x'))
  mesh.settle()
  const [done, ...more] = a.of('done')
  assert.deepEqual(more, [])
  assert.equal(done?.operation, 5)
  assert.equal(done?.packet?.author, a.peerId)
  const peer = 'ff'.repeat(32) as PeerId
  a.do({ type: 'send', operation: 6, subcluster: 1, peer, event: 'x', value: ascii('x') })
  assert.deepEqual(a.of('failed'), [{ type: 'failed', operation: 6, code: 'EPEERGONE' }])
})

test('what was not acknowledged when the other side restarted is sent again, in order', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const { mesh, a, b, atA } = pair(seed)
    for (let i = 0; i < 20; i++) a.send(i, b, 'x', ascii(`${i}`))
    for (let k = 0; k < 15; k++) mesh.step()
    const done = new Set(a.of('done').map(({ operation }) => operation))
    b.events.length = 0
    restart(mesh, atA, 'restarted')
    a.send(20, b, 'x', ascii('20'))
    mesh.settle()
    const expected = Array.from({ length: 21 }, (_, i) => i).filter((i) => !done.has(i))
    assert.deepEqual(received(b, 'x'), expected.map(String))
    assert.equal(a.of('done').length, 21)
  }
})

test('a member that was started anew is awaited for five seconds, and written to after that', () => {
  const { mesh, a, b, atA } = pair()
  a.send(1, b, 'x', ascii('under way'))
  mesh.part(atA, 'restarted')
  a.send(2, b, 'x', ascii('awaited'))
  mesh.pass(RESTART_WAIT_MS - 1, [a])
  assert.deepEqual(letters(a), [])
  mesh.pass(1, [a])
  assert.equal(letters(a).length, 2)
  a.send(3, b, 'x', ascii('written'))
  assert.equal(letters(a).length, 3)
  mesh.pass(2000, [a])
  const done = a.of('done').map(({ operation, packet }) => [operation, packet !== undefined])
  assert.deepEqual(done, [
    [1, true],
    [2, true],
    [3, true],
  ])
  mesh.connect(a, b)
  mesh.settle()
  assert.deepEqual(received(b, 'x'), ['under way', 'awaited', 'written'])
})

test('what a member did not acknowledge when it left, closed or fell silent becomes letters', () => {
  for (const why of ['left', 'closed', 'timeout'] as const) {
    const { mesh, a, b, atA } = pair()
    a.send(1, b, 'x', ascii('x'))
    a.send(2, b, 'y', ascii('y'))
    if (why === 'left') {
      b.do({ type: 'leave', subcluster: 1 })
      atA.other?.inbound.splice(0)
      mesh.settle()
    } else mesh.part(atA, why)
    assert.equal(letters(a).length, 2, why)
    mesh.pass(2000, [a, b])
    assert.deepEqual(
      a.of('done').map(({ packet }) => packet?.author),
      [a.peerId, a.peerId],
    )
    assert.deepEqual(a.of('failed'), [])
  }
})

test('a session without contact: messages go by letter, and later ones wait for these', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const { mesh, a, b, atA } = pair(seed)
    a.send(0, b, 'x', ascii('0'))
    for (let k = mesh.random.below(4); k > 0; k--) mesh.step()
    const acked = a.of('done').length
    mesh.cut(atA)
    a.send(1, b, 'x', ascii('1'))
    assert.equal(letters(a).length, 2 - acked)
    mesh.mend(atA)
    a.send(2, b, 'x', ascii('2'))
    for (let k = mesh.random.below(10); k > 0; k--) mesh.step()
    a.send(3, b, 'x', ascii('3'))
    mesh.settle()
    a.send(4, b, 'x', ascii('4'))
    mesh.settle()
    assert.deepEqual(received(b, 'x'), ['0', '1', '2', '3', '4'], `seed ${seed}`)
    assert.equal(a.of('done').length, 5)
    assert.equal(letters(a).length, 2 - acked, 'in contact they go at once again')
  }
})

test('a cancelled message that waits is not sent, and one under way is forgotten', () => {
  const { mesh, a, b, atA } = pair()
  a.send(1, b, 'x', ascii('under way'))
  a.do({ type: 'cancel', operation: 1 })
  const atB = atA.other
  mesh.disconnect(atA, 'restarted')
  assert.ok(atB)
  mesh.disconnect(atB, 'restarted')
  a.send(2, b, 'x', ascii('cancelled'))
  a.send(3, b, 'x', ascii('kept'))
  a.do({ type: 'cancel', operation: 2 })
  mesh.connect(a, b)
  mesh.settle()
  assert.deepEqual(received(b, 'x'), ['kept'])
  assert.deepEqual(
    a.of('failed').map(({ operation, code }) => [operation, code]),
    [
      [1, 'EABORTED'],
      [2, 'EABORTED'],
    ],
  )
  assert.deepEqual(
    a.of('done').map(({ operation }) => operation),
    [3],
  )
})

test('leaving a subcluster ends what was under way there', () => {
  const { a, b } = pair()
  a.send(1, b, 'x', ascii('x'))
  a.do({ type: 'leave', subcluster: 1 })
  a.send(2, b, 'x', ascii('x'))
  assert.deepEqual(
    a.of('failed').map(({ code }) => code),
    ['ECLOSED', 'ECLOSED'],
  )
})

test('a live publish is done when every member has it or has gone', () => {
  const mesh = new Mesh()
  const [a, b, c, d] = [mesh.peer(1), mesh.peer(2), mesh.peer(3), mesh.peer(4)]
  for (const peer of [a, b, c, d]) peer.join()
  mesh.connect(a, b)
  const [toC] = mesh.connect(a, c)
  const [toD] = mesh.connect(a, d)
  mesh.settle()
  a.groups.sessionLost(toD, mesh.now, mesh.wall)
  a.publish(1, 'x', ascii('x'), 'live')
  const held = toC.other
  assert.ok(held)
  const waiting = held.inbound.splice(0)
  mesh.settle()
  assert.equal(b.of('message')[0]?.delivery, 'ordered')
  assert.deepEqual(a.of('done'), [])
  held.inbound.push(...waiting)
  mesh.disconnect(toC, 'timeout')
  assert.deepEqual(a.of('done'), [{ type: 'done', operation: 1, packet: undefined }])
  assert.equal(d.of('message').length, 0)
  const alone = mesh.peer(5)
  alone.join()
  alone.publish(1, 'x', ascii('x'), 'live')
  assert.equal(alone.of('done').length, 1)
})

test('ten thousand messages and many large ones stay within what the receiver can hold', () => {
  const { mesh, a, b } = pair(9)
  const large = new Uint8Array(1024 * 1024)
  for (let i = 0; i < 24; i++) a.send(i, b, 'large', large)
  for (let i = 24; i < 10_000; i++) a.send(i, b, 'small', ascii(`${i}`))
  mesh.settle()
  assert.deepEqual(b.rejected, [])
  assert.equal(a.of('done').length, 10_000)
  assert.deepEqual(
    received(b, 'small'),
    Array.from({ length: 9976 }, (_, i) => `${i + 24}`),
  )
})

// Turns red when the sender's window is not counted from the oldest unacknowledged message.
test('a sender waits while its oldest message is missing, rather than make the receiver refuse', () => {
  const { mesh, a, b, atB } = pair(3)
  const count = INBOX_MESSAGES_MAX + 500
  for (let i = 0; i < count; i++) a.send(i, b, 'x', ascii(`${i}`))
  const oldest = atB.inbound.splice(0, 1)
  mesh.settle()
  assert.equal(a.of('done').length, INBOX_MESSAGES_MAX - 1)
  assert.deepEqual(received(b, 'x'), [])
  atB.inbound.push(...oldest)
  mesh.settle()
  assert.equal(b.of('message').length, count)
  assert.equal(b.rejected.length, 0)
})

test('a value above a mebibyte is too big', () => {
  const { a, b } = pair()
  a.send(1, b, 'x', new Uint8Array(VALUE_BYTES_MAX + 1))
  assert.equal(a.of('failed')[0]?.code, 'ETOOBIG')
  assert.throws(() => a.send(2, b, 'é'.repeat(128), ascii('x')), { code: 'ENAME' })
})

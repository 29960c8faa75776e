import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LeaveReason } from '../io.ts'
import { ascii } from '../wire/bytes.ts'
import { INBOX_MESSAGES_MAX } from './inbox.ts'
import { type FakePeer, type FakePort, Mesh, text } from './mesh.fixture.ts'
import { AWAITED_MEMBERS_MAX, OUTBOX_KEEP_MS, VALUE_BYTES_MAX } from './outbox.ts'

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

/** Both sides' ends of the session go, and a new session begins. */
function restart(mesh: Mesh, port: FakePort, why: LeaveReason): readonly [FakePort, FakePort] {
  const a = port.owner
  const b = port.other?.owner
  const atB = port.other
  assert.ok(b && atB)
  mesh.disconnect(port, why)
  mesh.disconnect(atB, why)
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

test('a message to who was never a member fails at once', () => {
  const mesh = new Mesh()
  const [a, b] = [mesh.peer(1), mesh.peer(2)]
  a.join()
  mesh.connect(a, b)
  mesh.settle()
  a.send(5, b, 'x', ascii('x'))
  assert.deepEqual(a.of('failed'), [{ type: 'failed', operation: 5, code: 'EPEERGONE' }])
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

test('a member that does not return in time is given up', () => {
  const { mesh, a, b, atA } = pair()
  a.send(1, b, 'x', ascii('x'))
  mesh.disconnect(atA, 'timeout')
  a.send(2, b, 'x', ascii('y'))
  mesh.pass(OUTBOX_KEEP_MS - 1, [a])
  assert.deepEqual(a.of('failed'), [])
  mesh.pass(1, [a])
  assert.deepEqual(
    a.of('failed').map(({ operation, code }) => [operation, code]),
    [
      [1, 'EPEERGONE'],
      [2, 'EPEERGONE'],
    ],
  )
  assert.equal(a.groups.deadline(), undefined)
  a.send(3, b, 'x', ascii('z'))
  assert.equal(a.of('failed').length, 3)
})

test('a member that leaves or closes takes its messages with it', () => {
  const leaves = pair()
  leaves.a.send(1, leaves.b, 'x', ascii('x'))
  leaves.b.do({ type: 'leave', subcluster: 1 })
  leaves.atB.inbound.length = 0
  leaves.mesh.settle()
  assert.equal(leaves.a.of('failed')[0]?.code, 'EPEERGONE')
  const closes = pair()
  closes.a.send(1, closes.b, 'x', ascii('x'))
  closes.mesh.disconnect(closes.atA, 'closed')
  assert.equal(closes.a.of('failed')[0]?.code, 'EPEERGONE')
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
  a.groups.sessionLost(toD)
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

test('awaited members are bounded: who has been away longest is given up', () => {
  const mesh = new Mesh()
  const a = mesh.peer(1)
  const count = AWAITED_MEMBERS_MAX + 5
  const sharedKeys = Array.from({ length: count }, (_, i) =>
    Uint8Array.from({ length: 32 }, (_, k) => (k === 0 ? i & 255 : k === 1 ? i >> 8 : 1)),
  )
  const b = mesh.peer(2)
  for (const [i, key] of sharedKeys.entries()) {
    a.join(i + 1, key)
    b.join(i + 1, key)
  }
  const [atA] = mesh.connect(a, b)
  mesh.settle()
  for (let i = 0; i < count; i++) a.send(i, b, 'x', ascii('x'), i + 1)
  mesh.disconnect(atA, 'timeout')
  assert.deepEqual(
    a.of('failed').map(({ operation }) => operation),
    [0, 1, 2, 3, 4],
  )
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ascii } from '../wire/bytes.ts'
import { CALLS_PER_SESSION_MAX } from './calls.ts'
import { encodeCancel, encodeRequest } from './member-wire.ts'
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

function request(from: FakePeer, to: FakePeer, operation: number, timeoutMs = 5000): void {
  const value = ascii(`${operation}`)
  const call = { subcluster: 1, peer: to.peerId, name: 'double', value, timeoutMs }
  from.do({ type: 'request', operation, ...call })
}

test('each request gets its own answer', () => {
  const { mesh, a, b } = pair()
  for (let i = 0; i < 50; i++) request(a, b, i)
  mesh.settle()
  const calls = b.of('call')
  assert.equal(calls.length, 50)
  assert.equal(
    calls.every(({ name, peer }) => name === 'double' && peer === a.peerId),
    true,
  )
  for (const { call, value } of calls.toReversed()) {
    const number = Number(text(value))
    b.do({ type: 'respond', call, ok: number % 2 === 0, value: ascii(`${2 * number}`) })
  }
  mesh.settle()
  const answers = a.of('answer')
  assert.equal(answers.length, 50)
  for (const { operation, ok, value } of answers) {
    assert.equal(text(value), `${2 * operation}`)
    assert.equal(ok, operation % 2 === 0)
  }
  mesh.pass(10_000, [a, b])
  assert.ok(!mesh.woken.includes('call times out'), 'no timer is left')
  assert.deepEqual(a.of('failed'), [])
})

test('a request without an answer times out and is cancelled at the other side', () => {
  const { mesh, a, b } = pair()
  request(a, b, 1, 300)
  mesh.settle()
  mesh.pass(299, [a, b])
  assert.deepEqual(a.of('failed'), [])
  mesh.pass(1, [a, b])
  assert.equal(a.of('failed')[0]?.code, 'ETIMEDOUT')
  const call = b.of('call')[0]?.call
  assert.deepEqual(b.of('callCancelled'), [{ type: 'callCancelled', call }])
  b.do({ type: 'respond', call: call ?? 0, ok: true, value: ascii('late') })
  mesh.settle()
  assert.deepEqual(a.of('answer'), [])
})

test('a cancelled request is cancelled at the other side, in whatever order the two arrive', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const { mesh, a, b } = pair(seed)
    request(a, b, 1)
    a.do({ type: 'cancel', operation: 1 })
    mesh.settle()
    assert.equal(a.of('failed')[0]?.code, 'EABORTED')
    assert.equal(b.of('call').length, b.of('callCancelled').length)
  }
})

test('a request ends with the session, and is not made again on the next', () => {
  const { mesh, a, b, atA } = pair()
  request(a, b, 1)
  mesh.settle()
  const atB = atA.other
  mesh.disconnect(atA, 'restarted')
  assert.equal(a.of('failed')[0]?.code, 'EPEERGONE')
  assert.ok(atB)
  mesh.disconnect(atB, 'restarted')
  assert.equal(b.of('callCancelled').length, 1)
  mesh.connect(a, b)
  mesh.settle()
  assert.equal(b.of('call').length, 1)
  request(a, mesh.peer(9), 2)
  assert.equal(a.of('failed')[1]?.code, 'EPEERGONE')
})

test('open calls of one session are bounded, and the caller beyond is told', () => {
  const { mesh, a, b } = pair()
  for (let i = 0; i < CALLS_PER_SESSION_MAX + 3; i++) request(a, b, i)
  mesh.settle()
  assert.equal(b.of('call').length, CALLS_PER_SESSION_MAX)
  assert.deepEqual(
    a.of('failed').map(({ code }) => code),
    ['EREMOTE', 'EREMOTE', 'EREMOTE'],
  )
})

test('a member cannot reuse a call number, nor fill us with cancellations', () => {
  const { mesh, a, b, atB } = pair()
  const pairOfB = { to: 0, from: 0 }
  for (let to = 0; to < 4; to++)
    for (let from = 0; from < 4; from++) {
      const pair = { to, from }
      const before = a.rejected.length
      atB.sendMessage(encodeCancel(pair, 999))
      mesh.settle()
      if (a.rejected.length === before) Object.assign(pairOfB, pair)
    }
  a.rejected.length = 0
  for (let call = 1000; call < 5000; call++) atB.sendMessage(encodeCancel(pairOfB, call))
  atB.sendMessage(encodeRequest(pairOfB, 1, 'x', ascii('x')))
  atB.sendMessage(encodeRequest(pairOfB, 1, 'x', ascii('x')))
  mesh.settle()
  assert.deepEqual(a.rejected, ['malformed'])
  assert.equal(a.of('call').length, 1)
  assert.equal(b.of('answer').length, 0)
})

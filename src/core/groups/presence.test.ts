import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ascii } from '../wire/bytes.ts'
import { type FakePeer, Mesh, text } from './mesh.fixture.ts'
import { PRESENCE_BYTES_MAX } from './presence.ts'

function show(peer: FakePeer, value: string | undefined): void {
  peer.do({ type: 'presence', subcluster: 1, value: value === undefined ? value : ascii(value) })
}

function shown(peer: FakePeer): (string | undefined)[] {
  return peer.of('presence').map(({ value }) => (value === undefined ? value : text(value)))
}

function pair(seed = 1) {
  const mesh = new Mesh(seed)
  const [a, b] = [mesh.peer(1), mesh.peer(2)]
  a.join()
  b.join()
  return { mesh, a, b }
}

test('a member that joins is shown what is there, after it is known to be here', () => {
  const { mesh, a, b } = pair()
  show(a, 'hello')
  mesh.connect(a, b)
  mesh.settle()
  assert.deepEqual(shown(b), ['hello'])
  assert.deepEqual(
    b.events.map(({ type }) => type),
    ['member', 'presence'],
  )
})

test('the last value is the last one shown, and a fast changer costs few messages', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const { mesh, a, b } = pair(seed)
    const [atA] = mesh.connect(a, b)
    mesh.settle()
    const before = atA.sent.length
    for (let i = 0; i < 100; i++) show(a, `${i}`)
    assert.equal(atA.sent.length, before + 1)
    mesh.settle()
    assert.deepEqual(shown(b), ['0', '99'])
    show(a, undefined)
    mesh.settle()
    assert.deepEqual(shown(b).at(-1), undefined)
  }
})

test('who comes back into contact shows again what it showed', () => {
  const { mesh, a, b } = pair()
  show(a, 'here')
  const [, atB] = mesh.connect(a, b)
  mesh.settle()
  b.groups.sessionLost(atB, mesh.now, mesh.wall)
  show(a, 'moved')
  mesh.settle()
  assert.deepEqual(shown(b), ['here'])
  b.groups.sessionBack(atB, mesh.now)
  assert.deepEqual(shown(b), ['here', 'moved'])
})

test('too much to show is the caller’s fault here and counted there', () => {
  const { a } = pair()
  assert.throws(() => show(a, 'x'.repeat(PRESENCE_BYTES_MAX + 1)), { code: 'ETOOBIG' })
})

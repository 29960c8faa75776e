import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import {
  ANN,
  BOB,
  hasCode,
  ME,
  memberOf,
  packetInfo,
  sentValue,
  settled,
  setUp,
} from './scripted-host.fixture.ts'

test('a message to a peer that is away is given to the peer, and resolves to the packet that is kept', async () => {
  const { host, room } = await setUp()
  const sent = room.peer(BOB.toUpperCase()).emit('hello', 'for later')
  const command = host.last('send')
  assert.deepEqual([command.peer, command.event, sentValue(command)], [BOB, 'hello', 'for later'])
  host.done(command.operation, { ...packetInfo(ME), via: 'self' })
  const packet = await sent
  assert.deepEqual([packet.id, packet.author, packet.ttl], ['cd'.repeat(32), ME, 1_000])
})

test('what was kept for us while we were away is heard like a direct message, with its packet', async () => {
  const { host, room } = await setUp()
  const heard: unknown[] = []
  room.peer(ANN).on('hello', (value, packet) => heard.push(['ann', value, packet.via, packet.id]))
  room.peer(BOB).on('hello', () => heard.push('bob'))
  room.on('hello', (value, { author, timestamp }) => heard.push(['all', value, author, timestamp]))
  host.message(ANN, 'hello', 'while you slept', { ...packetInfo(ANN), via: 'cache' })
  assert.deepEqual(heard, [
    ['ann', 'while you slept', 'cache', 'cd'.repeat(32)],
    ['all', 'while you slept', ANN, 1_700_000_000_000],
  ])
})

test('listeners of a stay end with it; those of peer() hear every stay, until we leave', async () => {
  const setup = await setUp()
  const { host, room } = setup
  const heard: string[] = []
  const off = room.peer(ANN).on('n', (value) => heard.push(`standing ${value}`))
  room.peer(ANN).once('n', (value) => heard.push(`once ${value}`))
  room.on('#join', (peer) => peer.on('n', (value) => heard.push(`stay ${value}`)))
  for (const stay of [1, 2]) {
    host.join(ANN)
    host.message(ANN, 'n', stay)
    host.leave(ANN)
  }
  assert.deepEqual(heard, ['stay 1', 'standing 1', 'once 1', 'stay 2', 'standing 2'])
  off()
  host.message(ANN, 'n', 3)
  const forOff = () => heard.push('never')
  room.peer(ANN).on('n', forOff)
  room.peer(ANN).off('n', forOff)
  const { signal } = new AbortController()
  room.peer(ANN).on('n', () => heard.push('left'), { signal })
  await room.leave()
  host.message(ANN, 'n', 4)
  assert.equal(heard.length, 5)
  assert.deepEqual(getEventListeners(signal, 'abort'), [])
})

test('peer() tells of a peer what is known: nothing while it is away', async () => {
  const setup = await setUp()
  const { host, room } = setup
  const ann = room.peer(ANN)
  assert.deepEqual(
    [ann.peerId, ann.path, ann.rtt, ann.presence],
    [ANN, undefined, undefined, undefined],
  )
  await assert.rejects(ann.openStream('log'), hasCode('EPEERGONE'))
  host.connect(ANN)
  host.join(ANN)
  room.presence.set(1)
  assert.equal(ann.path, 'lan')
  const opening = ann.openStream('log')
  host.emit({ type: 'writable', stream: host.last('openStream').stream, bytes: 1 })
  assert.equal((await opening).name, 'log')
  assert.equal(room.peers.size, 1, 'peers are those present')
})

test('a stream is heard by the listeners of peer() too', async () => {
  const setup = await setUp()
  const ann = memberOf(setup)
  const names: string[] = []
  setup.room.peer(ANN).on('#stream', (stream, peer) => {
    assert.equal(peer, ann)
    names.push(stream.name)
    stream.closed.catch(() => {})
  })
  setup.host.emit({ type: 'stream', stream: 1, subcluster: 1, peer: ANN, name: 'log' })
  await settled()
  assert.deepEqual(names, ['log'])
})

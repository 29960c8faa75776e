import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EVENTS_WAITING_BYTES_MAX, EVENTS_WAITING_MAX } from './events.ts'
import { ANN, BOB, memberOf, sentValue, settled, setUp } from './scripted-host.fixture.ts'
import { encodeValue } from './values.ts'

test('presence is shown, seen, replaced by a fresh map, and taken back when a member leaves', async () => {
  const setup = await setUp()
  const { host, room } = setup
  const ann = memberOf(setup)
  const seen: unknown[] = []
  let changes = 0
  room.on('#presence', (peer, value) => seen.push([peer.peerId, value]))
  const off = room.presence.subscribe(() => changes++)
  const before = room.presence.others
  host.emit({ type: 'presence', subcluster: 1, peer: ANN, value: encodeValue({ name: 'ann' }) })
  assert.notEqual(room.presence.others, before)
  assert.equal(room.presence.others, room.presence.others)
  assert.deepEqual([...room.presence.others], [[ANN, { name: 'ann' }]])
  assert.deepEqual(ann.presence, { name: 'ann' })
  host.emit({ type: 'presence', subcluster: 1, peer: BOB, value: encodeValue('not a member') })
  host.emit({ type: 'presence', subcluster: 1, peer: ANN, value: new Uint8Array(20_000) })
  host.leave(ANN)
  assert.deepEqual(seen, [
    [ANN, { name: 'ann' }],
    [ANN, undefined],
  ])
  assert.equal(room.presence.others.size, 0)
  assert.equal(changes, 2)
  off()
  room.presence.set({ name: 'me' })
  assert.deepEqual(
    [changes, room.presence.self, sentValue(host.last('presence'))],
    [2, { name: 'me' }, { name: 'me' }],
  )
  room.presence.set(undefined)
  assert.equal(host.last('presence').value, undefined)
})

test('events() loops over values from the call on, and ends with the signal or with leave', async () => {
  const { host, room } = await setUp()
  const stop = new AbortController()
  const loop = room.events('n', { signal: stop.signal })
  const other = room.events('n')
  host.packet(ANN, 'n', 1)
  host.message(BOB, 'n', 2)
  const values: unknown[] = []
  const reading = (async () => {
    for await (const { value, packet } of loop) values.push([value, packet.author])
  })()
  await settled()
  stop.abort()
  await reading
  assert.deepEqual(values, [
    [1, ANN],
    [2, BOB],
  ])
  await room.leave()
  assert.equal((await other.next()).done, false)
  assert.equal((await other.next()).done, false)
  assert.equal((await other.next()).done, true)
  assert.equal((await room.events('n').next()).done, true)
})

test('a loop slower than the network loses the oldest values and is told how many', async () => {
  const { host, room } = await setUp()
  const loop = room.events('n')
  for (let i = 0; i < EVENTS_WAITING_MAX + 5; i++) host.packet(ANN, 'n', i)
  const first = await loop.next()
  const second = await loop.next()
  assert.deepEqual([first.value?.value, first.value?.missed], [5, 5])
  assert.deepEqual([second.value?.value, second.value?.missed], [6, 0])
})

test('a loop holds no more bytes than its bound, but one value whatever its size', async () => {
  const { host, room } = await setUp()
  const loop = room.events('n')
  const large = new Uint8Array(EVENTS_WAITING_BYTES_MAX / 2)
  for (let i = 0; i < 3; i++) host.packet(ANN, 'n', large)
  host.packet(ANN, 'n', 'last')
  const first = await loop.next()
  assert.equal(first.value?.missed, 2)
  assert.equal((await loop.next()).value?.value, 'last')
  host.packet(ANN, 'n', new Uint8Array(EVENTS_WAITING_BYTES_MAX + 1))
  assert.equal((await loop.next()).value?.missed, 0)
})

test('events() without a name loops over every event', async () => {
  const { host, room } = await setUp()
  const loop = room.events()
  host.packet(ANN, 'a', 1)
  host.message(BOB, 'b', 2)
  const seen = [await loop.next(), await loop.next()].map(({ value }) => [value.event, value.value])
  assert.deepEqual(seen, [
    ['a', 1],
    ['b', 2],
  ])
  await loop.return?.()
})

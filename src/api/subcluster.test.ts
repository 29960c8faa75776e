import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LaticaError } from './errors.ts'
import { VALUE_BYTES_MAX } from './limits.ts'
import {
  ANN,
  BOB,
  call,
  hasCode,
  KEY,
  ME,
  memberOf,
  packetInfo,
  scriptedSocket,
  sentValue,
  settled,
  setUp,
} from './scripted-host.fixture.ts'

test('members that join and leave are told, and are in peers meanwhile', async () => {
  const { host, room } = await setUp()
  const seen: string[] = []
  room.on('#join', (peer) => seen.push(`+${peer.peerId.slice(0, 2)}`))
  room.on('#leave', (peer, why) => seen.push(`-${peer.peerId.slice(0, 2)} ${why}`))
  host.join(ANN)
  host.join(BOB)
  assert.deepEqual([...room.peers.keys()], [ANN, BOB])
  host.leave(ANN, 'timeout')
  assert.deepEqual([...room.peers.keys()], [BOB])
  assert.deepEqual(seen, ['+01', '+02', '-01 timeout'])
})

test('members present are handed once to a listener that comes late, after the current job', async () => {
  const { host, room } = await setUp()
  host.join(ANN)
  host.join(BOB)
  const seen: string[] = []
  room.on('#join', (peer) => seen.push(peer.peerId))
  const stop = new AbortController()
  room.on('#join', () => seen.push('stopped'), { signal: stop.signal })
  room.once('#join', (peer) => seen.push(`once ${peer.peerId}`))
  const off = room.on('#join', () => seen.push('off'))
  assert.deepEqual(seen, [])
  stop.abort()
  off()
  host.leave(BOB)
  await settled()
  assert.deepEqual(seen, [ANN, `once ${ANN}`])
})

test('what is said to all, to us alone, and by one peer reaches the listeners for it', async () => {
  const setup = await setUp()
  const ann = memberOf(setup)
  const bob = memberOf(setup, BOB)
  const heard: unknown[] = []
  setup.room.on('news', (value, packet) => heard.push(['all', value, packet.via, packet.id]))
  ann.on('news', (value, packet) => heard.push(['ann', value, packet.author]))
  bob.on('news', () => heard.push('bob'))
  setup.host.packet(ANN, 'news', { text: 'kept' })
  setup.host.message(ANN, 'news', 'direct')
  assert.deepEqual(heard, [
    ['ann', { text: 'kept' }, ANN],
    ['all', { text: 'kept' }, 'direct', 'cd'.repeat(32)],
    ['ann', 'direct', ANN],
    ['all', 'direct', 'direct', undefined],
  ])
})

test('a listener that throws or rejects goes to #error and stops no other', async () => {
  const { host, room } = await setUp()
  const errors: unknown[] = []
  const heard: unknown[] = []
  room.on('#error', (error) => {
    errors.push(error)
  })
  room.on('news', () => {
    throw new Error('first')
  })
  room.on('news', async () => {
    throw new Error('second')
  })
  room.on('news', (value) => heard.push(value))
  host.packet(ANN, 'news', 1)
  await settled()
  assert.deepEqual(errors.map(String), ['Error: first', 'Error: second'])
  assert.deepEqual(heard, [1])
})

test('off, the returned function, using and a signal each end listening', async () => {
  const { host, room } = await setUp()
  let count = 0
  const listener = () => {
    count++
  }
  room.on('a', listener)
  room.off('a', listener)
  room.once('a', listener)
  room.off('a', listener)
  room.on('a', listener)()
  room.on('a', listener)[Symbol.dispose]()
  const stop = new AbortController()
  room.on('a', listener, { signal: stop.signal })
  stop.abort()
  room.on('a', listener, { signal: stop.signal })
  host.packet(ANN, 'a', 1)
  assert.equal(count, 0)
  room.once('a', listener)
  host.packet(ANN, 'a', 1)
  host.packet(ANN, 'a', 1)
  assert.equal(count, 1)
})

test('emit publishes, and resolves to the packet when it is done', async () => {
  const { host, room } = await setUp()
  const sent = room.emit('news', { text: 'hi' })
  const command = host.last('publish')
  assert.deepEqual(sentValue(command), { text: 'hi' })
  assert.deepEqual(
    [command.event, command.delivery, command.lifeMs],
    ['news', 'durable', 604_800_000],
  )
  host.done(command.operation, { ...packetInfo(ME), via: 'self' })
  const packet = await sent
  assert.deepEqual([packet.author, packet.via, packet.ttl], [ME, 'self', 1_000])
  const lossy = room.emit('at', [1, 2], { delivery: 'lossy', ttl: 5 })
  host.done(host.last('publish').operation)
  assert.equal((await lossy).id, undefined)
})

test('what the caller got wrong is thrown at once, with a code', async () => {
  const setup = await setUp()
  const { room } = setup
  const ann = memberOf(setup)
  const big = new Uint8Array(VALUE_BYTES_MAX)
  const huge = new Uint8Array(64 * 1_048_576)
  const wrong: [() => unknown, string, ErrorConstructor][] = [
    [() => room.emit('', 1), 'EBADARG', TypeError],
    [() => room.emit('#news', 1), 'EBADARG', TypeError],
    [() => room.emit('é'.repeat(128), 1), 'EBADARG', TypeError],
    [() => room.emit('a', () => {}), 'EBADVALUE', TypeError],
    [() => room.emit('a', big, { delivery: 'live' }), 'ETOOBIG', RangeError],
    [() => room.emit('a', huge), 'ETOOBIG', RangeError],
    [() => ann.emit('a', big), 'ETOOBIG', RangeError],
    [() => room.emit('a', 'x'.repeat(1_100), { delivery: 'lossy' }), 'ETOOBIG', RangeError],
    [() => room.emit('a', 1, { ttl: 0 }), 'ERANGE', RangeError],
    [() => room.emit('a', 1, { ttl: 604_800_001 }), 'ERANGE', RangeError],
    [() => room.emit('a', 1, { delivery: 'slow' as 'live' }), 'EBADARG', TypeError],
    [() => room.emit('a', 1, { signal: 1 as unknown as AbortSignal }), 'EBADARG', TypeError],
    [() => room.on('#nope' as '#join', () => {}), 'EBADARG', TypeError],
    [() => room.on('a', 1 as unknown as () => void), 'EBADARG', TypeError],
    [() => ann.emit('a', Symbol('x')), 'EBADVALUE', TypeError],
    [() => ann.request('a', big), 'ETOOBIG', RangeError],
    [() => ann.request('a', 1, { timeout: -1 }), 'ERANGE', RangeError],
    [() => ann.openStream(''), 'EBADARG', TypeError],
    [() => room.requestMany('a', 1, { quorum: 0 }), 'EBADARG', TypeError],
    [() => room.handle('a', undefined as unknown as () => 1), 'EBADARG', TypeError],
    [() => room.peer('ann'), 'EBADPEERID', TypeError],
    [() => room.peer(ME), 'EBADPEERID', TypeError],
    [() => room.events('#join' as 'a'), 'EBADARG', TypeError],
    [() => room.events('a', { since: 'now' as unknown as number }), 'EBADARG', TypeError],
    [() => room.history({ since: new Date(Number.NaN) }), 'ERANGE', RangeError],
    [() => room.history({ since: -1 }), 'ERANGE', RangeError],
    [() => room.history({ event: '' }), 'EBADARG', TypeError],
    [() => room.history({ signal: 1 as unknown as AbortSignal }), 'EBADARG', TypeError],
    [() => room.key({ since: null as unknown as number }), 'EBADARG', TypeError],
    [() => room.forget(undefined as unknown as { before: number }), 'EBADARG', TypeError],
    [() => room.forget({} as { before: number }), 'EBADARG', TypeError],
    [() => room.forget({ before: Date.now() + 60_000 }), 'ERANGE', RangeError],
    [() => room.presence.set('x'.repeat(20_000)), 'ETOOBIG', RangeError],
  ]
  for (const [call, code, kind] of wrong)
    assert.throws(call, (error) => error instanceof kind && hasCode(code)(error), String(call))
  assert.equal(setup.host.all('publish').length, 0)
  const fits = room.emit('a', new Uint8Array(64 * 1_048_576 - 5))
  setup.host.done(setup.host.last('publish').operation)
  await fits
})

test('a value that is too big says what this way of sending takes, and what takes more', async () => {
  const setup = await setUp()
  const ann = memberOf(setup)
  const big = new Uint8Array(VALUE_BYTES_MAX)
  const live = () => setup.room.emit('a', big, { delivery: 'live' })
  assert.throws(live, /at most 1048581 bytes .*not 'durable'.* 1048586 bytes; .*takes 67108864/)
  assert.throws(() => ann.emit('a', big), /at most 1048581 bytes .*open a stream/)
  const huge = new Uint8Array(64 * 1_048_576)
  assert.throws(() => setup.room.emit('a', huge), /at most 67108864 .*'durable'.* in parts/)
})

test('emit waits its turn beyond 1,024 under way, and keeps the order', async () => {
  const { host, room } = await setUp()
  const all = Array.from({ length: 1_030 }, (_, i) => room.emit('n', i))
  assert.equal(host.all('publish').length, 1_024)
  host.done(host.all('publish')[3]?.operation ?? 0)
  assert.equal(host.all('publish').length, 1_025)
  assert.equal(sentValue(host.last('publish')), 1_024)
  host.react = (command) => {
    if (command.type === 'publish') host.done(command.operation)
  }
  for (const command of host.all('publish')) host.done(command.operation)
  await Promise.all(all)
  assert.deepEqual(
    host.all('publish').map(sentValue),
    all.map((_, i) => i),
  )
})

test('emit waits beyond 8 MiB under way; one that was aborted meanwhile is never sent', async () => {
  const { host, room } = await setUp()
  const mebibyte = new Uint8Array(1_000_000)
  for (let i = 0; i < 9; i++) void room.emit('n', mebibyte)
  const stop = new AbortController()
  const aborted = room.emit('n', mebibyte, { signal: stop.signal })
  const last = room.emit('n', 'last')
  assert.equal(host.all('publish').length, 8)
  stop.abort('why')
  await assert.rejects(
    aborted,
    (error: LaticaError) => hasCode('EABORTED')(error) && error.cause === 'why',
  )
  host.react = (command) => {
    if (command.type === 'publish') host.done(command.operation)
  }
  for (const command of host.all('publish')) host.done(command.operation)
  await last
  assert.equal(host.all('publish').length, 10)
  assert.equal(host.all('cancel').length, 0)
})

test('a direct message resolves when the other side has it, and fails with a code', async () => {
  const setup = await setUp()
  const ann = memberOf(setup)
  const sent = ann.emit('hello', 1)
  const command = setup.host.last('send')
  assert.deepEqual([command.peer, command.event, sentValue(command)], [ANN, 'hello', 1])
  setup.host.done(command.operation)
  const { id, author, via } = await sent
  assert.deepEqual([id, author, via], [undefined, ME, 'self'])
  const lost = ann.emit('hello', 2)
  const { operation } = setup.host.last('send')
  setup.host.emit({ type: 'failed', operation, code: 'EPEERGONE' })
  await assert.rejects(
    lost,
    (error: LaticaError) => hasCode('EPEERGONE')(error) && error.help !== '',
  )
})

test('a sending that nobody waits for may fail without ending the process', async () => {
  const setup = await setUp()
  void memberOf(setup).emit('hello', 1)
  void setup.room.emit('hello', 1)
  for (const { operation } of [setup.host.last('send'), setup.host.last('publish')])
    setup.host.emit({ type: 'failed', operation, code: 'EPEERGONE' })
  await settled()
})

test('values that cannot be read are counted and delivered to nobody', async () => {
  const { host, socket } = scriptedSocket()
  const room = await socket.subcluster({ sharedKey: KEY })
  host.join(ANN)
  room.on('news', () => assert.fail('delivered'))
  room.on('#presence', () => assert.fail('delivered'))
  const garbage = Uint8Array.of(0xff, 0xff)
  const author = packetInfo(ANN)
  host.emit({ type: 'packet', subcluster: 1, packet: author, event: 'news', value: garbage })
  host.emit({ type: 'presence', subcluster: 1, peer: ANN, value: garbage })
  host.packet(ANN, '#join', { forged: true })
  call(host, 1, 'news', garbage)
  assert.equal(socket.stats()['valuesMalformed'], 4)
})

test('after leaving, everything waiting ends, the peer is told once, and nothing is sent', async () => {
  const setup = await setUp()
  const { host, room } = setup
  const ann = memberOf(setup)
  const sent = room.emit('a', 1)
  const asked = ann.request('a', 1)
  await room.leave()
  await room.leave()
  await assert.rejects(sent, hasCode('ECLOSED'))
  await assert.rejects(asked, hasCode('ECLOSED'))
  assert.equal(host.all('leave').length, 1)
  const count = host.commands.length
  await assert.rejects(room.emit('a', 1), hasCode('ECLOSED'))
  await assert.rejects(ann.emit('a', 1), hasCode('ECLOSED'))
  await assert.rejects(ann.request('a', 1), hasCode('ECLOSED'))
  await assert.rejects(ann.openStream('a'), hasCode('ECLOSED'))
  room.presence.set(1)
  host.packet(ANN, 'a', 1)
  assert.equal(host.commands.length, count)
  assert.equal(room.peers.size, 0)
})

test('key asks for one that opens nothing from before now, or from before the moment given', async () => {
  const { host, room } = await setUp()
  const before = Date.now()
  const asked = room.key()
  const { operation, since } = host.last('exportKey')
  assert.ok(since >= before && since <= Date.now())
  host.emit({ type: 'key', operation, key: new Uint8Array(69).fill(3) })
  assert.deepEqual(await asked, new Uint8Array(69).fill(3))
  const forgotten = room.key({ since: new Date(5) })
  assert.equal(host.last('exportKey').since, 5)
  host.emit({
    type: 'failed',
    operation: host.last('exportKey').operation,
    code: 'EFORGOTTEN',
  })
  await assert.rejects(
    forgotten,
    (error: LaticaError) => hasCode('EFORGOTTEN')(error) && /later day/.test(error.help),
  )
})

test('forget tells the peer, and resolves when it has forgotten', async () => {
  const { host, room } = await setUp()
  const forgetting = room.forget({ before: new Date(86_400_000) })
  const { operation, before } = host.last('forget')
  assert.equal(before, 86_400_000)
  host.done(operation)
  assert.equal(await forgetting, undefined)
  await room.leave()
  await assert.rejects(room.forget({ before: 1 }), hasCode('ECLOSED'))
  await assert.rejects(room.key(), hasCode('ECLOSED'))
})

test('#progress tells how much of a large packet is here', async () => {
  const { host, room } = await setUp()
  const seen: unknown[] = []
  room.on('#progress', (progress) => seen.push(progress))
  const { id } = packetInfo(ANN)
  const sizes = { receivedBytes: 5, totalBytes: 9 }
  host.emit({
    type: 'progress',
    subcluster: 1,
    packet: id,
    author: ANN,
    event: 'photo',
    ...sizes,
  })
  assert.deepEqual(seen, [{ packetId: id, author: ANN, event: 'photo', ...sizes }])
})

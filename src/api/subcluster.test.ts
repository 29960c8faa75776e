import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CALLS_PER_PEER_MAX } from './calls.ts'
import type { LaticaError } from './errors.ts'
import { EVENTS_WAITING_MAX } from './events.ts'
import { VALUE_BYTES_MAX } from './limits.ts'
import {
  ANN,
  BOB,
  KEY,
  ME,
  packetInfo,
  type ScriptedHost,
  scriptedSocket,
  sentValue,
  settled,
} from './scripted-host.fixture.ts'
import type { RemotePeer, Subcluster } from './types.ts'
import { encodeValue } from './values.ts'

interface Setup {
  readonly host: ScriptedHost
  readonly room: Subcluster
}

async function setUp(): Promise<Setup> {
  const { host, socket } = scriptedSocket()
  socket.on('#error', (error) => assert.fail(String(error)))
  return { host, room: await socket.subcluster({ sharedKey: KEY }) }
}

function memberOf({ host, room }: Setup, peer = ANN): RemotePeer {
  host.join(peer)
  const member = room.peers.get(peer)
  assert.ok(member)
  return member
}

function hasCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof Error && 'code' in error && error.code === code
}

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
  const wrong: [() => unknown, string, ErrorConstructor][] = [
    [() => room.emit('', 1), 'EBADARG', TypeError],
    [() => room.emit('#news', 1), 'EBADARG', TypeError],
    [() => room.emit('é'.repeat(128), 1), 'EBADARG', TypeError],
    [() => room.emit('a', () => {}), 'EBADVALUE', TypeError],
    [() => room.emit('a', big), 'ETOOBIG', RangeError],
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
    [() => room.presence.set('x'.repeat(20_000)), 'ETOOBIG', RangeError],
  ]
  for (const [call, code, kind] of wrong)
    assert.throws(call, (error) => error instanceof kind && hasCode(code)(error), String(call))
  assert.equal(setup.host.all('publish').length, 0)
  const fits = room.emit('a', new Uint8Array(1_048_576))
  setup.host.done(setup.host.last('publish').operation)
  await fits
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
  assert.equal(await sent, undefined)
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

test('a request gets the answer, what the handler threw, or why there is none', async () => {
  const setup = await setUp()
  const ann = memberOf(setup)
  const answers: [boolean, unknown, (error: LaticaError) => boolean][] = [
    [
      false,
      { code: 'EREMOTE', message: 'boom' },
      (e) => e.message === 'boom' && e.code === 'EREMOTE',
    ],
    [false, { code: 'ENOHANDLER', message: '' }, hasCode('ENOHANDLER')],
    [false, { code: 'EVIL', message: 7 }, hasCode('EREMOTE')],
    [false, 'garbage', hasCode('EREMOTE')],
  ]
  const sum = ann.request('add', [1, 2])
  const first = setup.host.last('request')
  assert.deepEqual([first.name, sentValue(first), first.timeoutMs], ['add', [1, 2], 30_000])
  setup.host.emit({ type: 'answer', operation: first.operation, ok: true, value: encodeValue(3) })
  assert.equal(await sum, 3)
  for (const [ok, value, expected] of answers) {
    const asked = ann.request('add', 1)
    const { operation } = setup.host.last('request')
    setup.host.emit({ type: 'answer', operation, ok, value: encodeValue(value) })
    await assert.rejects(asked, expected)
  }
  const malformed = ann.request('add', 1)
  const { operation } = setup.host.last('request')
  setup.host.emit({ type: 'answer', operation, ok: true, value: Uint8Array.of(0xff) })
  await assert.rejects(malformed, hasCode('EREMOTE'))
})

test('an aborted request is cancelled at the peer', async () => {
  const setup = await setUp()
  const stop = new AbortController()
  const asked = memberOf(setup).request('add', 1, { signal: stop.signal })
  stop.abort()
  await assert.rejects(asked, hasCode('EABORTED'))
  assert.equal(setup.host.last('cancel').operation, setup.host.last('request').operation)
})

function call(host: ScriptedHost, id: number, name: string, value = encodeValue([1, 2])): void {
  host.emit({ type: 'call', call: id, subcluster: 1, peer: ANN, name, value })
}

test('a handler answers with what it returns or throws; without one, the caller is told', async () => {
  const setup = await setUp()
  const ann = memberOf(setup)
  const off = setup.room.handle('add', ([a, b]: number[], { peer }) => {
    assert.equal(peer, ann)
    return (a ?? 0) + (b ?? 0)
  })
  setup.room.handle('bad', () => () => {})
  setup.room.handle('boom', async () => {
    throw new Error('no')
  })
  assert.throws(() => setup.room.handle('add', () => 1), hasCode('EEXISTS'))
  const answers: [number, boolean, unknown][] = []
  setup.host.react = (command) => {
    if (command.type === 'respond') answers.push([command.call, command.ok, sentValue(command)])
  }
  call(setup.host, 1, 'add')
  call(setup.host, 3, 'boom')
  call(setup.host, 5, 'none')
  call(setup.host, 7, 'bad')
  call(setup.host, 9, 'add', Uint8Array.of(0xff))
  await settled()
  off()
  call(setup.host, 11, 'add')
  answers.sort(([a], [b]) => a - b)
  assert.deepEqual(answers[0], [1, true, 3])
  assert.deepEqual(answers[1], [3, false, { code: 'EREMOTE', message: 'no' }])
  assert.deepEqual(answers[2], [5, false, { code: 'ENOHANDLER', message: '' }])
  assert.match(JSON.stringify(answers[3]), /^\[7,false,.*returned: expected .* got a function/)
  assert.deepEqual(answers[4], [
    9,
    false,
    { code: 'EREMOTE', message: 'the argument is malformed' },
  ])
  assert.deepEqual(answers[5], [11, false, { code: 'ENOHANDLER', message: '' }])
})

test("a call's signal tells when the caller gave up or left, and nothing is answered then", async () => {
  const setup = await setUp()
  memberOf(setup)
  const signals: AbortSignal[] = []
  let answer: (value: number) => void = () => {}
  setup.room.handle('slow', (_: unknown, { signal }) => {
    signals.push(signal)
    return new Promise<number>((resolve) => {
      answer = resolve
    })
  })
  call(setup.host, 1, 'slow')
  setup.host.emit({ type: 'callCancelled', call: 1 })
  call(setup.host, 3, 'slow')
  setup.host.leave(ANN)
  answer(1)
  await settled()
  assert.deepEqual(
    signals.map((signal) => signal.aborted),
    [true, true],
  )
  assert.equal(setup.host.all('respond').length, 0)
})

test('a peer that calls without end is told to wait', async () => {
  const setup = await setUp()
  memberOf(setup)
  let running = 0
  setup.room.handle('slow', () => {
    running++
    return new Promise(() => {})
  })
  for (let id = 1; id <= CALLS_PER_PEER_MAX + 10; id++) call(setup.host, id, 'slow')
  assert.equal(running, CALLS_PER_PEER_MAX)
  assert.equal(setup.host.all('respond').length, 10)
  assert.deepEqual(sentValue(setup.host.last('respond')), { code: 'EBUSY', message: '' })
})

test('requestMany yields each answer, ends at the quorum, and stops asking the others', async () => {
  const setup = await setUp()
  memberOf(setup)
  memberOf(setup, BOB)
  const results: unknown[] = []
  const loop = (async () => {
    for await (const result of setup.room.requestMany('vote', 1, { quorum: 1, timeout: 9 }))
      results.push([result.peer.peerId, result.ok ? result.value : result.error.message])
  })()
  await settled()
  const [first, second] = setup.host.all('request')
  assert.deepEqual([first?.timeoutMs, second?.peer], [9, BOB])
  setup.host.emit({ type: 'failed', operation: first?.operation ?? 0, code: 'ETIMEDOUT' })
  await settled()
  setup.host.emit({
    type: 'answer',
    operation: second?.operation ?? 0,
    ok: true,
    value: encodeValue('yes'),
  })
  await loop
  assert.deepEqual(results, [
    [ANN, 'no answer in time'],
    [BOB, 'yes'],
  ])
  setup.host.join(ANN)
  for await (const _ of setup.room.requestMany('vote', 1, { signal: AbortSignal.abort() })) void _
})

test('leaving a requestMany loop cancels what is still asked', async () => {
  const setup = await setUp()
  memberOf(setup)
  memberOf(setup, BOB)
  setup.host.react = (command) => {
    if (command.type === 'request' && command.peer === ANN)
      setup.host.emit({
        type: 'answer',
        operation: command.operation,
        ok: true,
        value: encodeValue(1),
      })
  }
  for await (const result of setup.room.requestMany('vote', 1)) {
    assert.equal(result.peer.peerId, ANN)
    break
  }
  assert.equal(setup.host.last('cancel').operation, setup.host.all('request')[1]?.operation)
})

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

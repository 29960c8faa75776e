import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import type { NatVector } from '../core/io.ts'
import { UNKNOWN_NAT } from '../core/nat/vector.ts'
import type { LaticaError } from './errors.ts'
import { ANN, BOB, KEY, ME, scriptedSocket, settled } from './scripted-host.fixture.ts'
import { TRACE_WAITING_MAX } from './trace.ts'
import type { TraceEvent } from './types.ts'

function hasCode(code: string): (error: LaticaError) => boolean {
  return (error) => error.code === code
}

test('ready and #ready come when the first peer is connected, also to a listener that is late', async () => {
  const { host, socket } = scriptedSocket()
  const seen: string[] = []
  socket.on('#ready', ({ peerId }) => seen.push(peerId))
  host.connect(ANN)
  host.emit({ type: 'state', state: 'online' })
  host.emit({ type: 'state', state: 'degraded' })
  host.emit({ type: 'state', state: 'online' })
  const { peerId, connections, state } = await socket.ready
  assert.deepEqual([peerId, connections, state], [ME, 1, 'online'])
  socket.once('#ready', () => seen.push('late'))
  await settled()
  assert.deepEqual(seen, [ME, 'late'])
})

test('connections come, change their path, and go', async () => {
  const { host, socket } = scriptedSocket()
  const seen: unknown[] = []
  socket.on('#connection', ({ peerId }) => seen.push(peerId))
  socket.on('#disconnection', ({ peerId }, why) => seen.push([peerId, why]))
  host.connect(ANN)
  const room = await socket.subcluster({ sharedKey: KEY })
  host.join(ANN)
  const member = room.peers.get(ANN)
  assert.deepEqual([member?.path, member?.rtt], ['lan', undefined])
  host.emit({ type: 'path', peer: ANN, path: 'direct', rttMs: 12 })
  assert.deepEqual([member?.path, member?.rtt], ['direct', 12])
  assert.deepEqual(
    { ...socket.peers.get(ANN) },
    { peerId: ANN, path: 'direct', rtt: 12, relay: undefined, nat: undefined },
  )
  host.emit({ type: 'disconnection', peer: ANN, why: 'timeout' })
  assert.deepEqual(seen, [ANN, [ANN, 'timeout']])
  assert.equal(socket.peers.size, 0)
})

test('the state comes with advice where there is something to do', () => {
  const { host, socket } = scriptedSocket()
  const seen: [string, boolean][] = []
  socket.on('#state', (state, advice) => seen.push([state, advice !== undefined]))
  assert.match(socket.info().advice ?? '', /peers/)
  host.emit({ type: 'state', state: 'online' })
  host.emit({ type: 'state', state: 'online' })
  host.emit({ type: 'state', state: 'degraded' })
  assert.deepEqual(seen, [
    ['online', false],
    ['degraded', true],
  ])
})

test('advice for a peer that nobody answers counts what was asked', () => {
  const { host, socket } = scriptedSocket()
  host.snapshotNow = { ...host.snapshotNow, counters: { handshakesOut: 9 } }
  assert.match(socket.info().advice ?? '', /9 requests got no answer.*may let no UDP out/)
  host.emit({ type: 'state', state: 'online' })
  assert.equal(socket.info().advice, undefined)
})

test('info and peers tell what we are behind, who relays whom, and the trace when it changes', async () => {
  const { host, socket } = scriptedSocket()
  assert.deepEqual([socket.info().nat, socket.info().relays], [UNKNOWN_NAT, []])
  host.connect(ANN)
  host.connect(BOB)
  const nat: NatVector = { ...UNKNOWN_NAT, mapping: 'endpoint-independent', hairpin: false }
  const session = { state: 'up', address: undefined, rttMs: 9 } as const
  host.snapshotNow = {
    ...host.snapshotNow,
    nat,
    sessions: [
      { ...session, peer: ANN, path: 'relayed', relay: BOB, nat },
      { ...session, peer: BOB, path: 'direct', relay: undefined, nat: undefined },
    ],
  }
  assert.deepEqual([socket.info().nat, socket.info().relays], [nat, [BOB]])
  assert.deepEqual(JSON.parse(JSON.stringify(nat)).external, [], 'survives as JSON')
  const { relay, rtt, nat: theirs } = socket.peers.get(ANN) ?? {}
  assert.deepEqual([relay, rtt, theirs], [BOB, 9, nat])
  assert.equal(socket.peers.get(BOB)?.relay, undefined)
  const reader = socket.inspect().getReader()
  host.emit({ type: 'nat', nat })
  const { value } = await reader.read()
  assert.deepEqual([value?.type, value?.detail['nat.hairpin']], ['nat', false])
  await reader.cancel()
})

test('the ticket and the address put first where others see us, and loopback last', () => {
  const { host, socket } = scriptedSocket()
  assert.deepEqual(socket.address(), { host: '10.0.0.1', port: 7 })
  const observed = [
    { host: '2001:db8::1', port: 9 },
    { host: '10.0.0.1', port: 7 },
  ]
  host.snapshotNow = { ...host.snapshotNow, observed }
  assert.equal(socket.ticket(), `latica://${ME}@[2001:db8::1]:9,10.0.0.1:7,127.0.0.1:7`)
  assert.deepEqual(socket.address(), observed[0])
  assert.equal(socket.stats()['datagramsIn'], 3)
})

test('a subcluster is one object per key, left when left as often as it was asked for', async () => {
  const { host, socket } = scriptedSocket()
  const first = await socket.subcluster({ sharedKey: KEY })
  const second = await socket.subcluster({ sharedKey: KEY.slice() })
  const other = await socket.subcluster({ sharedKey: new Uint8Array(32) })
  assert.equal(first, second)
  assert.notEqual(first, other)
  assert.equal(host.all('join').length, 2)
  await first.leave()
  assert.equal(host.all('leave').length, 0)
  await second[Symbol.asyncDispose]()
  assert.equal(host.all('leave').length, 1)
  const again = await socket.subcluster({ sharedKey: KEY })
  assert.notEqual(again, first)
  assert.equal(host.last('join').subcluster, 3)
})

test('the order is that of the first who joins; asking for another one is a fault', async () => {
  const { host, socket } = scriptedSocket()
  await socket.subcluster({ sharedKey: KEY })
  assert.equal(host.last('join').order, 'causal')
  await socket.subcluster({ sharedKey: KEY, order: 'causal' })
  const other = new Uint8Array(32)
  const strict = await socket.subcluster({ sharedKey: other, order: 'strict' })
  assert.equal(host.last('join').order, 'strict')
  assert.equal(await socket.subcluster({ sharedKey: other }), strict)
  assert.throws(
    () => socket.subcluster({ sharedKey: KEY, order: 'strict' }),
    /options\.order: expected 'causal', .* got 'strict'/,
  )
  assert.equal(host.all('join').length, 2)
})

test('a key that was exported serves as a shared key', async () => {
  const { host, socket } = scriptedSocket()
  const exported = new Uint8Array(69)
  exported[0] = 1
  await socket.subcluster({ sharedKey: exported })
  assert.deepEqual(host.last('join').sharedKey, exported)
  exported[0] = 2
  assert.throws(() => socket.subcluster({ sharedKey: exported }), hasCode('EBADKEY'))
})

test('another key of a subcluster that is joined is refused until that is left', async () => {
  const { host, socket } = scriptedSocket()
  const room = await socket.subcluster({ sharedKey: KEY })
  const exported = new Uint8Array(69).fill(1)
  exported.set([1, 0, 0, 0, 0])
  exported.set(KEY, 37)
  const asked = () => socket.subcluster({ sharedKey: exported })
  assert.throws(asked, /options\.sharedKey: expected the key with .* got another key of it/)
  assert.throws(asked, hasCode('EEXISTS'))
  await room.leave()
  await asked()
  assert.equal(host.all('join').length, 2)
})

test("a subcluster's signal leaves it", async () => {
  const { host, socket } = scriptedSocket()
  const stop = new AbortController()
  await socket.subcluster({ sharedKey: KEY, signal: stop.signal })
  stop.abort()
  assert.equal(host.all('leave').length, 1)
  await assert.rejects(
    socket.subcluster({ sharedKey: KEY, signal: stop.signal }),
    hasCode('EABORTED'),
  )
})

test('connect dials by id and resolves when the peer is there, at once if it is already', async () => {
  const { host, socket } = scriptedSocket()
  const connecting = socket.connect(ANN.toUpperCase())
  assert.deepEqual(host.last('dial'), { type: 'dial', addresses: [], peer: ANN })
  host.connect(BOB)
  host.connect(ANN)
  assert.equal((await connecting).peerId, ANN)
  assert.equal((await socket.connect(BOB)).peerId, BOB)
  assert.equal(host.all('dial').length, 1)
})

test('connect gives up in time, on its signal, and when the socket closes', async () => {
  const { socket } = scriptedSocket()
  await assert.rejects(socket.connect(ANN, { timeout: 1 }), hasCode('ETIMEDOUT'))
  const stop = new AbortController()
  const aborted = socket.connect(ANN, { signal: stop.signal })
  stop.abort()
  await assert.rejects(aborted, hasCode('EABORTED'))
  const waiting = socket.connect(ANN)
  await socket.close()
  await assert.rejects(waiting, hasCode('ECLOSED'))
})

test('addPeer dials the addresses of a ticket or an address', async () => {
  const { host, socket } = scriptedSocket()
  await socket.addPeer(`latica://${ANN}@10.0.0.2:5,[::1]:6`)
  const addresses = [
    { host: '10.0.0.2', port: 5 },
    { host: '::1', port: 6 },
  ]
  assert.deepEqual(host.last('dial'), { type: 'dial', peer: ANN, addresses })
  await socket.addPeer('10.0.0.3:5')
  assert.equal(host.last('dial').peer, undefined)
})

test('what the caller got wrong is thrown at once, with a code', () => {
  const { socket } = scriptedSocket()
  const wrong: [() => unknown, string][] = [
    [() => socket.subcluster({ sharedKey: new Uint8Array(31) }), 'EBADKEY'],
    [() => socket.subcluster({ sharedKey: 'key' as unknown as Uint8Array }), 'EBADKEY'],
    [() => socket.subcluster({ sharedKey: KEY, order: 'total' as 'strict' }), 'EBADARG'],
    [() => socket.subcluster(undefined as unknown as { sharedKey: Uint8Array }), 'EBADARG'],
    [() => socket.connect('xyz'), 'EBADPEERID'],
    [() => socket.connect(ME), 'EBADPEERID'],
    [() => socket.addPeer('nowhere'), 'EBADADDRESS'],
    [() => socket.on('#join' as '#ready', () => {}), 'EBADARG'],
    [() => socket.on('#ready', 5 as unknown as () => void), 'EBADARG'],
  ]
  for (const [call, code] of wrong) assert.throws(call, hasCode(code), String(call))
})

test('inspect streams commands and events without keys and values', async () => {
  const { host, socket } = scriptedSocket()
  const traces: TraceEvent[] = []
  const stream = socket.inspect()
  const room = await socket.subcluster({ sharedKey: KEY })
  void room.emit('news', 'secret words')
  host.packet(ANN, 'news', 'secret words')
  await socket.close()
  for await (const trace of stream) traces.push(trace)
  const seen = traces.map(({ from, type }) => `${from} ${type}`)
  assert.deepEqual(seen, ['app join', 'app publish', 'network packet'])
  const text = JSON.stringify(traces)
  assert.ok(!text.includes('secret words') && !text.includes('0707'))
  assert.equal(traces[1]?.detail['valueBytes'], 13)
  assert.equal(traces[2]?.detail['packet.author'], ANN)
})

test('an inspect stream that nobody reads drops events beyond its bound and counts them', async () => {
  const { host, socket } = scriptedSocket()
  const reader = socket.inspect().getReader()
  for (let i = 0; i < TRACE_WAITING_MAX + 100; i++) host.connect(ANN)
  let trace = await reader.read()
  for (let i = 1; i < TRACE_WAITING_MAX - 1; i++) trace = await reader.read()
  assert.equal(trace.value?.type, 'connection')
  host.connect(BOB)
  assert.deepEqual((await reader.read()).value?.detail, { count: 101 })
  assert.deepEqual((await reader.read()).value?.detail, { peer: BOB, path: 'lan' })
  await reader.cancel()
  host.connect(ANN)
})

test('close ends everything once, and nothing follows it', async () => {
  const { host, socket } = scriptedSocket()
  const room = await socket.subcluster({ sharedKey: KEY })
  const states: string[] = []
  socket.on('#state', (state) => states.push(state))
  const sent = room.emit('news', 1)
  await Promise.all([socket.close(), socket[Symbol.asyncDispose]()])
  await assert.rejects(sent, hasCode('ECLOSED'))
  await assert.rejects(socket.ready, hasCode('ECLOSED'))
  await assert.rejects(socket.subcluster({ sharedKey: KEY }), hasCode('ECLOSED'))
  assert.equal(host.isClosed, true)
  assert.deepEqual(states, ['closed'])
  const count = host.commands.length
  await room.leave()
  room.presence.set(1)
  assert.equal(host.commands.length, count)
})

test('a fault in a listener that nobody listens for ends the process; a fault in #error too', async () => {
  const fixture = new URL('./scripted-host.fixture.ts', import.meta.url).href
  const programmes = [
    `socket.on('#connection', () => { throw new Error('mine') })`,
    `socket.on('#connection', () => { throw new Error('theirs') })
     socket.on('#error', () => { throw new Error('mine') })`,
  ]
  for (const programme of programmes) {
    const source = `import { ANN, scriptedSocket } from '${fixture}'
      const { host, socket } = scriptedSocket()
      ${programme}
      host.connect(ANN)`
    const args = ['--import', 'tsx', '--input-type=module', '--eval', source]
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
    assert.equal(status, 1)
    assert.match(stderr, /Error: mine/)
  }
})

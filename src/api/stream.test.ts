import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LaticaError } from './errors.ts'
import { ANN, KEY, type ScriptedHost, scriptedSocket, settled } from './scripted-host.fixture.ts'
import type { PeerStream, RemotePeer, Subcluster } from './types.ts'

interface Setup {
  readonly host: ScriptedHost
  readonly room: Subcluster
  readonly ann: RemotePeer
}

async function setUp(): Promise<Setup> {
  const { host, socket } = scriptedSocket()
  const room = await socket.subcluster({ sharedKey: KEY })
  host.join(ANN)
  const ann = room.peers.get(ANN)
  assert.ok(ann)
  return { host, room, ann }
}

async function openStream({ host, ann }: Setup, credit = 1_000): Promise<PeerStream> {
  const opening = ann.openStream('log')
  host.emit({ type: 'writable', stream: host.last('openStream').stream, bytes: credit })
  return opening
}

function hasCode(code: string): (error: LaticaError) => boolean {
  return (error) => error.code === code
}

function written(host: ScriptedHost): number[] {
  return host.all('write').map((command) => command.data.length)
}

test('a stream opens when the peer says that it may be written, numbered 2, 4, 6', async () => {
  const setup = await setUp()
  assert.equal((await openStream(setup)).name, 'log')
  await openStream(setup)
  const opened = setup.host.all('openStream').map(({ stream, peer, name }) => [stream, peer, name])
  assert.deepEqual(opened, [
    [2, ANN, 'log'],
    [4, ANN, 'log'],
  ])
  const opening = setup.ann.openStream('log')
  setup.host.emit({ type: 'broken', stream: 6, code: 'EPEERGONE' })
  await assert.rejects(opening, hasCode('EPEERGONE'))
})

test('a write gives no more than the peer takes, and waits for the rest', async () => {
  const setup = await setUp()
  const { writable } = await openStream(setup, 1_000)
  const writer = writable.getWriter()
  const bytes = new Uint8Array(2_500).fill(5)
  let isDone = false
  const writing = writer.write(bytes).then(() => {
    isDone = true
  })
  await settled()
  assert.deepEqual(written(setup.host), [1_000])
  bytes.fill(6)
  assert.equal(setup.host.last('write').data[0], 5)
  setup.host.emit({ type: 'writable', stream: 2, bytes: 400 })
  await settled()
  assert.deepEqual([written(setup.host), isDone], [[1_000, 400], false])
  setup.host.emit({ type: 'writable', stream: 2, bytes: 5_000 })
  await writing
  assert.deepEqual(written(setup.host), [1_000, 400, 1_100])
  await writer.close()
  assert.equal(setup.host.last('finish').stream, 2)
})

test('bytes are taken from the peer when they are read, not before', async () => {
  const setup = await setUp()
  const { readable } = await openStream(setup)
  setup.host.emit({ type: 'data', stream: 2, data: new Uint8Array(3_000).fill(1) })
  setup.host.emit({ type: 'data', stream: 2, data: new Uint8Array(2_000).fill(2) })
  await settled()
  assert.equal(setup.host.all('consume').length, 0)
  const reader = readable.getReader()
  const first = (await reader.read()).value
  assert.deepEqual([first?.length, first?.[2_999], first?.[3_000]], [5_000, 1, 2])
  assert.deepEqual(setup.host.last('consume'), { type: 'consume', stream: 2, bytes: 5_000 })
  const next = reader.read()
  setup.host.emit({ type: 'data', stream: 2, data: new Uint8Array(100_000) })
  assert.equal((await next).value?.length, 65_536)
  assert.equal(setup.host.last('consume').bytes, 65_536)
  assert.equal((await reader.read()).value?.length, 34_464)
  setup.host.emit({ type: 'ended', stream: 2 })
  assert.equal((await reader.read()).done, true)
})

test('the peer is told of reading in steps of 4 KiB, and of the rest at the end', async () => {
  const setup = await setUp()
  const { readable } = await openStream(setup)
  const reader = readable.getReader()
  const consumed = () => setup.host.all('consume').map(({ bytes }) => bytes)
  const read = async (sizeBytes: number) => {
    setup.host.emit({ type: 'data', stream: 2, data: new Uint8Array(sizeBytes) })
    assert.equal((await reader.read()).value?.length, sizeBytes)
  }
  await read(4_095)
  assert.deepEqual(consumed(), [])
  await read(1)
  assert.deepEqual(consumed(), [4_096])
  await read(9)
  setup.host.emit({ type: 'ended', stream: 2 })
  assert.deepEqual(consumed(), [4_096, 9])
})

test('a reader with its own buffer is served too, also at the end', async () => {
  const setup = await setUp()
  const { readable } = await openStream(setup)
  const reader = readable.getReader({ mode: 'byob' })
  const first = reader.read(new Uint8Array(2))
  setup.host.emit({ type: 'data', stream: 2, data: Uint8Array.of(1, 2, 3) })
  assert.deepEqual((await first).value, Uint8Array.of(1, 2))
  assert.deepEqual((await reader.read(new Uint8Array(2))).value, Uint8Array.of(3))
  const last = reader.read(new Uint8Array(2))
  setup.host.emit({ type: 'ended', stream: 2 })
  assert.equal((await last).done, true)
})

test('closed resolves when both directions ended and everything was read', async () => {
  const setup = await setUp()
  const stream = await openStream(setup)
  let isClosed = false
  void stream.closed.then(() => {
    isClosed = true
  })
  setup.host.emit({ type: 'data', stream: 2, data: Uint8Array.of(1) })
  setup.host.emit({ type: 'ended', stream: 2 })
  await stream.writable.getWriter().close()
  await settled()
  assert.equal(isClosed, false)
  for await (const chunk of stream.readable) assert.deepEqual(chunk, Uint8Array.of(1))
  await stream.closed
})

test('a stream that breaks fails reading, writing and closed', async () => {
  const setup = await setUp()
  const { readable, writable, closed } = await openStream(setup, 1)
  const writing = writable.getWriter().write(new Uint8Array(10))
  const reading = readable.getReader().read()
  await settled()
  setup.host.emit({ type: 'broken', stream: 2, code: 'EPEERGONE' })
  for (const each of [writing, reading, closed]) await assert.rejects(each, hasCode('EPEERGONE'))
})

test('aborting, also while a write waits, resets the stream once', async () => {
  const setup = await setUp()
  const { readable, writable } = await openStream(setup, 1)
  const writer = writable.getWriter()
  const writing = writer.write(new Uint8Array(10))
  await settled()
  await Promise.all([
    assert.rejects(writing),
    assert.rejects(readable.getReader().read(), hasCode('EABORTED')),
    writer.abort('why').catch(() => {}),
  ])
  assert.equal(setup.host.all('reset').length, 1)
})

test('what is no Uint8Array is refused, and the stream with it', async () => {
  const setup = await setUp()
  const { writable } = await openStream(setup)
  const text = 'text' as unknown as Uint8Array
  await assert.rejects(writable.getWriter().write(text), hasCode('EBADVALUE'))
  assert.equal(setup.host.all('reset').length, 1)
})

test('cancelling the reading throws away what comes, so that writing goes on', async () => {
  const setup = await setUp()
  const { readable, writable } = await openStream(setup)
  setup.host.emit({ type: 'data', stream: 2, data: new Uint8Array(5_000) })
  await readable.cancel()
  setup.host.emit({ type: 'data', stream: 2, data: new Uint8Array(7_000) })
  assert.deepEqual(
    setup.host.all('consume').map(({ bytes }) => bytes),
    [5_000, 7_000],
  )
  await writable.getWriter().write(new Uint8Array(3))
  assert.equal(setup.host.all('reset').length, 0)
})

test('cancelling the reading after the writing ended tells the other side to stop', async () => {
  const setup = await setUp()
  const { readable, writable, closed } = await openStream(setup)
  await writable.getWriter().close()
  await readable.cancel()
  await closed
  assert.equal(setup.host.all('reset').length, 1)
})

test('an incoming stream reaches the listeners of its peer and of the subcluster', async () => {
  const { host, room, ann } = await setUp()
  const seen: unknown[] = []
  ann.on('#stream', (stream, peer) => seen.push(['peer', stream.name, peer === ann]))
  room.on('#stream', (stream, peer) => seen.push(['room', stream.name, peer === ann]))
  host.emit({ type: 'stream', stream: 1, subcluster: 1, peer: ANN, name: 'log' })
  assert.deepEqual(seen, [
    ['peer', 'log', true],
    ['room', 'log', true],
  ])
})

test('an incoming stream that nobody listens for is reset', async () => {
  const { host } = await setUp()
  host.emit({ type: 'stream', stream: 1, subcluster: 1, peer: ANN, name: 'log' })
  assert.deepEqual(host.all('reset'), [{ type: 'reset', stream: 1 }])
})

test('opening can be given up; leaving breaks the streams of the subcluster', async () => {
  const setup = await setUp()
  const stop = new AbortController()
  const opening = setup.ann.openStream('log', { signal: stop.signal })
  stop.abort()
  await assert.rejects(opening, hasCode('EABORTED'))
  await assert.rejects(setup.ann.openStream('log', { signal: stop.signal }), hasCode('EABORTED'))
  const { closed } = await openStream(setup)
  await setup.room.leave()
  await assert.rejects(closed, hasCode('ECLOSED'))
})

test('a pipe from one end to the other keeps every byte', async () => {
  const setup = await setUp()
  const { readable, writable } = await openStream(setup, 10_000)
  const bytes = Uint8Array.from({ length: 300_000 }, (_, i) => i % 251)
  setup.host.react = (command) => {
    if (command.type === 'write') {
      setup.host.emit({ type: 'data', stream: 2, data: command.data })
    }
    if (command.type === 'consume') setup.host.emit({ type: 'writable', stream: 2, bytes: 10_000 })
    if (command.type === 'finish') setup.host.emit({ type: 'ended', stream: 2 })
  }
  const writing = new Blob([bytes]).stream().pipeTo(writable)
  const read = new Uint8Array(await new Response(readable).arrayBuffer())
  await writing
  assert.deepEqual(read, bytes)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ANN, KEY, scriptedSocket } from './scripted-host.fixture.ts'
import type { Packet, PublishedPacket, RemotePeer, Socket, Subcluster } from './types.ts'

/** Checked by the compiler: each `@ts-expect-error` fails the type check when there is no error. */
interface Chat {
  events: { news: { text: string }; at: readonly [number, number] }
  presence: { name: string }
  rpc: {
    add(argument: { x: number; y: number }): number
    now(): Promise<Date>
  }
}

function typedUse(room: Subcluster<Chat>, peer: RemotePeer<Chat>): void {
  room.on('news', (value, packet) => {
    const text: string = value.text
    const author: string = packet.author
    const id: string | undefined = packet.id
    void [text, author, id]
    // @ts-expect-error no such field
    void value.txt
  })
  room.on('#join', (member) => {
    void member.emit('at', [1, 2])
    // @ts-expect-error wrong type of value
    void member.emit('at', [1])
  })
  room.on('#presence', (member, value) => {
    const name: string | undefined = value?.name ?? member.presence?.name
    void name
  })
  room.on('#leave', (_, why) => why === 'timeout')
  // @ts-expect-error unknown event
  room.on('nope', () => {})
  // @ts-expect-error unknown system event
  room.on('#nope', () => {})
  // @ts-expect-error wrong value
  void room.emit('news', { txt: 'no' })
  // @ts-expect-error unknown event
  void room.emit('nope', 1)
  // @ts-expect-error system events are not for sending
  void room.emit('#join', 1)
  const published: Promise<PublishedPacket> = room.emit('news', { text: '' }, { ttl: 5 })
  // @ts-expect-error what is not kept has no id
  const lossy: Promise<PublishedPacket> = room.emit('at', [1, 2], { delivery: 'lossy' })
  void [published, lossy]

  const sum: Promise<number> = peer.request('add', { x: 1, y: 2 })
  const now: Promise<Date> = peer.request('now', undefined)
  void [sum, now]
  // @ts-expect-error wrong argument
  void peer.request('add', { x: 'a', y: 2 })
  // @ts-expect-error unknown name
  void peer.request('sub', 1)
  room.handle('add', ({ x, y }, { peer: asking }) => x + y + asking.peerId.length)
  room.handle('now', () => new Date())
  // @ts-expect-error wrong result
  room.handle('add', () => 'three')

  room.presence.set({ name: 'ann' })
  // @ts-expect-error wrong presence
  room.presence.set({ title: 'ann' })
  const others: ReadonlyMap<string, { name: string }> = room.presence.others
  void others
}

function typedStanding(room: Subcluster<Chat>): void {
  const sent: Promise<Packet> = room.peer(ANN).emit('news', { text: '' })
  const key: Promise<Uint8Array> = room.key({ since: new Date() })
  const forgotten: Promise<void> = room.forget({ before: 5 })
  void [sent, key, forgotten]
  // @ts-expect-error wrong value
  void room.peer(ANN).emit('news', 5)
  // @ts-expect-error `before` is missing
  void room.forget({})
  room.on('#progress', ({ receivedBytes, totalBytes }) => receivedBytes / totalBytes)
}

async function typedHistory(room: Subcluster<Chat>): Promise<void> {
  for await (const item of room.history({ since: new Date() })) {
    const id: string = item.packet.id
    if (item.event === 'news') void [item.value.text, id]
    // @ts-expect-error which event is not known here
    void item.value.text
  }
  for await (const { value } of room.history({ event: 'at' })) void value[0].toFixed()
  for await (const { value } of room.events('news', { since: 0 })) void value.text.length
  for await (const item of room.events())
    if (item.event === 'at') void item.value[1].toFixed()
    else void item.value.text
  // @ts-expect-error unknown event
  room.history({ event: 'nope' })
  // @ts-expect-error no such moment
  room.events('news', { since: '2026' })
}

async function typedLoops(room: Subcluster<Chat>): Promise<void> {
  for await (const { value, missed } of room.events('news')) void [value.text.length, missed + 1]
  for await (const result of room.requestMany('add', { x: 1, y: 2 }, { quorum: 2 })) {
    if (result.ok) void result.value.toFixed()
    else void result.error.message
    // @ts-expect-error only an answer that is ok has a value
    void result.value
  }
}

async function looseUse(socket: Socket): Promise<void> {
  const room = await socket.subcluster({ sharedKey: KEY })
  room.on('anything', (value, packet) => value.whatever.there.is + packet.author)
  room.on('#join', (peer) => peer.request('anything', { a: 1 }).then((answer) => answer.b))
  room.handle('anything', (argument) => argument.a + 1)
  room.presence.set({ x: 1 })
  void room.emit('anything', { ok: 1 })
  for await (const { event, value } of room.events()) void [event.length, value.whatever]
  for await (const { value } of room.history()) void value.whatever
  const strict = await socket.subcluster({ sharedKey: KEY, order: 'strict' })
  // @ts-expect-error no such order
  void socket.subcluster({ sharedKey: KEY, order: 'total' })
  void strict
  const inline = await socket.subcluster<{ events: { only: string } }>({ sharedKey: KEY })
  inline.on('only', (value) => value.length)
  // @ts-expect-error not an event of this schema
  void inline.emit('other', '')
}

test('the types above compile, and what they describe is there', async () => {
  const { socket } = scriptedSocket()
  const room = await socket.subcluster<Chat>({ sharedKey: KEY })
  assert.equal(typeof room.requestMany, 'function')
  for (const use of [typedUse, typedStanding, typedHistory, typedLoops, looseUse])
    assert.equal(typeof use, 'function')
})

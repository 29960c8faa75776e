import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import type { HistoryItem } from '../core/io.ts'
import { HISTORY_PAGE_PACKETS } from './history.ts'
import {
  ANN,
  hasCode,
  KEY,
  keptItem,
  packetInfo,
  type Setup,
  scriptedSocket,
  settled,
  setUp,
} from './scripted-host.fixture.ts'
import { encodeValue } from './values.ts'

const MANY = Array.from({ length: 2 * HISTORY_PAGE_PACKETS + 5 }, (_, i) => keptItem(i + 1, i + 1))

/** A peer that keeps these packets. */
function keeps({ host }: Setup, kept: readonly HistoryItem[]): void {
  host.react = (command) => {
    if (command.type === 'history') queueMicrotask(() => host.page(command, kept))
  }
}

function arrives({ host }: Setup, { packet, event, value }: HistoryItem): void {
  host.emit({ type: 'packet', subcluster: 1, packet: { ...packet, via: 'direct' }, event, value })
}

test('history pages through everything that is kept, in the order of the peer', async () => {
  const setup = await setUp()
  keeps(setup, MANY)
  const values: unknown[] = []
  for await (const { event, value, packet } of setup.room.history()) {
    assert.deepEqual([event, packet.author, packet.via], ['news', ANN, 'cache'])
    values.push(value)
  }
  assert.deepEqual(
    values,
    MANY.map((_, i) => i + 1),
  )
  const asked = setup.host
    .all('history')
    .map(({ since, after, limit }) => [since, after?.id, after?.lamport, limit])
  const lasts = [undefined, MANY[HISTORY_PAGE_PACKETS - 1], MANY[2 * HISTORY_PAGE_PACKETS - 1]]
  assert.deepEqual(
    asked,
    lasts.map((item) => [0, item?.packet.id, item?.packet.lamport, HISTORY_PAGE_PACKETS]),
  )
})

test('history asks one page ahead, and no further than its reader reads', async () => {
  const setup = await setUp()
  keeps(setup, MANY)
  const loop = setup.room.history()
  await settled()
  assert.equal(setup.host.all('history').length, 0)
  await loop.next()
  await settled()
  assert.equal(setup.host.all('history').length, 2)
  await loop.return?.()
  await settled()
  assert.equal(setup.host.all('history').length, 2)
})

test('since and event choose; what cannot be read is counted and left out', async () => {
  const { host, socket } = scriptedSocket()
  const setup = { host, room: await socket.subcluster({ sharedKey: KEY }) }
  const garbage = { ...keptItem(4, 0), value: Uint8Array.of(0xff) }
  keeps(setup, [
    keptItem(0, 'own', '#here'),
    keptItem(1, 'old'),
    keptItem(2, 'x', 'other'),
    keptItem(3, 'new'),
    garbage,
  ])
  const since = new Date(1_700_000_000_002)
  const values: unknown[] = []
  for await (const item of setup.room.history({ since, event: 'news' })) values.push(item.value)
  assert.deepEqual(values, ['new'])
  assert.equal(host.last('history').since, since.getTime())
  assert.equal(socket.stats()['valuesMalformed'], 1)
})

test("a page of the peers' own events alone does not end history, and is shown to nobody", async () => {
  const setup = await setUp()
  const own = Array.from({ length: HISTORY_PAGE_PACKETS }, (_, i) => keptItem(i + 1, i, '#here'))
  keeps(setup, [...own, keptItem(HISTORY_PAGE_PACKETS + 1, 'said')])
  const values: unknown[] = []
  for await (const { value } of setup.room.history()) values.push(value)
  assert.deepEqual(values, ['said'])
})

test('a loop over history that ends early leaves nothing behind', async () => {
  const setup = await setUp()
  const reading = (async () => {
    for await (const _ of setup.room.history()) break
  })()
  await settled()
  const first = setup.host.last('history')
  setup.host.page(first, MANY)
  await reading
  // The page ahead is given up.
  assert.equal(setup.host.last('cancel').operation, setup.host.last('history').operation)
  assert.equal(setup.host.all('history').length, 2)
})

test('history ends with the signal, with leave and when there is nothing', async () => {
  const setup = await setUp()
  const stop = new AbortController()
  const stopped = setup.room.history({ signal: stop.signal })
  const stoppedFirst = stopped.next()
  await settled()
  stop.abort()
  assert.equal((await stoppedFirst).done, true)
  assert.equal((await setup.room.history({ signal: stop.signal }).next()).done, true)
  const left = setup.room.history()
  const late = setup.room.history()
  const leftFirst = left.next()
  await settled()
  await setup.room.leave()
  assert.equal((await leftFirst).done, true)
  const count = setup.host.commands.length
  assert.equal((await late.next()).done, true)
  assert.equal(setup.host.commands.length, count, 'no command names what was left')
  const empty = await setUp()
  keeps(empty, [])
  assert.equal((await empty.room.history().next()).done, true)
})

test('history that fails says why', async () => {
  const setup = await setUp()
  const asked = setup.room.history().next()
  await settled()
  const { operation } = setup.host.last('history')
  setup.host.emit({ type: 'failed', operation, code: 'EFORGOTTEN' })
  await assert.rejects(asked, hasCode('EFORGOTTEN'))
})

test('events since: what is kept, then what comes, nothing twice and nothing missed', async () => {
  const setup = await setUp()
  const kept = [1, 2, 3].map((i) => keptItem(i, i))
  const loop = setup.room.events('news', { since: 0 })
  // Arrives after the call and before the page: it is in both.
  arrives(setup, keptItem(3, 3))
  arrives(setup, keptItem(9, 'other event', 'other'))
  const values: unknown[] = []
  const reading = (async () => {
    for await (const { event, value, missed } of loop) {
      assert.deepEqual([event, missed], ['news', 0])
      values.push(value)
    }
  })()
  await settled()
  // Comes after the page was made, before it is read.
  setup.host.page(setup.host.last('history'), kept)
  arrives(setup, keptItem(4, 4))
  await settled()
  // Was kept without having been delivered, and is now.
  arrives(setup, keptItem(2, 2))
  setup.host.message(ANN, 'news', 'direct')
  setup.host.message(ANN, 'news', 'kept for us', { ...packetInfo(ANN), via: 'cache' })
  await settled()
  assert.deepEqual(values, [1, 2, 3, 4, 'direct', 'kept for us'])
  await setup.room.leave()
  await reading
})

test('events since of every event, ended before it began, stops listening', async () => {
  const setup = await setUp()
  const { signal } = new AbortController()
  const loop = setup.room.events(undefined, { since: 0, signal })
  await loop.return?.()
  assert.deepEqual(getEventListeners(signal, 'abort'), [])
  assert.equal((await loop.next()).done, true)
  assert.equal(setup.host.all('history').length, 0)
  keeps(setup, [keptItem(1, 'x', 'a'), keptItem(2, 'y', 'b')])
  const both = setup.room.events(undefined, { since: 0 })
  const seen = [await both.next(), await both.next()].map(({ value }) => value.event)
  assert.deepEqual(seen, ['a', 'b'])
  const waiting = both.next()
  setup.host.emit({
    type: 'packet',
    subcluster: 1,
    packet: packetInfo(ANN),
    event: 'c',
    value: encodeValue(1),
  })
  assert.equal((await waiting).value.event, 'c')
})

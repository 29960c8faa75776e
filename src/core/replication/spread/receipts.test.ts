import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Instant, PeerId } from '../../io.ts'
import { HELD_WAIT_MS, OWED_MAX, OWED_PEERS_MAX, RECEIPTS_MAX, Receipts } from './receipts.ts'

const at = (ms: number) => ms as Instant

function peer(number: number): PeerId {
  return `${number}`.padStart(64, '0') as PeerId
}

/** Receipts, what they told whom, and a disk that answers when the test says so. */
class Desk {
  syncs = 0
  readonly told: string[] = []
  readonly done: string[] = []
  readonly receipts = new Receipts(
    () => this.syncs++,
    (to, shorts) => this.told.push(`${Number(to)}: ${shorts.join()}`),
  )

  publish(short: string, takers: number, now = 0): void {
    const until = now + HELD_WAIT_MS
    this.receipts.published(short, takers, until, () => this.done.push(short))
  }
}

// Turns red when HELD does not wait for the disk.
test('who asked hears that a packet is held when it is on disk, and never when the disk failed', () => {
  const desk = new Desk()
  desk.receipts.asked('a', peer(1), true)
  assert.equal(desk.syncs, 1)
  assert.deepEqual(desk.told, [])
  desk.receipts.synced(true)
  assert.deepEqual(desk.told, ['1: a'])
  desk.receipts.asked('b', peer(1), true)
  desk.receipts.synced(false)
  desk.receipts.synced(true)
  assert.deepEqual(desk.told, ['1: a'])
})

// Turns red when what came after a sync was asked for counts as on disk with it.
test('what came after a sync was asked for waits for the next, all of it together', () => {
  const desk = new Desk()
  desk.receipts.asked('a', peer(1), true)
  for (const short of ['b', 'c']) desk.receipts.asked(short, peer(1), true)
  desk.receipts.asked('b', peer(2), true)
  assert.equal(desk.syncs, 1, 'one at a time')
  desk.receipts.synced(true)
  assert.deepEqual(desk.told, ['1: a'])
  assert.equal(desk.syncs, 2)
  desk.receipts.synced(true)
  assert.deepEqual(desk.told, ['1: a', '1: b,c', '2: b'])
  desk.receipts.synced(true)
  assert.equal(desk.syncs, 2, 'nothing waits')
})

test('a large packet is held when it is whole', () => {
  const desk = new Desk()
  for (const each of [1, 2]) desk.receipts.asked('root', peer(each), false)
  assert.equal(desk.syncs, 0)
  desk.receipts.whole('root')
  desk.receipts.synced(true)
  assert.deepEqual(desk.told, ['1: root', '2: root'])
  desk.receipts.whole('root')
  desk.receipts.synced(true)
  assert.equal(desk.told.length, 2, 'told once')
})

test('a publisher waits for three others, or all that take it, and for its own disk', () => {
  for (const [takers, waitsFor] of [
    [0, 1],
    [1, 1],
    [2, 2],
    [3, 3],
    [50, 3],
  ] as const) {
    const desk = new Desk()
    desk.publish('a', takers)
    desk.receipts.synced(true)
    for (let i = 1; i <= waitsFor; i++) {
      assert.deepEqual(desk.done, [])
      for (let again = 0; again < 3; again++) desk.receipts.held('a', peer(i), at(1))
    }
    assert.deepEqual(desk.done, ['a'])
    const slow = new Desk()
    slow.publish('a', takers)
    for (let i = 1; i <= waitsFor; i++) slow.receipts.held('a', peer(i), at(1))
    assert.deepEqual(slow.done, [])
    slow.receipts.synced(true)
    assert.deepEqual(slow.done, ['a'])
    assert.equal(slow.receipts.deadline(), undefined)
  }
})

test('a publisher whose own disk failed is not done because others hold its packet', () => {
  const desk = new Desk()
  desk.publish('a', 3)
  desk.receipts.synced(false)
  for (const each of [1, 2, 3]) desk.receipts.held('a', peer(each), at(1))
  assert.deepEqual(desk.done, [])
  desk.receipts.onDeadline(at(HELD_WAIT_MS))
  desk.receipts.onDeadline(at(1 + HELD_WAIT_MS))
  assert.deepEqual(desk.done, ['a'])
})

test('a publisher waits two seconds at most, and longer only while somebody takes what we publish', () => {
  const desk = new Desk()
  desk.publish('a', 3)
  desk.receipts.synced(true)
  desk.receipts.onDeadline(at(HELD_WAIT_MS - 1))
  assert.deepEqual(desk.done, [])
  desk.receipts.onDeadline(at(HELD_WAIT_MS))
  assert.deepEqual(desk.done, ['a'])
  const fetched = new Desk()
  fetched.publish('root', 3)
  let progressAt = 0
  for (let now = 0; fetched.done.length === 0; now += 100) {
    if (now <= 60_000 && now % 1000 === 0) {
      fetched.receipts.isProgressing('root', at(now))
      progressAt = now
    }
    fetched.receipts.onDeadline(at(now))
    assert.equal(fetched.done.length > 0, now === progressAt + HELD_WAIT_MS)
  }
  assert.equal(progressAt, 60_000)
})

test('who was busy itself gives remotes their time to be heard', () => {
  const desk = new Desk()
  desk.publish('a', 1)
  desk.receipts.synced(true)
  desk.receipts.onDeadline(at(10_000))
  assert.deepEqual(desk.done, [])
  desk.receipts.onDeadline(at(10_000 + HELD_WAIT_MS))
  assert.deepEqual(desk.done, ['a'])
})

// Turns red when any HELD, or any request for leaves, counts as progress.
test('remotes that talk of what nobody waits for do not keep a publisher waiting', () => {
  const desk = new Desk()
  desk.publish('a', 3)
  for (let now = 0; now < HELD_WAIT_MS; now += 100) {
    desk.receipts.held('other', peer(1), at(now))
    desk.receipts.held('a', peer(1), at(0))
    desk.receipts.held('a', peer(1), at(now))
    desk.receipts.isProgressing('other', at(now))
  }
  desk.receipts.onDeadline(at(HELD_WAIT_MS))
  assert.deepEqual(desk.done, ['a'])
})

// Turns red when any of the bounds goes.
test('what remotes make us remember is bounded, however slow the disk is', () => {
  const desk = new Desk()
  desk.receipts.asked('first', peer(1), true)
  for (let i = 0; i < 2 * RECEIPTS_MAX; i++) desk.receipts.asked(`${i}`, peer(1), true)
  desk.receipts.synced(true)
  desk.receipts.synced(true)
  assert.equal(desk.told[1]?.split(',').length, RECEIPTS_MAX)
  const roots = new Desk()
  for (let i = 0; i < 10 * OWED_PEERS_MAX; i++) roots.receipts.asked('root', peer(i), false)
  roots.receipts.whole('root')
  roots.receipts.synced(true)
  assert.equal(roots.told.length, OWED_PEERS_MAX)
  for (let i = 0; i < 2 * OWED_MAX; i++) roots.receipts.asked(`${i}`, peer(1), false)
  for (let i = 0; i < 2 * OWED_MAX; i++) roots.receipts.whole(`${i}`)
  while (roots.syncs > 0) {
    roots.syncs = 0
    roots.receipts.synced(true)
  }
  const last = roots.told.slice(OWED_PEERS_MAX).flatMap((line) => line.split(','))
  assert.equal(last.length, OWED_MAX)
})

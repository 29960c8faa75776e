import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Instant, PeerId } from '../../io.ts'
import { HOLDERS_MAX, WANTED_MAX, Wants } from './wants.ts'

const at = (ms: number) => ms as Instant
const rttMs = () => 100

function peer(number: number): PeerId {
  return `${number}`.padStart(64, '0') as PeerId
}

/** Whom one packet is asked of, and when, until nobody is left. */
function asked(wants: Wants, trip: (each: PeerId) => number | undefined = rttMs): string[] {
  const questions: string[] = []
  for (;;) {
    const next = wants.deadline()
    if (next === undefined) return questions
    for (const question of wants.due(next.at, trip))
      questions.push(`${Number(question.peer)} at ${next.at}`)
  }
}

test('of those that told within 10 ms one is asked, each next one after 20 ms and one and a quarter trips', () => {
  const wants = new Wants()
  for (const number of [3, 1, 2]) wants.heard('a', peer(number), at(100 + number))
  assert.deepEqual(asked(wants), [
    '3 at 113',
    '1 at 258',
    '2 at 403',
    '3 at 548',
    '1 at 693',
    '2 at 838',
  ])
  assert.equal(wants.size, 0, 'after two rounds it is forgotten')
})

test('who has no session is passed over', () => {
  const wants = new Wants()
  for (const number of [1, 2, 3]) wants.heard('a', peer(number), at(0))
  const questions = asked(wants, (each) => (each === peer(2) ? 20 : undefined))
  assert.deepEqual(questions, ['2 at 10', '2 at 55'])
})

// Turns red when they are asked in the order in which they told.
test('the nearest of those that told is asked first, in each round', () => {
  const wants = new Wants()
  for (const number of [50, 10, 30]) wants.heard('a', peer(number), at(0))
  const questions = asked(wants, Number)
  const order = questions.map((question) => Number(question.split(' ')[0]))
  assert.deepEqual(order, [10, 30, 50, 10, 30, 50])
})

// Turns red when those are put in order again that this round has asked.
test('a nearer one that tells later is asked next, and nobody twice in a round', () => {
  const wants = new Wants()
  for (const number of [50, 30]) wants.heard('a', peer(number), at(0))
  const [first] = wants.due(at(10), Number)
  assert.equal(first?.peer, peer(30))
  wants.heard('a', peer(10), at(11))
  const order = asked(wants, Number).map((question) => Number(question.split(' ')[0]))
  assert.deepEqual(order.slice(0, 2), [10, 50])
})

test('what came is not asked for', () => {
  const wants = new Wants()
  wants.heard('a', peer(1), at(0))
  wants.settle('a')
  assert.deepEqual(asked(wants), [])
})

// Turns red when a LACK of who was not asked, or does not hold it, moves on.
test('whoever lacks it is passed over at once, and only who was asked can say so', () => {
  const wants = new Wants()
  for (const number of [1, 2]) wants.heard('a', peer(number), at(0))
  wants.lacked('a', peer(1), at(5))
  assert.equal(wants.deadline()?.at, 10, 'nobody was asked yet')
  wants.due(at(10), rttMs)
  wants.lacked('a', peer(9), at(20))
  assert.notEqual(wants.deadline()?.at, 20, 'a stranger to it')
  wants.lacked('a', peer(1), at(30))
  assert.deepEqual(wants.due(at(30), rttMs), [{ peer: peer(2), short: 'a' }])
})

test('what is put off is asked for at its time, and that time counts for no round', () => {
  const wants = new Wants()
  wants.heard('a', peer(1), at(0))
  for (let i = 1; i <= 10; i++) {
    wants.due(at(wants.deadline()?.at ?? 0), rttMs)
    wants.postpone('a', 1000 * i)
    assert.equal(wants.deadline()?.at, 1000 * i)
  }
  assert.deepEqual(asked(wants), ['1 at 10000', '1 at 10145'])
})

// Turns red when either bound goes.
test('what remotes announce is bounded, in packets and in holders of one, and a LACK storm ends', () => {
  const wants = new Wants()
  for (let i = 0; i < WANTED_MAX + 10; i++) wants.heard(`packet ${i}`, peer(1), at(0))
  assert.equal(wants.size, WANTED_MAX)
  assert.ok(!wants.has('packet 9'), 'the oldest goes')
  assert.equal(wants.has('packet 10'), true)
  const last = `packet ${WANTED_MAX}`
  for (let i = 0; i < 100; i++) wants.heard(last, peer(i), at(0))
  const holders = new Set<PeerId>()
  let questions = 0
  for (let round = 0; round < 100; round++)
    for (const question of wants.due(at(10 + round), rttMs)) {
      if (question.short !== last) continue
      holders.add(question.peer)
      questions++
      for (let i = 0; i < 100; i++) wants.lacked(last, peer(i), at(10 + round))
    }
  assert.equal(holders.size, HOLDERS_MAX)
  assert.equal(questions, 2 * HOLDERS_MAX)
})

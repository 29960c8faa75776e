import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Instant, PeerId } from '../io.ts'
import { SeededRandom } from '../seeded.fixture.ts'
import type { ReconcileScope } from './reconcile/reconciler.ts'
import { Repair } from './repair.ts'

const EVERYTHING: ReconcileScope = { kind: 'everything' }

function peer(number: number): PeerId {
  return number.toString(16).padStart(64, '0') as PeerId
}

/** A schedule, the comparisons that it began, and a clock. */
class Diary {
  now = 0 as Instant
  readonly begun: { readonly peer: PeerId; readonly scope: ReconcileScope; readonly at: number }[] =
    []
  readonly partners: PeerId[] = []
  scopes: readonly ReconcileScope[] = [EVERYTHING]
  /** There is nothing to compare with these. */
  readonly strangers = new Set<PeerId>()
  stayMs: number | undefined
  /** Whether a comparison ends as soon as it begins. */
  isEndless = false
  readonly repair: Repair

  constructor(seed = 1) {
    const host = {
      partners: () => this.partners,
      scopes: (of: PeerId) => (this.strangers.has(of) ? [] : this.scopes),
      begin: (to: PeerId, scope: ReconcileScope, at: Instant) => {
        this.begun.push({ peer: to, scope, at })
        if (!this.isEndless) this.repair.ended(to, at)
      },
      meanStayMs: () => this.stayMs,
    }
    this.repair = new Repair({ random: new SeededRandom(seed), host }, this.now)
  }

  pass(ms: number): void {
    const end = this.now + ms
    while (this.repair.deadline().at <= end) {
      this.now = Math.max(this.now, this.repair.deadline().at) as Instant
      this.repair.onDeadline(this.now)
    }
    this.now = end as Instant
  }

  /** How long passed between one comparison and the next. */
  get gapsMs(): number[] {
    return this.begun.slice(1).map(({ at }, i) => at - (this.begun[i]?.at ?? 0))
  }
}

// Turns red when greetings have no bound.
test('of many neighbours that come at once three are compared with, 20 ms after they came', () => {
  const diary = new Diary()
  for (let i = 1; i <= 50; i++) {
    diary.repair.met(peer(i), diary.now)
    diary.pass(1)
  }
  diary.pass(1900)
  assert.deepEqual(
    diary.begun.map(({ peer: to, at }) => [to, at]),
    [1, 2, 3].map((i) => [peer(i), 19 + i]),
  )
  diary.pass(100)
  diary.repair.met(peer(60), diary.now)
  diary.pass(20)
  assert.equal(diary.begun.at(-1)?.peer, peer(60), 'two seconds later others are')
})

test('who went before it was compared with is not', () => {
  const diary = new Diary()
  diary.repair.met(peer(1), diary.now)
  diary.repair.gone(peer(1))
  diary.pass(1000)
  assert.deepEqual(diary.begun, [])
})

// Turns red when the period does not follow how long peers stay.
test('packets are compared five times within the time that peers stay, never more than once a second', () => {
  for (const [stayMs, leastMs, mostMs] of [
    [undefined, 240_000, 360_000],
    [1_800_000, 240_000, 360_000],
    [300_000, 48_000, 72_000],
    [60_000, 9_600, 14_400],
    [2_000, 800, 1_200],
    [1, 800, 1_200],
  ] as const) {
    const diary = new Diary()
    diary.stayMs = stayMs
    diary.partners.push(peer(1), peer(2), peer(3))
    diary.pass(20 * mostMs)
    assert.equal(diary.begun.length >= 15, true)
    for (const gap of diary.gapsMs) assert.ok(gap >= leastMs && gap <= mostMs, `${stayMs}: ${gap}`)
    assert.equal(new Set(diary.begun.map(({ peer: to }) => to)).size, 3, 'not always the same one')
    assert.ok(new Set(diary.gapsMs).size > 5, 'not all peers at the same time')
  }
})

// Turns red when `changed` moves nothing, or when each change puts the comparison off.
test('after something came there is a comparison within five seconds, however much comes', () => {
  const diary = new Diary()
  diary.partners.push(peer(1))
  diary.pass(10_000)
  const before = diary.begun.length
  for (let i = 0; i < 6; i++) {
    diary.repair.changed(diary.now)
    diary.pass(1000)
  }
  assert.equal(diary.begun.length, before + 1)
})

test('when a comparison comes to nothing another neighbour is tried after 200 ms', () => {
  const diary = new Diary()
  diary.partners.push(peer(1))
  diary.pass(10_000)
  const before = diary.begun.length
  diary.repair.failed(diary.now)
  diary.pass(199)
  assert.equal(diary.begun.length, before)
  diary.pass(1)
  assert.equal(diary.begun.length, before + 1)
})

test('what two have in common is compared one after the other, and not begun twice', () => {
  const diary = new Diary()
  diary.isEndless = true
  const range: ReconcileScope = { kind: 'range', bits: 3 }
  diary.scopes = [EVERYTHING, range]
  diary.repair.met(peer(1), diary.now)
  diary.pass(100)
  diary.repair.met(peer(1), diary.now)
  diary.pass(100)
  const scopes = () => diary.begun.map(({ scope }) => scope)
  assert.deepEqual(scopes(), [EVERYTHING])
  diary.repair.ended(peer(1), diary.now)
  assert.deepEqual(scopes(), [EVERYTHING, range])
  diary.repair.ended(peer(1), diary.now)
  assert.equal(scopes().length, 2)
  diary.repair.met(peer(1), diary.now)
  diary.pass(100)
  assert.equal(scopes().length, 3, 'and afterwards again')
})

test('with nobody, or with nothing in common, nothing is compared', () => {
  const diary = new Diary()
  diary.pass(3_600_000)
  diary.partners.push(peer(1))
  diary.scopes = []
  diary.repair.met(peer(1), diary.now)
  diary.pass(3_600_000)
  assert.deepEqual(diary.begun, [])
})

// Turns red when only the first one drawn is tried.
test('who has nothing in common with us costs no turn', () => {
  const diary = new Diary()
  for (let i = 1; i <= 50; i++) {
    diary.partners.push(peer(i))
    if (i !== 7) diary.strangers.add(peer(i))
  }
  diary.stayMs = 100_000
  diary.pass(200_000)
  assert.ok(diary.begun.length >= 8 && diary.begun.length <= 13, `${diary.begun.length} turns`)
  assert.ok(diary.begun.every(({ peer: to }) => to === peer(7)))
})

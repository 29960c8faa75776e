import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRandom } from '../../sim/random.ts'
import type { PathKind, PeerId } from '../io.ts'
import { toHex } from '../wire/bytes.ts'
import { distanceOf, pointOf } from './id-space.ts'
import {
  ANSWERED_MAX,
  HEARERS_MAX,
  HEARERS_OF_EVERYONE,
  type IntroducedSession,
  Introductions,
  TOLD_MAX,
} from './introductions.ts'
import { decodeOverlayMessage, type OverlayMessage } from './messages.ts'

class Listener implements IntroducedSession {
  readonly peer: PeerId
  readonly path: PathKind
  readonly state = 'up'
  readonly heard: OverlayMessage[] = []

  constructor(peer: PeerId, path: PathKind = 'direct') {
    this.peer = peer
    this.path = path
  }

  get told(): PeerId[] {
    return this.heard.flatMap((message) => (message.type === 'near' ? [] : message.peers))
  }

  sendMessage(payload: Uint8Array): number {
    const message = decodeOverlayMessage(payload)
    assert.ok(typeof message === 'object')
    this.heard.push(message)
    return this.heard.length
  }
}

test('who comes is told of everyone when they are few, and never of relayed ones', () => {
  const sessions = crowd(20)
  sessions.push(new Listener(ids(1, 'relayed')[0] as PeerId, 'relayed'))
  const [newcomer] = sessions
  assert.ok(newcomer !== undefined)
  new Introductions(new SeededRandom(1), () => sessions).welcome(newcomer)
  const others = sessions.slice(1, 20).map(({ peer }) => peer)
  assert.deepEqual(newcomer.told, others)
})

test('when they are many it is told of those near it, and of some at random', () => {
  const sessions = crowd(500)
  const [newcomer] = sessions
  assert.ok(newcomer !== undefined)
  new Introductions(new SeededRandom(1), () => sessions).welcome(newcomer)
  const { told } = newcomer
  assert.equal(new Set(told).size, TOLD_MAX)
  for (const peer of nearest(sessions, newcomer.peer, 30)) assert.ok(told.includes(peer))
  assert.ok(!told.includes(newcomer.peer))
})

test('a newcomer is announced to everyone when they are few, and once as long as it stays', () => {
  const sessions = crowd(9)
  const introductions = new Introductions(new SeededRandom(1), () => sessions)
  const [newcomer] = sessions
  assert.ok(newcomer !== undefined)
  assert.ok(introductions.came(newcomer.peer))
  assert.ok(!introductions.came(newcomer.peer), 'once')
  introductions.announce(true)
  assert.equal(hearers(sessions).length, 8)
  introductions.left(newcomer.peer)
  assert.ok(introductions.came(newcomer.peer), 'again when it came back')
})

test('when they are more some are drawn, and in a large network most of them near the newcomer', () => {
  const sessions = crowd(300)
  const [newcomer] = sessions
  assert.ok(newcomer !== undefined)
  const introductions = new Introductions(new SeededRandom(1), () => sessions)
  introductions.came(newcomer.peer)
  introductions.announce(false)
  assert.equal(hearers(sessions).length, HEARERS_MAX)
  const near = nearest(sessions, newcomer.peer, 16)
  assert.equal(hearers(sessions).filter(({ peer }) => near.includes(peer)).length, HEARERS_MAX - 1)
  const others = crowd(64)
  const among = new Introductions(new SeededRandom(1), () => others)
  among.came((others[0] as Listener).peer)
  among.announce(true)
  assert.equal(hearers(others).length, HEARERS_OF_EVERYONE)
})

test('who asks for a place is told of the nearest to it', () => {
  const sessions = crowd(300)
  const [asker] = sessions
  const [place] = ids(1, 'place')
  assert.ok(asker !== undefined && place !== undefined)
  new Introductions(new SeededRandom(1), () => sessions).answer(asker, place)
  assert.deepEqual(
    asker.told,
    nearest(sessions, place, ANSWERED_MAX + 1)
      .filter(isOther(asker))
      .slice(0, ANSWERED_MAX),
  )
})

function hearers(sessions: readonly Listener[]): Listener[] {
  return sessions.filter(({ told }) => told.length > 0)
}

function isOther(than: Listener): (peer: PeerId) => boolean {
  return (peer) => peer !== than.peer
}

function nearest(sessions: readonly Listener[], place: string, count: number): PeerId[] {
  const from = (id: string) => distanceOf(pointOf(id), pointOf(place))
  return sessions
    .map(({ peer }) => peer)
    .filter((peer) => peer !== place)
    .sort((a, b) => from(a) - from(b))
    .slice(0, count)
}

function crowd(size: number): Listener[] {
  return ids(size, 'crowd').map((peer) => new Listener(peer))
}

function ids(count: number, seed: string): PeerId[] {
  const random = new SeededRandom(seed)
  return Array.from({ length: count }, () => toHex(random.bytes(32)) as PeerId)
}

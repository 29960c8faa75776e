import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Endpoint, Instant } from '../io.ts'
import { SOCKET_SCRATCH } from '../io.ts'
import { SeededRandom } from '../seeded.fixture.ts'
import { encodeBindingRequest, encodeBindingResponse } from '../wire/stun.ts'
import { Reflections } from './reflections.ts'

const NOW = 5 as Instant
const TO = { host: '198.18.1.1', port: 4_000 }
const MAPPED = { host: '198.18.0.1', port: 77 }

function endpoint(socket: number, host: string, port: number): Endpoint {
  return { kind: 'udp', socket, host, port }
}

function asking() {
  const sent: Endpoint[] = []
  const reflections = new Reflections(new SeededRandom(1), (to) => sent.push(to))
  return { reflections, sent }
}

test('an answer counts from whom was asked, at the socket that asked, once', () => {
  const { reflections, sent } = asking()
  const question = reflections.ask(SOCKET_SCRATCH, TO, NOW)
  assert.deepEqual(sent, [endpoint(SOCKET_SCRATCH, TO.host, TO.port)])
  const answer = encodeBindingResponse(question.transaction, MAPPED)
  for (const wrong of [
    endpoint(SOCKET_SCRATCH, '198.18.1.2', TO.port),
    endpoint(SOCKET_SCRATCH, TO.host, TO.port + 1),
    endpoint(SOCKET_SCRATCH + 1, TO.host, TO.port),
  ]) {
    assert.equal(reflections.receive(answer, wrong, NOW), true, 'ours, but no answer')
    assert.deepEqual(question.answer, undefined)
  }
  const right = endpoint(SOCKET_SCRATCH, TO.host, TO.port)
  assert.equal(reflections.receive(answer, right, NOW), true)
  assert.deepEqual(question.answer, { address: MAPPED, fromPort: TO.port, at: NOW })
  const second = encodeBindingResponse(question.transaction, { host: '203.0.113.6', port: 6 })
  reflections.receive(second, right, NOW)
  assert.deepEqual(question.answer?.address, MAPPED, 'the first answer stands')
  const request = encodeBindingRequest(question.transaction)
  assert.equal(reflections.receive(request, right, NOW), true, 'our request thrown back')
  reflections.close(question)
  assert.equal(reflections.receive(answer, right, NOW), false)
  assert.equal(reflections.size, 0)
})

test('a knock may come from any port of the host, and nothing is sent for it', () => {
  const { reflections, sent } = asking()
  const question = reflections.expect('knock', SOCKET_SCRATCH, TO, NOW)
  assert.equal(sent.length, 0)
  const answer = encodeBindingResponse(question.transaction, MAPPED)
  reflections.receive(answer, endpoint(SOCKET_SCRATCH, '198.18.1.2', TO.port), NOW)
  assert.deepEqual(question.answer, undefined, 'another host')
  reflections.receive(answer, endpoint(SOCKET_SCRATCH, TO.host, 9), NOW)
  assert.deepEqual(question.answer, { address: MAPPED, fromPort: 9, at: NOW })
})

test('a hairpin is our own request, and no response', () => {
  const { reflections } = asking()
  const question = reflections.expect('hairpin', SOCKET_SCRATCH + 1, MAPPED, NOW)
  reflections.send(question, SOCKET_SCRATCH, NOW)
  const from = endpoint(SOCKET_SCRATCH + 1, MAPPED.host, 78)
  reflections.receive(encodeBindingResponse(question.transaction, MAPPED), from, NOW)
  assert.deepEqual(question.answer, undefined)
  reflections.receive(encodeBindingRequest(question.transaction), from, NOW)
  assert.deepEqual(question.answer, { address: undefined, fromPort: 78, at: NOW })
})

test('more open questions than we ever have are a fault of ours', () => {
  const { reflections } = asking()
  for (let i = 0; i < 64; i++) reflections.expect('knock', SOCKET_SCRATCH, TO, NOW)
  assert.throws(() => reflections.expect('knock', SOCKET_SCRATCH, TO, NOW), /invariant/)
})

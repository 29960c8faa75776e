import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CALLS_PER_PEER_MAX } from './calls.ts'
import type { LaticaError } from './errors.ts'
import {
  ANN,
  BOB,
  call,
  hasCode,
  memberOf,
  sentValue,
  settled,
  setUp,
} from './scripted-host.fixture.ts'
import { encodeValue } from './values.ts'

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

test('a signal first asked for after the caller gave up has aborted already', async () => {
  const setup = await setUp()
  memberOf(setup)
  let isAborted = false
  setup.room.handle('slow', async (_: unknown, context) => {
    await settled()
    isAborted = context.signal.aborted
  })
  call(setup.host, 1, 'slow')
  setup.host.emit({ type: 'callCancelled', call: 1 })
  await settled()
  await settled()
  assert.equal(isAborted, true)
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

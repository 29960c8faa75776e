import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Endpoint, Instant, PeerId } from '../io.ts'
import { SOCKET_IPV4, SOCKET_IPV6, SOCKET_SCRATCH } from '../io.ts'
import { decodeBindingResponse } from '../wire/stun.ts'
import { Knocks } from './knocks.ts'
import { ScratchSockets } from './scratch-sockets.ts'

function serving() {
  const sent: { to: Endpoint; data: Uint8Array }[] = []
  const open = new Set<number>()
  const scratch = new ScratchSockets({
    bind: (socket) => open.add(socket),
    unbind: (socket) => open.delete(socket),
  })
  const knocks = new Knocks(scratch, (to, data) => sent.push({ to, data }), 0 as Instant)
  const serve = (n: number, nowMs: number, isFromOtherPort = false, socket = SOCKET_IPV4) => {
    const endpoint: Endpoint = { kind: 'udp', socket, host: '198.18.0.7', port: 999 }
    const asker = { peer: `${n}`.padStart(64, '0') as PeerId, endpoint }
    const transaction = new Uint8Array(12).fill(n & 255)
    const message = { type: 'knock', transaction, port: 1_234, isFromOtherPort } as const
    knocks.serve(asker, message, nowMs as Instant)
  }
  return { sent, open, knocks, serve }
}

test('a knock goes to the host at which the asker is seen, with its transaction, in 32 bytes', () => {
  const { sent, serve } = serving()
  serve(7, 0)
  const [only] = sent
  assert.deepEqual(only?.to, { kind: 'udp', socket: 0, host: '198.18.0.7', port: 1_234 })
  assert.equal(only?.data.length, 32)
  const response = decodeBindingResponse(only?.data ?? new Uint8Array())
  assert.deepEqual(response?.address, { host: '198.18.0.7', port: 1_234 })
  assert.deepEqual(response?.transaction, new Uint8Array(12).fill(7))
})

test('another port is opened for a second', () => {
  const { sent, open, knocks, serve } = serving()
  serve(1, 0, true)
  assert.equal(sent[0]?.to.socket, SOCKET_SCRATCH)
  assert.deepEqual([...open], [SOCKET_SCRATCH])
  assert.equal(knocks.deadline()?.at, 1_000)
  knocks.onDeadline(999 as Instant)
  assert.equal(open.size, 1)
  knocks.onDeadline(1_000 as Instant)
  assert.equal(open.size, 0)
  assert.equal(knocks.deadline(), undefined)
})

test('one asker is served four times at once and then every five seconds', () => {
  const { sent, serve } = serving()
  for (let i = 0; i < 100; i++) serve(1, 0)
  assert.equal(sent.length, 4)
  for (let ms = 0; ms <= 60_000; ms += 100) serve(1, ms)
  assert.equal(sent.length, 4 + 12)
})

test('a thousand askers together are served ten times a second, from few sockets', () => {
  const { sent, open, knocks, serve } = serving()
  let most = 0
  for (let ms = 0; ms < 10_000; ms += 10) {
    serve(ms / 10, ms, true)
    knocks.onDeadline(ms as Instant)
    most = Math.max(most, open.size)
  }
  assert.ok(sent.length <= 110, `${sent.length} knocks in 10 s`)
  assert.ok(most <= 20, `${most} sockets at once`)
})

test('who is reached by another socket than the main one is not served', () => {
  const { sent, serve } = serving()
  serve(1, 0, false, SOCKET_IPV6)
  serve(1, 0, true, SOCKET_SCRATCH + 5)
  assert.equal(sent.length, 0)
})

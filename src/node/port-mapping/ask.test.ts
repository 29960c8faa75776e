import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { test } from 'node:test'
import type { LocalAddress } from '../../core/io.ts'
import { ask } from './ask.ts'

const LIMIT = { timeout: 10_000 }
const about = (server: LocalAddress, from = '127.0.0.1') =>
  ask({ from, server, request: Uint8Array.of(1), read: (data) => data[0] })

async function tookMs(work: Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  assert.equal(await work, undefined)
  return performance.now() - startedAt
}

test('where nobody listens the question ends at once', LIMIT, async () => {
  const socket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port } = socket.address()
  socket.close()
  await once(socket, 'close')
  assert.ok((await tookMs(about({ host: '127.0.0.1', port }))) < 1_000)
})

test('where nothing can be sent to, or from, the question ends at once', LIMIT, async () => {
  assert.ok((await tookMs(about({ host: '255.255.255.255', port: 5351 }))) < 1_000)
  assert.ok((await tookMs(about({ host: '127.0.0.1', port: 5351 }, '192.0.2.1'))) < 1_000)
})

test('a question that was aborted before it was asked is not asked', LIMIT, async (t) => {
  const socket = createSocket('udp4')
  t.after(() => socket.close())
  let heard = 0
  socket.on('message', () => heard++)
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const server = { host: '127.0.0.1', port: socket.address().port }
  const question = { from: '127.0.0.1', server, request: Uint8Array.of(1), read: () => 1 }
  assert.ok((await tookMs(ask(question, AbortSignal.abort()))) < 200)
  assert.equal(heard, 0)
})

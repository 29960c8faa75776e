import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SOCKET_SCRATCH } from '../io.ts'
import { SCRATCH_SOCKETS_MAX, ScratchSockets } from './scratch-sockets.ts'

const ADDRESS = { host: '192.168.1.10', port: 50_000 }

function recording() {
  const calls: string[] = []
  const scratch = new ScratchSockets({
    bind: (socket) => calls.push(`bind ${socket}`),
    unbind: (socket) => calls.push(`unbind ${socket}`),
  })
  return { calls, scratch }
}

test('sockets are numbered upwards and no number comes again', () => {
  const { calls, scratch } = recording()
  assert.equal(scratch.open(), SOCKET_SCRATCH)
  scratch.close(SOCKET_SCRATCH)
  assert.equal(scratch.open(), SOCKET_SCRATCH + 1)
  assert.deepEqual(calls, ['bind 16', 'unbind 16', 'bind 17'])
})

test('a socket has an address from when it is up until it closes', () => {
  const { scratch } = recording()
  const socket = scratch.open() ?? 0
  assert.equal(scratch.has(socket), true, 'it may be sent from at once')
  assert.equal(scratch.addressOf(socket), undefined)
  scratch.report(socket, [ADDRESS])
  assert.deepEqual(scratch.addressOf(socket), ADDRESS)
  scratch.close(socket)
  assert.equal(scratch.has(socket), false)
  assert.equal(scratch.addressOf(socket), undefined)
})

test('a socket that could not be opened is gone, and is not closed', () => {
  const { calls, scratch } = recording()
  const socket = scratch.open() ?? 0
  scratch.report(socket, undefined)
  assert.equal(scratch.has(socket), false)
  scratch.close(socket)
  assert.deepEqual(calls, ['bind 16'])
})

test('reports of sockets that are not open change nothing', () => {
  const { scratch } = recording()
  scratch.report(SOCKET_SCRATCH, [ADDRESS])
  scratch.report(0, [ADDRESS])
  assert.equal(scratch.size, 0)
})

test('there are never more than the bound, and a closed one makes room', () => {
  const { calls, scratch } = recording()
  for (let i = 0; i < SCRATCH_SOCKETS_MAX; i++) assert.notEqual(scratch.open(), undefined)
  assert.equal(scratch.open(), undefined)
  assert.equal(scratch.size, SCRATCH_SOCKETS_MAX)
  assert.equal(calls.length, SCRATCH_SOCKETS_MAX, 'the one too many was not bound')
  scratch.close(SOCKET_SCRATCH + 5)
  assert.equal(scratch.open(), SOCKET_SCRATCH + SCRATCH_SOCKETS_MAX)
})

test('remotes cannot have the last sixteen', () => {
  const { scratch } = recording()
  while (scratch.openForRemote() !== undefined);
  assert.equal(scratch.size, SCRATCH_SOCKETS_MAX - 16)
  for (let i = 0; i < 16; i++) assert.notEqual(scratch.open(), undefined)
  assert.equal(scratch.open(), undefined)
})

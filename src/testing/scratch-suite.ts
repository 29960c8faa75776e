import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { SOCKET_IPV4, SOCKET_SCRATCH } from '../core/io.ts'
import type { MaybePromise, Transport } from '../driver/ports.ts'
import {
  deliver,
  mainSocketOf,
  RESEND_MS,
  type Station,
  sleep,
  until,
  withPair,
} from './station.ts'

/** One birthday traversal (transport.md §5.5). */
const SCRATCH_SOCKETS = 256

/** The part of the transport suite that is about scratch sockets. */
export function scratchSuite(label: string, make: () => MaybePromise<Transport>): void {
  describe(`scratch sockets: ${label}`, () => {
    test('one hears and is heard under its own number and port', () =>
      withPair(make, isHeardUnderItsNumber))
    test('what is sent straight after bind arrives', () => withPair(make, sendsAtOnce))
    test('after unbind it reports nothing, sends nothing, and its number is harmless', () =>
      withPair(make, isSilentAfterUnbind))
    test(`${SCRATCH_SOCKETS} at once have ${SCRATCH_SOCKETS} ports, and close with the transport`, () =>
      withPair(make, holdsManyAtOnce))
  })
}

async function isHeardUnderItsNumber(alice: Station, bob: Station): Promise<void> {
  const [first, second] = [SOCKET_SCRATCH, SOCKET_SCRATCH + 7]
  alice.transport.bind(first)
  alice.transport.bind(second)
  await until(() => alice.addresses.has(first) && alice.addresses.has(second), 'the sockets')
  const ports = [SOCKET_IPV4, first, second].map((n) => alice.addresses.get(n)?.[0]?.port)
  assert.equal(new Set(ports).size, 3, 'each has a port of its own')
  for (const socket of [first, second]) {
    const mark = Uint8Array.of(0xc0, socket)
    const to = { ...mainSocketOf(bob), socket }
    const { from } = await deliver(alice, bob, to, mark)
    assert.equal(from.port, alice.addresses.get(socket)?.[0]?.port)
    assert.equal(from.socket, SOCKET_IPV4)
    const answer = await deliver(bob, alice, from, Uint8Array.of(0xc1, socket))
    assert.equal(answer.from.socket, socket, 'it says which socket heard it')
  }
}

async function sendsAtOnce(alice: Station, bob: Station): Promise<void> {
  let socket = SOCKET_SCRATCH
  // A datagram may be lost; that those of every socket are is no chance.
  await until(() => {
    alice.transport.bind(socket)
    alice.transport.send({ ...mainSocketOf(bob), socket }, Uint8Array.of(0xc5))
    socket++
    return bob.heard.length > 0
  }, 'a datagram sent at once')
  assert.deepEqual(bob.heard[0]?.data, Uint8Array.of(0xc5))
}

async function isSilentAfterUnbind(alice: Station, bob: Station): Promise<void> {
  const socket = SOCKET_SCRATCH
  alice.transport.bind(socket)
  const to = { ...mainSocketOf(bob), socket }
  const { from } = await deliver(alice, bob, to, Uint8Array.of(0xc0))
  // Already under way when the socket is let go.
  for (let n = 0; n < 10; n++) bob.transport.send(from, Uint8Array.of(0xc1))
  alice.transport.unbind(socket)
  const reports = alice.reports.length
  alice.heard.length = 0
  for (let n = 0; n < 5; n++) {
    bob.transport.send(from, Uint8Array.of(0xc1))
    alice.transport.send(to, Uint8Array.of(0xc2))
    await sleep(RESEND_MS)
  }
  assert.deepEqual(alice.heard, [])
  assert.equal(alice.reports.length, reports)
  assert.ok(bob.heard.every((datagram) => datagram.data[0] !== 0xc2))
  alice.transport.unbind(socket)
  alice.transport.unbind(socket + 1)
  await deliver(bob, alice, mainSocketOf(alice), Uint8Array.of(0xc3))
}

async function holdsManyAtOnce(alice: Station, bob: Station): Promise<void> {
  const sockets = Array.from({ length: SCRATCH_SOCKETS }, (_, n) => SOCKET_SCRATCH + n)
  for (const socket of sockets) alice.transport.bind(socket)
  await until(() => sockets.every((socket) => alice.addresses.has(socket)), 'every socket')
  const ports = new Set(sockets.map((socket) => alice.addresses.get(socket)?.[0]?.port))
  assert.equal(ports.size, SCRATCH_SOCKETS)
  const last = sockets.at(-1) ?? SOCKET_SCRATCH
  const to = { ...mainSocketOf(bob), socket: last }
  const { from } = await deliver(alice, bob, to, Uint8Array.of(0xc0))
  alice.transport.close()
  alice.heard.length = 0
  const reports = alice.reports.length
  for (let n = 0; n < 5; n++) {
    bob.transport.send(from, Uint8Array.of(0xc1))
    alice.transport.send(to, Uint8Array.of(0xc2))
    await sleep(RESEND_MS)
  }
  alice.transport.bind(last + 1)
  alice.transport.unbind(last)
  assert.deepEqual(alice.heard, [])
  assert.equal(alice.reports.length, reports)
  assert.ok(bob.heard.every((datagram) => datagram.data[0] !== 0xc2))
}

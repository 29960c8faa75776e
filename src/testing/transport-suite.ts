import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Endpoint, type LocalAddress, SOCKET_IPV4, SOCKET_SCRATCH } from '../core/io.ts'
import type { MaybePromise, Transport } from '../driver/ports.ts'

/** How long the suite sends again before it calls a datagram lost for good. */
const PATIENCE_MS = 5000
const RESEND_MS = 20
/** One birthday traversal (transport.md §5.5). */
const SCRATCH_SOCKETS = 256

/**
 * Registers node:test tests for what a peer relies on in a `Transport`. `make` gives transports that
 * can reach each other over IPv4, not opened yet.
 */
export function transportSuite(label: string, make: () => MaybePromise<Transport>): void {
  describe(`transport: ${label}`, () => {
    test('datagrams arrive whole, and can be answered to where they came from', async () => {
      const [alice, bob] = await pair(make)
      try {
        const to = addressOf(bob, alice)
        for (const size of [1, 192, 1200]) {
          const data = new Uint8Array(size).map((_, index) => 0xc0 | (index * 7))
          const heard = await deliver(alice, bob, to, data)
          assert.deepEqual(heard.data, data)
          const echo = Uint8Array.of(0xff, size & 255)
          assert.deepEqual((await deliver(bob, alice, heard.from, echo)).data, echo)
        }
      } finally {
        alice.transport.close()
        bob.transport.close()
      }
    })

    test('every address it reports has a port and a host that is an address', async () => {
      const alice = await listen(make)
      alice.transport.close()
      for (const address of [...alice.addresses.values()].flat()) {
        assert.match(address.host, /^[0-9a-f.:]+$/)
        assert.ok(address.port >= 1 && address.port <= 65535)
      }
    })

    test('a send that cannot work is a lost datagram, not an error', async () => {
      const alice = await listen(make)
      const data = new Uint8Array(100)
      const hopeless: readonly Endpoint[] = [
        { kind: 'udp', socket: 0, host: '192.0.2.1', port: 0 },
        { kind: 'udp', socket: 0, host: 'not an address', port: 9 },
        { kind: 'udp', socket: 0, host: '2001:db8::1', port: 9 },
        { kind: 'udp', socket: 1, host: '192.0.2.1', port: 9 },
        { kind: 'udp', socket: 1, host: '2001:db8::1', port: 9 },
        { kind: 'udp', socket: 0, host: '255.255.255.255', port: 9 },
        { kind: 'udp', socket: 0, host: '127.0.0.1', port: 1 },
        { kind: 'udp', socket: 77, host: '127.0.0.1', port: 9 },
      ]
      for (const to of hopeless) alice.transport.send(to, data)
      alice.transport.send({ kind: 'udp', socket: 0, host: '127.0.0.1', port: 9 }, large())
      // Late errors, where the system reports one, would end the process within this time.
      await sleep(5 * RESEND_MS)
      alice.transport.close()
    })

    test('after close it reports nothing, sends nothing and can be closed again', async () => {
      const [alice, bob] = await pair(make)
      const to = addressOf(bob, alice)
      await deliver(alice, bob, to, Uint8Array.of(0xc0))
      bob.transport.close()
      bob.heard.length = 0
      const reports = bob.reports.length
      for (let n = 0; n < 5; n++) {
        alice.transport.send(to, Uint8Array.of(0xc1))
        bob.transport.send(addressOf(alice, bob), Uint8Array.of(0xc2))
        await sleep(RESEND_MS)
      }
      bob.transport.close()
      alice.transport.close()
      assert.equal(bob.heard.length, 0)
      assert.equal(bob.reports.length, reports)
      assert.ok(alice.heard.every((datagram) => datagram.data[0] !== 0xc2))
    })
  })
  scratchSuite(label, make)
}

function scratchSuite(label: string, make: () => MaybePromise<Transport>): void {
  describe(`scratch sockets: ${label}`, () => {
    test('one hears and is heard under its own number and port', () =>
      withPair(make, async (alice, bob) => {
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
      }))

    test('what is sent straight after bind arrives', () =>
      withPair(make, async (alice, bob) => {
        let socket = SOCKET_SCRATCH
        // A datagram may be lost; that those of every socket are is no chance.
        await until(() => {
          alice.transport.bind(socket)
          alice.transport.send({ ...mainSocketOf(bob), socket }, Uint8Array.of(0xc5))
          socket++
          return bob.heard.length > 0
        }, 'a datagram sent at once')
        assert.deepEqual(bob.heard[0]?.data, Uint8Array.of(0xc5))
      }))

    test('after unbind it reports nothing, sends nothing, and its number is harmless', () =>
      withPair(make, async (alice, bob) => {
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
      }))

    test(`${SCRATCH_SOCKETS} at once have ${SCRATCH_SOCKETS} ports, and close with the transport`, () =>
      withPair(make, async (alice, bob) => {
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
      }))
  })
}

interface Heard {
  readonly from: Endpoint
  readonly data: Uint8Array
}

interface Station {
  readonly transport: Transport
  readonly heard: Heard[]
  /** Of the sockets that are up. */
  readonly addresses: Map<number, readonly LocalAddress[]>
  readonly reports: string[]
}

async function listen(make: () => MaybePromise<Transport>): Promise<Station> {
  const transport = await make()
  const station: Station = { transport, heard: [], addresses: new Map(), reports: [] }
  transport.open({
    datagram: (from, data) => station.heard.push({ from, data: data.slice() }),
    socket: (socket, state, addresses) => {
      station.reports.push(`${socket} ${state}`)
      if (state === 'up') station.addresses.set(socket, addresses)
      else station.addresses.delete(socket)
    },
    portMapping: () => {},
  })
  await until(() => [...station.addresses.values()].flat().length > 0, 'a socket with an address')
  return station
}

async function pair(make: () => MaybePromise<Transport>): Promise<[Station, Station]> {
  return [await listen(make), await listen(make)]
}

async function withPair(
  make: () => MaybePromise<Transport>,
  run: (alice: Station, bob: Station) => Promise<void>,
): Promise<void> {
  const [alice, bob] = await pair(make)
  try {
    await run(alice, bob)
  } finally {
    alice.transport.close()
    bob.transport.close()
  }
}

/** Where a station's main IPv4 socket is reached. */
function mainSocketOf(station: Station): Endpoint {
  const address = station.addresses.get(SOCKET_IPV4)?.[0]
  assert.ok(address !== undefined, 'it has IPv4')
  return { kind: 'udp', socket: SOCKET_IPV4, host: address.host, port: address.port }
}

/** Where `from` reaches `station`: an address of a socket that both have. */
function addressOf(station: Station, from: Station): Endpoint {
  for (const [socket, addresses] of station.addresses) {
    const address = addresses[0]
    if (address !== undefined && from.addresses.has(socket)) {
      return { kind: 'udp', socket, host: address.host, port: address.port }
    }
  }
  return assert.fail('the two have no kind of socket in common')
}

/** Sends until it arrives: datagrams may be lost. */
async function deliver(from: Station, at: Station, to: Endpoint, data: Uint8Array): Promise<Heard> {
  at.heard.length = 0
  const arrived = () => at.heard.find((datagram) => sameBytes(datagram.data, data))
  await until(() => {
    if (arrived() === undefined) from.transport.send(to, data.slice())
    return arrived() !== undefined
  }, `the datagram of ${data.length} bytes`)
  return arrived() ?? assert.fail('it was there')
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index])
}

async function until(isDone: () => boolean, what: string): Promise<void> {
  const giveUpAt = performance.now() + PATIENCE_MS
  while (!isDone()) {
    assert.ok(performance.now() < giveUpAt, `${what} did not come within ${PATIENCE_MS} ms`)
    await sleep(RESEND_MS)
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** More than any UDP datagram carries: the system refuses it (EMSGSIZE). */
function large(): Uint8Array {
  return new Uint8Array(70_000)
}

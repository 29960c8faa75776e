import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Endpoint } from '../core/io.ts'
import type { MaybePromise, Transport } from '../driver/ports.ts'
import { scratchSuite } from './scratch-suite.ts'
import { addressOf, deliver, listen, pair, RESEND_MS, sleep } from './station.ts'

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

/** More than any UDP datagram carries: the system refuses it (EMSGSIZE). */
function large(): Uint8Array {
  return new Uint8Array(70_000)
}

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { PeerId } from '../core/io.ts'
import { formatTicket, parsePeerAddress, parseTicket, TICKET_ADDRESSES_MAX } from './ticket.ts'

const PEER = 'ab'.repeat(32) as PeerId

test('a ticket reads back as what was written', () => {
  const address = fc.record(
    {
      host: fc.oneof(
        fc.ipV4(),
        fc.ipV6().map((v6) => new URL(`http://[${v6}]`).hostname.slice(1, -1)),
        fc.domain(),
      ),
      port: fc.integer({ min: 1, max: 65_535 }),
    },
    { noNullPrototype: true },
  )
  const addresses = fc.array(address, { minLength: 1, maxLength: TICKET_ADDRESSES_MAX })
  fc.assert(
    fc.property(addresses, (list) => {
      const written = formatTicket(PEER, list)
      assert.deepEqual(parseTicket(written, 'ticket'), { peer: PEER, addresses: list })
    }),
    { seed: 7 },
  )
})

test('an address is a host or an IPv6 literal in brackets, with a port', () => {
  const good: [string, string, number][] = [
    ['10.0.0.1:5', '10.0.0.1', 5],
    [' 10.0.0.1:5\n', '10.0.0.1', 5],
    ['[::1]:65535', '::1', 65_535],
    ['[2001:DB8:0:0::1]:9', '2001:db8::1', 9],
    ['Peer.Example.org:9777', 'peer.example.org', 9_777],
    ['localhost:1', 'localhost', 1],
    ['my_host:1', 'my_host', 1],
  ]
  for (const [text, host, port] of good)
    assert.deepEqual(parsePeerAddress(text, 'peer'), {
      peer: undefined,
      addresses: [{ host, port }],
    })
})

test('a bad address or ticket says what was expected and what came', () => {
  const bad = [
    '',
    'host',
    '10.0.0.1',
    '10.0.0.1:0',
    '10.0.0.1:65536',
    '10.0.0.256:1',
    '10.0.0.01:1',
    '1.2.3:1',
    '::1:5',
    '[::1]',
    '[::g]:1',
    '[::1%eth0]:1',
    '-a.org:1',
    'a..org:1',
    'a b:1',
    'http://a:1',
    `latica://${PEER}`,
    `latica://${PEER}@`,
    `latica://${PEER}@a:1,`,
    `latica://${PEER}@a:1@b:2`,
    `latica://${PEER.slice(2)}@a:1`,
    `latica://${'x'.repeat(64)}@a:1`,
    `latica://${PEER}@${Array.from({ length: TICKET_ADDRESSES_MAX + 1 }, () => 'a:1').join(',')}`,
    undefined,
    5,
    { host: 'a', port: 1 },
  ]
  for (const text of bad)
    assert.throws(
      () => parsePeerAddress(text, 'options.peers[0]'),
      (error: TypeError & { code?: string }) =>
        error instanceof TypeError &&
        error.code === 'EBADADDRESS' &&
        /^options\.peers\[0\]: expected .*host:port.*, got /.test(error.message),
      String(text),
    )
})

test('no text throws anything but EBADADDRESS, or takes long', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 400 }), (text) => {
      for (const input of [text, `latica://${PEER}@${text}`, `${'a.'.repeat(200)}${text}:1`]) {
        try {
          parsePeerAddress(input, 'peer')
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'EBADADDRESS')
        }
      }
    }),
    { seed: 7, numRuns: 500 },
  )
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MALFORMED } from '../errors.ts'
import {
  addressSize,
  canonicalHost,
  classifyHost,
  decodeAddress,
  encodeAddress,
  formatHost,
  isDialable,
  isPrivate,
  parseHost,
} from './address.ts'
import { toHex } from './bytes.ts'

/** Text and its canonical form; undefined where the text is no address. */
const TEXTS: readonly (readonly [string, string | undefined])[] = [
  ['192.0.2.1', '192.0.2.1'],
  ['0.0.0.0', '0.0.0.0'],
  ['192.0.2.01', undefined],
  ['192.0.2.256', undefined],
  ['192.0.2', undefined],
  ['192.0.2.1.', undefined],
  [' 192.0.2.1', undefined],
  ['::', '::'],
  ['::1', '::1'],
  ['1::', '1::'],
  ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
  ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
  ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
  ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
  ['0001:0002:0003:0004:0005:0006:0007:0008', '1:2:3:4:5:6:7:8'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['::ffff:c000:201', '192.0.2.1'],
  ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
  ['1:2:3:4:5:6:7', undefined],
  ['1:2:3:4:5:6:7:8:9', undefined],
  ['1:2:3:4:5:6:7::8', undefined],
  ['1::2::3', undefined],
  [':::', undefined],
  [':1', undefined],
  ['1:', undefined],
  ['fe80::1%eth0', undefined],
  ['1.2.3.4::', undefined],
  ['::1.2.3', undefined],
  ['12345::', undefined],
  ['', undefined],
  ['localhost', undefined],
]

test('address text has one canonical form', () => {
  for (const [text, canonical] of TEXTS) assert.equal(canonicalHost(text), canonical, text)
})

test('any address survives text and bytes', () => {
  const host = fc.oneof(
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
    fc
      .array(fc.constantFrom(0, 0, 0, 1, 0x20, 0xff), { minLength: 16, maxLength: 16 })
      .map((bytes) => Uint8Array.from(bytes)),
  )
  fc.assert(
    fc.property(host, fc.nat(0xffff), (bytes, port) => {
      const address = { host: formatHost(bytes), port }
      const parsed = parseHost(address.host)
      assert.ok(parsed, 'there is something to check')
      assert.equal(formatHost(parsed), address.host)
      const encoded = encodeAddress(address)
      assert.equal(encoded.length, addressSize(address))
      assert.deepEqual(decodeAddress(encoded), address)
    }),
    { seed: 1, numRuns: 500 },
  )
})

test('an address has the layout of the specification', () => {
  assert.equal(toHex(encodeAddress({ host: '203.0.113.9', port: 4433 })), '04cb0071091151')
  assert.equal(
    toHex(encodeAddress({ host: '2001:db8::1', port: 443 })),
    '0620010db800000000000000000000000101bb',
  )
})

test('bytes that are no address are malformed', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 24 }), (bytes) => {
      const length = bytes[0] === 4 ? 7 : bytes[0] === 6 ? 19 : -1
      assert.equal(decodeAddress(bytes) === MALFORMED, bytes.length !== length)
    }),
    { seed: 2, numRuns: 500 },
  )
  assert.equal(decodeAddress(new Uint8Array(0)), MALFORMED)
})

test('hosts are told apart by their range', () => {
  const classes: Record<string, readonly string[]> = {
    private: ['10.1.2.3', '172.16.0.1', '172.31.9.9', '192.168.1.1', 'fd00::1', 'fec0::1'],
    shared: ['100.64.0.1', '100.127.255.254'],
    loopback: ['127.0.0.1', '::1', '::ffff:127.0.0.1'],
    'link-local': ['169.254.1.1', 'fe80::1', 'febf::1'],
    multicast: ['224.0.0.1', '239.1.2.3', 'ff02::1'],
    unspecified: ['0.0.0.0', '::'],
    reserved: ['0.1.2.3', '240.0.0.1', '255.255.255.255', '::2', 'not an address'],
    global: ['8.8.8.8', '100.63.0.1', '100.128.0.1', '172.32.0.1', '2001:db8::1', '64:ff9b::1'],
  }
  for (const [name, hosts] of Object.entries(classes))
    for (const host of hosts) {
      assert.equal(classifyHost(host), name, host)
      assert.equal(isPrivate(host), name === 'private', host)
    }
})

test('only unicast addresses with a port are dialable', () => {
  for (const host of ['8.8.8.8', '10.0.0.1', '100.64.0.1', '127.0.0.1', '169.254.1.1', 'fd00::1'])
    assert.ok(isDialable({ host, port: 1 }), host)
  for (const host of ['224.0.0.1', '0.0.0.0', '255.255.255.255', 'ff02::1', '::', 'fe80::1', 'x'])
    assert.ok(!isDialable({ host, port: 1 }), host)
  for (const port of [0, -1, 65536, 1.5]) assert.equal(isDialable({ host: '8.8.8.8', port }), false)
})

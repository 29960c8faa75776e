import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SOCKET_IPV4, SOCKET_IPV6 } from '../io.ts'
import { Candidates } from './candidates.ts'
import { UNKNOWN_NAT } from './vector.ts'

const at = (host: string, port = 40_000) => ({ host, port })
const LAN = at('192.168.1.10')
const PUBLIC = at('198.18.0.1', 5_000)

test('a host that only a mapping of ours shows is told too, and never crowded out', () => {
  const nat = { ...UNKNOWN_NAT, external: [PUBLIC] }
  assert.deepEqual(Candidates.told([LAN], nat), [LAN, PUBLIC], 'one of each')
  assert.deepEqual(Candidates.told([PUBLIC, LAN], nat), [PUBLIC, LAN], 'known already')
  const many = Array.from({ length: 12 }, (_, i) => at(`192.168.1.${i}`))
  const told = Candidates.told(many, nat)
  assert.equal(told.length, 8, 'no more than fit into a message')
  assert.deepEqual(told.at(-1), PUBLIC, 'the external one is among them')
})

test('loopback addresses are only tried by whoever is on the same machine', () => {
  const told = [at('127.0.0.1'), LAN, PUBLIC]
  assert.deepEqual(Candidates.usable(told, [LAN]), [LAN, PUBLIC], 'elsewhere')
  assert.deepEqual(Candidates.usable(told, [at('127.0.0.1')]), told, 'on the same machine')
})

test('what cannot be sent to is left out, and so is what is too much', () => {
  const useless = [at('0.0.0.0'), at('224.0.0.1'), at('255.255.255.255'), at('198.18.0.1', 0)]
  assert.deepEqual(Candidates.usable(useless, []), [], 'useless ones')
  const many = Array.from({ length: 40 }, (_, i) => at('198.18.0.1', 1_000 + i))
  assert.equal(Candidates.usable(many, []).length, 8, 'eight at most')
})

test('IPv6 addresses are tried from the IPv6 socket, by whoever has one', () => {
  assert.equal(Candidates.endpoint(at('2001:db8::1'), false), undefined, 'without IPv6')
  assert.equal(Candidates.endpoint(at('2001:db8::1'), true)?.socket, SOCKET_IPV6, 'with IPv6')
  assert.equal(Candidates.endpoint(PUBLIC, false)?.socket, SOCKET_IPV4, 'IPv4')
})

test('only public IPv4 hosts may be sprayed', () => {
  for (const host of ['192.168.1.1', '10.0.0.1', '100.64.0.1', '127.0.0.1', '2001:db8::1']) {
    assert.equal(Candidates.isPublicIpv4(at(host)), false, host)
  }
  assert.equal(Candidates.isPublicIpv4(PUBLIC), true, PUBLIC.host)
})

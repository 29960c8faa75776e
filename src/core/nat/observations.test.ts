import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LocalAddress, PeerId } from '../io.ts'
import { Observations } from './observations.ts'

test('one liar among three reporters does not move our address', () => {
  const seen = new Observations()
  seen.report(id(1), host(1), address(1))
  assert.deepEqual(seen.addresses(), [address(1)], 'with nobody else to ask, one is believed')
  seen.report(id(2), host(2), address(1))
  seen.report(id(3), host(3), address(66))
  assert.deepEqual(seen.addresses(), [address(1)])
  for (let i = 0; i < 1_000; i++) seen.report(id(i), host(i), address(i))
  assert.ok(seen.addresses().length <= 4)
  assert.ok(seen.outsideReports().length <= 128)
})

test('a hundred reporters at one host are one witness against two elsewhere', () => {
  const seen = new Observations()
  for (let i = 10; i < 50; i++) seen.report(id(i), host(9), address(66))
  seen.report(id(1), host(1), address(1))
  seen.report(id(2), host(2), address(1))
  assert.deepEqual(seen.addresses(), [address(1)])
})

test('a fifth of the reporters that agree on a lie move nothing, three that see us elsewhere do', () => {
  const seen = new Observations()
  const hosts = () => seen.addresses().map((each) => each.host)
  for (let i = 0; i < 8; i++) seen.report(id(i), host(i), address(1))
  for (let i = 8; i < 10; i++) seen.report(id(i), host(i), address(66))
  assert.deepEqual(seen.addresses(), [address(1)])
  assert.deepEqual(seen.hosts(), [address(1)])
  for (let i = 0; i < 3; i++) seen.report(id(i), host(i), address(2))
  assert.equal(hosts().includes(address(2).host), true)
})

test('at one host, the reporters themselves are counted', () => {
  const seen = new Observations()
  seen.report(id(1), '127.0.0.1', { host: '127.0.0.1', port: 5 })
  seen.report(id(2), '127.0.0.1', { host: '127.0.0.1', port: 5 })
  seen.report(id(3), '127.0.0.1', { host: '127.0.0.1', port: 66 })
  assert.deepEqual(seen.addresses(), [{ host: '127.0.0.1', port: 5 }])
})

test('what our own network sees counts only while nobody outside says anything', () => {
  const seen = new Observations()
  const inside = { host: '192.168.1.10', port: 7 }
  seen.report(id(1), '192.168.1.11', inside)
  seen.report(id(2), undefined, inside)
  assert.deepEqual(seen.addresses(), [inside])
  assert.deepEqual(seen.hosts(), [], 'which says nothing about the NAT')
  assert.deepEqual(seen.outsideReports(), [])
  seen.report(id(3), host(3), address(1))
  assert.deepEqual(seen.addresses(), [address(1)])
  seen.forget(id(3))
  assert.deepEqual(seen.addresses(), [inside])
})

test('each family has its own quorum', () => {
  const seen = new Observations()
  const six = { host: '2001:db8::1', port: 7 }
  seen.report(id(1), host(1), address(1))
  seen.report(id(2), host(2), address(1))
  seen.report(id(1), '2001:db8::9', six)
  assert.deepEqual(seen.addresses(), [address(1), six])
  assert.deepEqual(seen.hosts(), [address(1)], 'a NAT vector is about IPv4')
})

test('ports that differ from reporter to reporter leave the host known', () => {
  const seen = new Observations()
  const at = (port: number) => ({ host: '198.18.0.1', port })
  seen.report(id(1), host(1), at(1_001))
  seen.report(id(2), host(2), at(1_002))
  assert.deepEqual(seen.addresses(), [])
  assert.deepEqual(seen.hosts(), [at(1_002)])
  seen.report(id(3), host(3), { host: '203.0.113.66', port: 1 })
  assert.deepEqual(seen.hosts(), [at(1_002)], 'a liar adds no host')
})

test('a report that comes again counts once, and another one of its reporter replaces it', () => {
  const seen = new Observations()
  for (let i = 0; i < 5; i++) seen.report(id(1), host(1), address(66))
  seen.report(id(2), host(2), address(1))
  assert.deepEqual(seen.addresses(), [], 'one against one')
  seen.report(id(1), host(1), address(1))
  assert.deepEqual(seen.addresses(), [address(1)])
  seen.clear()
  assert.deepEqual(seen.addresses(), [])
})

function id(n: number): PeerId {
  return n.toString(16).padStart(64, '0') as PeerId
}

function host(n: number): string {
  return `198.19.${n >> 8}.${n & 255}`
}

function address(n: number): LocalAddress {
  return { host: `198.18.${n >> 8}.${n & 255}`, port: 1_000 }
}

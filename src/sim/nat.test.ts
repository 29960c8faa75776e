import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LocalAddress } from '../core/io.ts'
import { Internet, type NatOptions } from './internet.ts'
import { type Allocation, DEFAULT_NAT, type Dependence, type NatProfile, NatTable } from './nat.ts'
import { SeededRandom } from './random.ts'
import { Toy } from './toy.fixture.ts'

const DEPENDENCES: readonly Dependence[] = [
  'endpoint-independent',
  'address-dependent',
  'address-and-port-dependent',
]
const ALLOCATIONS: readonly Allocation[] = ['preserving', 'sequential', 'random', 'block']

test('every mapping × filtering × allocation is observed from outside to be what it was declared', () => {
  for (const mapping of DEPENDENCES) {
    for (const filtering of DEPENDENCES) {
      for (const allocation of ALLOCATIONS) {
        const nat = { mapping, filtering, allocation, blockPorts: 256 }
        assert.deepEqual(observe(nat), { mapping, filtering, allocation })
      }
    }
  }
})

test('a mapping lives as long as it is used from inside, and no longer', () => {
  const nat = new Bench({ lifetimeMs: 1000 })
  const external = nat.out(INSIDE, REMOTE, 0)
  assert.deepEqual(nat.table.inbound(external, REMOTE, 1000), INSIDE)
  nat.out(INSIDE, REMOTE, 900)
  assert.deepEqual(nat.table.inbound(external, REMOTE, 1900), INSIDE)
  assert.equal(nat.table.inbound(external, REMOTE, 1901), 'no-mapping')
})

test('traffic from outside prolongs a mapping only where the profile says so', () => {
  for (const refreshesInbound of [false, true]) {
    const nat = new Bench({ lifetimeMs: 1000, refreshesInbound })
    const external = nat.out(INSIDE, REMOTE, 0)
    nat.table.inbound(external, REMOTE, 900)
    const later = nat.table.inbound(external, REMOTE, 1500)
    assert.deepEqual(later, refreshesInbound ? INSIDE : 'no-mapping')
  }
})

test('an absolute lifetime ends a busy mapping, and the next one is another', () => {
  const nat = new Bench({ allocation: 'random', absoluteLifetimeMs: 500 })
  const first = nat.out(INSIDE, REMOTE, 0)
  assert.deepEqual(nat.out(INSIDE, REMOTE, 500), first)
  assert.notDeepEqual(nat.out(INSIDE, REMOTE, 501), first)
  assert.equal(nat.table.inbound(first, REMOTE, 502), 'no-mapping')
})

test('each remote keeps its own leave to answer: one that was left alone is filtered again', () => {
  const nat = new Bench({ lifetimeMs: 1000 })
  const other = { host: '20.0.0.9', port: 9 }
  const external = nat.out(INSIDE, REMOTE, 0)
  nat.out(INSIDE, other, 800)
  assert.equal(nat.table.inbound(external, REMOTE, 1200), 'filtered')
  assert.deepEqual(nat.table.inbound(external, other, 1200), INSIDE)
})

test('paired pooling keeps one external address for a host, arbitrary pooling does not', () => {
  for (const pooling of ['paired', 'arbitrary'] as const) {
    const nat = new Bench({ pooling, mapping: 'address-and-port-dependent' }, 4)
    const hosts = new Set<string>()
    for (let port = 1; port <= 40; port++) hosts.add(nat.out(INSIDE, { ...REMOTE, port }, 0).host)
    assert.equal(hosts.size, pooling === 'paired' ? 1 : 4)
  }
})

test('two inside hosts with the same port get two external ports', () => {
  const nat = new Bench({})
  const first = nat.out(INSIDE, REMOTE, 0)
  const second = nat.out({ host: '192.168.1.11', port: INSIDE.port }, REMOTE, 0)
  assert.equal(first.port, INSIDE.port)
  assert.equal(second.port, INSIDE.port + 1)
})

test('ports run out, and come back when mappings have died', () => {
  const nat = new Bench({ allocation: 'block', blockPorts: 64, lifetimeMs: 1000 })
  for (let port = 1; port <= 64; port++) nat.out({ ...INSIDE, port }, REMOTE, 0)
  assert.equal(nat.table.outbound({ ...INSIDE, port: 65 }, REMOTE, 1), undefined)
  nat.out({ ...INSIDE, port: 65 }, REMOTE, 1001)
})

test('the tables forget the dead: a hundred thousand mappings in sequence do not stay', () => {
  const nat = new Bench({ mapping: 'address-and-port-dependent', lifetimeMs: 10 })
  let most = 0
  for (let i = 0; i < 100_000; i++) {
    nat.out(INSIDE, { host: '20.0.0.1', port: i % 60_000 }, i)
    most = Math.max(most, nat.table.size)
  }
  assert.ok(most <= 1025, `${most} mappings`)
})

test('a NAT that blocks UDP lets nothing out or in', () => {
  const nat = new Bench({ blocksUdp: true, filtering: 'endpoint-independent' })
  assert.equal(nat.table.outbound(INSIDE, REMOTE, 0), undefined)
})

test('a reboot forgets every mapping', () => {
  const nat = new Bench({ allocation: 'random' })
  const external = nat.out(INSIDE, REMOTE, 0)
  nat.table.reset()
  assert.equal(nat.table.inbound(external, REMOTE, 1), 'no-mapping')
})

test('impossible profiles are refused', () => {
  assert.throws(() => new Bench({ blockPorts: 0 }), { code: 'EOPTION', message: /blockPorts/ })
  assert.throws(() => new Bench({ lifetimeMs: 0 }), { code: 'EOPTION', message: /lifetimeMs/ })
})

test('hosts behind one NAT reach each other by external address only if it hairpins', () => {
  for (const hairpin of [true, false]) {
    const internet = new Internet({ seed: 1 })
    const server = new Toy(internet, {})
    const nat = internet.addNat({ hairpin, filtering: 'endpoint-independent' })
    const [a, b] = [new Toy(internet, { nat }), new Toy(internet, { nat })]
    b.dial(server.host.address)
    internet.run(100)
    const external = server.core.heard[0]?.from
    assert.ok(external !== undefined)
    a.dial(external)
    internet.run(100)
    assert.equal(b.heard, hairpin ? 1 : 0)
    // RFC 4787 REQ-9a: the receiver sees the external address.
    if (hairpin) assert.equal(b.core.heard[0]?.from.host, nat.addresses[0])
    assert.equal(internet.network.traffic['no-hairpin'], hairpin ? 0 : 1)
  }
})

test('behind two NATs in a row a datagram is translated twice and the answer finds its way back', () => {
  const internet = new Internet({ seed: 1 })
  const server = new Toy(internet, {}, { echoes: true })
  const carrier = internet.addNat({ inside: 'carrier', allocation: 'random' })
  const inner = new Toy(internet, { nat: { behind: carrier } })
  inner.dial(server.host.address)
  internet.run(200)
  assert.equal(server.core.heard[0]?.from.host, carrier.addresses[0])
  assert.match(inner.host.place.nat?.addresses[0] ?? '', /^100\.64\./)
  assert.equal(inner.heard, 1)
})

const INSIDE: LocalAddress = { host: '192.168.1.10', port: 5000 }
const REMOTE: LocalAddress = { host: '20.0.0.1', port: 3478 }

class Bench {
  readonly table: NatTable

  constructor(profile: Partial<NatProfile>, addresses = 1) {
    const external = Array.from({ length: addresses }, (_, i) => `30.0.0.${i + 1}`)
    const whole = { ...DEFAULT_NAT, ...profile, externalAddresses: addresses }
    this.table = new NatTable(whole, external, new SeededRandom(1))
  }

  out(inside: LocalAddress, remote: LocalAddress, nowMs: number): LocalAddress {
    const external = this.table.outbound(inside, remote, nowMs)
    assert.ok(external !== undefined)
    return external
  }
}

/**
 * Finds out what a NAT does as RFC 5780 does: hosts behind it write to two public addresses with two
 * ports each, and look at what arrives there and what comes back.
 */
function observe(nat: NatOptions): {
  mapping: Dependence
  filtering: Dependence
  allocation: Allocation
} {
  const internet = new Internet({ seed: 11 })
  const at = (address: string, port: number) => new Toy(internet, { address, port })
  const [r11, r21] = [at('20.1.0.1', 1), at('20.2.0.1', 1)]
  const box = internet.addNat(nat)
  const client = new Toy(internet, { nat: box, port: 40_000 })

  client.dial(r11.host.address)
  internet.run(100)
  const external = r11.core.heard[0]?.from
  assert.ok(external !== undefined)
  const reaches = (from: Toy): boolean => {
    const before = client.heard
    from.dial(external)
    internet.run(100)
    return client.heard > before
  }
  assert.equal(reaches(r11), true, 'the one that was written to may answer')
  // A second port at the first address: the host moves there, for no one address holds two hosts.
  r11.host.crash()
  internet.move(r11.host, { address: '20.9.0.1' })
  const r12 = at('20.1.0.1', 2)
  const filtering: Dependence = reaches(r21)
    ? 'endpoint-independent'
    : reaches(r12)
      ? 'address-dependent'
      : 'address-and-port-dependent'

  client.dial(r12.host.address, r21.host.address)
  internet.run(100)
  const p11 = external.port
  const p12 = r12.core.heard.at(-1)?.from.port
  const p21 = r21.core.heard.at(-1)?.from.port
  const mapping: Dependence =
    p21 === p11
      ? 'endpoint-independent'
      : p12 === p11
        ? 'address-dependent'
        : 'address-and-port-dependent'
  return { mapping, filtering, allocation: observeAllocation(nat) }
}

function observeAllocation(nat: NatOptions): Allocation {
  const internet = new Internet({ seed: 12 })
  const server = new Toy(internet, {})
  const box = internet.addNat(nat)
  const table = box.table
  const ports = Array.from({ length: 40 }, (_, i) => {
    const inside = { host: '192.168.1.10', port: 30_000 + 7 * i }
    return table.outbound(inside, server.host.address, 0)?.port ?? 0
  })
  if (ports.every((port, i) => port === 30_000 + 7 * i)) return 'preserving'
  if (ports.every((port, i) => i === 0 || port === (ports[i - 1] ?? 0) + 1)) return 'sequential'
  return Math.max(...ports) - Math.min(...ports) < 256 ? 'block' : 'random'
}

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
    // RFC 4787 REQ-9a: the receiver sees the external address, and can answer to it.
    if (hairpin) {
      assert.deepEqual(b.lastFrom, { host: nat.addresses[0], port: a.host.port })
      b.dial(b.lastFrom)
      internet.run(100)
      assert.equal(a.heard, 1)
      assert.deepEqual(a.lastFrom, { host: external.host, port: external.port })
    }
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

test('a forward outlives every lifetime and filter, and gives way to removal and reset', () => {
  const nat = new Bench({ lifetimeMs: 1000, absoluteLifetimeMs: 5000 })
  const external = nat.table.forward(INSIDE, 4000, 0)
  assert.deepEqual(external, { host: '30.0.0.1', port: 4000 })
  assert.deepEqual(nat.out(INSIDE, REMOTE, 99_999), external)
  assert.deepEqual(nat.table.inbound(external, { ...REMOTE, port: 9 }, 999_999), INSIDE)
  nat.table.removeForward(INSIDE)
  nat.table.removeForward(INSIDE)
  assert.equal(nat.table.inbound(external, REMOTE, 999_999), 'no-mapping')
  assert.equal(nat.out(INSIDE, REMOTE, 999_999).port, INSIDE.port)
  const again = nat.table.forward(INSIDE, 4000, 999_999)
  nat.table.reset()
  assert.equal(nat.table.inbound(again, REMOTE, 999_999), 'no-mapping')
})

test('a forward takes no port of another inside socket, and its own port is given to nobody', () => {
  const nat = new Bench({ lifetimeMs: 1000 })
  const neighbour = { host: '192.168.1.11', port: INSIDE.port }
  nat.out(INSIDE, REMOTE, 0)
  assert.throws(
    () => nat.table.forward(neighbour, INSIDE.port, 0),
    /externalPort: expected .* free/,
  )
  for (const port of [0, 65_536, 1.5]) {
    assert.throws(() => nat.table.forward(INSIDE, port, 0), { code: 'EOPTION' })
  }
  const external = nat.table.forward(INSIDE, INSIDE.port, 0)
  assert.equal(nat.out(neighbour, REMOTE, 0).port, INSIDE.port + 1)
  const moved = nat.table.forward(INSIDE, 4000, 0)
  assert.equal(nat.table.inbound(external, REMOTE, 0), 'no-mapping', 'one forward a socket')
  assert.deepEqual(nat.table.inbound(moved, REMOTE, 0), INSIDE)
  const expired = nat.out({ ...neighbour, port: 4001 }, REMOTE, 0)
  assert.deepEqual(nat.table.forward(INSIDE, 4001, 1001), expired, 'of a mapping that has ended')
})

test('other customers take ports of a sequential NAT at the rate the profile says, about Poisson', () => {
  const noisePerS = 20
  const nat = new Bench({ allocation: 'sequential', noisePerS })
  const [stepMs, steps] = [100, 5000]
  const portAt = (n: number) => nat.out({ ...INSIDE, port: 1 + n }, REMOTE, n * stepMs).port
  let last = portAt(0)
  const taken = Array.from({ length: steps }, (_, i) => {
    const port = portAt(i + 1)
    const skipped = (port - last - 1 + 64_512) % 64_512
    last = port
    return skipped
  })
  const mean = taken.reduce((sum, n) => sum + n, 0) / steps
  const variance = taken.reduce((sum, n) => sum + (n - mean) ** 2, 0) / steps
  const expected = (noisePerS * stepMs) / 1000
  assert.ok(Math.abs(mean - expected) < 0.1, `mean ${mean}`)
  assert.ok(variance > 0.75 * expected && variance < 1.1 * expected, `variance ${variance}`)
  assert.throws(() => new Bench({ noisePerS: -1 }), /noisePerS: expected 0 or more/)
})

test('long silence before a noisy sequential NAT costs no time', () => {
  const nat = new Bench({ allocation: 'sequential', noisePerS: 1000, lifetimeMs: 1e12 })
  const first = nat.out(INSIDE, REMOTE, 0).port
  const next = nat.out({ ...INSIDE, port: 1 }, REMOTE, 3_600_000).port
  assert.equal(next, 1024 + ((first - 1024 + 1 + 3_600_000) % 64_512))
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

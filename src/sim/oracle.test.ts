import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Internet, type NatOptions } from './internet.ts'
import type { Dependence } from './nat.ts'
import { type DirectWay, directPathPossible, directWay } from './oracle.ts'
import { Toy } from './toy.fixture.ts'

const EIM = 'endpoint-independent'
const ADM = 'address-dependent'
const APDM = 'address-and-port-dependent'

/** The rows and columns of the NAT matrix. */
const KINDS: Readonly<Record<string, NatOptions | undefined>> = {
  open: undefined,
  'eim/eif': { mapping: EIM, filtering: EIM },
  'eim/adf': { mapping: EIM, filtering: ADM },
  'eim/apdf': { mapping: EIM, filtering: APDM },
  'edm seq': { mapping: APDM, filtering: APDM, allocation: 'sequential' },
  'edm block': { mapping: APDM, filtering: APDM, allocation: 'block', blockPorts: 256 },
  'edm random': { mapping: APDM, filtering: APDM, allocation: 'random' },
}

const MATRIX: readonly (readonly (DirectWay | '-')[])[] = [
  ['dial', 'dial', 'dial', 'dial', 'dial', 'dial', 'dial'],
  ['dial', 'dial', 'dial', 'dial', 'dial', 'dial', 'dial'],
  ['dial', 'dial', 'punch', 'punch', 'punch', 'punch', 'punch'],
  ['dial', 'dial', 'punch', 'punch', 'prediction', 'birthday', 'birthday'],
  ['dial', 'dial', 'punch', 'prediction', 'prediction', '-', '-'],
  ['dial', 'dial', 'punch', 'birthday', '-', '-', '-'],
  ['dial', 'dial', 'punch', 'birthday', '-', '-', '-'],
]

test('every pair of the NAT matrix has its verdict, the same from both sides', () => {
  const kinds = Object.entries(KINDS)
  for (const [row, [nameA, natA]] of kinds.entries()) {
    for (const [column, [nameB, natB]] of kinds.entries()) {
      const way = wayBetween(natA, natB)
      assert.equal(way ?? '-', MATRIX[row]?.[column], `${nameA} × ${nameB}`)
    }
  }
})

test('two hosts of one network reach each other whatever their NAT is', () => {
  const internet = new Internet({ seed: 1 })
  const nat = internet.addNat({ ...KINDS['edm random'], blocksUdp: true })
  const [a, b] = [internet.addHost({ nat }), internet.addHost({ nat })]
  assert.equal(directWay(a, b), 'lan')
})

test('two homes behind one carrier need it to hairpin', () => {
  for (const hairpin of [true, false]) {
    const internet = new Internet({ seed: 1 })
    const behind = internet.addNat({ inside: 'carrier', hairpin })
    const [a, b] = [internet.addHost({ nat: { behind } }), internet.addHost({ nat: { behind } })]
    const phone = internet.addHost({ nat: behind })
    assert.equal(directPathPossible(a, b), hairpin)
    assert.equal(directWay(a, phone), 'dial')
  }
})

test('a chain of NATs is as strict as its strictest, and as guessable as what comes out of it', () => {
  const internet = new Internet({ seed: 1 })
  const behind = internet.addNat({ inside: 'carrier', ...KINDS['edm random'] })
  const inCarrier = internet.addHost({ nat: { behind } })
  const sequential = internet.addNat({ inside: 'carrier', allocation: 'sequential' })
  const renumbered = internet.addHost({ nat: { ...KINDS['edm random'], behind: sequential } })
  const preserving = internet.addNat({ inside: 'carrier' })
  const passedOn = internet.addHost({ nat: { ...KINDS['edm random'], behind: preserving } })
  const plain = internet.addHost({ nat: {} })
  assert.equal(directWay(plain, inCarrier), 'birthday')
  assert.equal(directWay(plain, renumbered), 'prediction')
  assert.equal(directWay(plain, passedOn), 'birthday')
})

test('IPv6 on both sides makes NATs irrelevant, and blocked UDP makes everything else impossible', () => {
  const internet = new Internet({ seed: 1 })
  const nat = { ...KINDS['edm random'] }
  const a = internet.addHost({ nat, ipv6: true })
  const b = internet.addHost({ nat, ipv6: 'firewalled' })
  assert.equal(directWay(a, b), 'ipv6')
  assert.equal(wayBetween(undefined, { blocksUdp: true }), undefined)
  assert.equal(wayBetween({ blocksUdp: true }, {}), undefined)
})

test('several external addresses chosen at random make even counted ports unpredictable', () => {
  const nat = { ...KINDS['edm seq'], externalAddresses: 4, pooling: 'arbitrary' as const }
  assert.equal(wayBetween(nat, KINDS['edm seq']), undefined)
  assert.equal(wayBetween({ ...nat, pooling: 'paired' as const }, KINDS['edm seq']), 'prediction')
})

test('pairs said to be punched or dialled are: each side sends to the address the other was seen at', () => {
  const filters: readonly Dependence[] = [EIM, ADM, APDM]
  for (const a of filters) {
    for (const b of filters) {
      const internet = new Internet({ seed: 2 })
      const server = new Toy(internet)
      const toys = [a, b].map((filtering) => new Toy(internet, { nat: { filtering } }))
      const seen = toys.map((toy) => {
        toy.dial(server.host.address)
        internet.run(100)
        return server.lastFrom
      })
      for (let round = 0; round < 2; round++) {
        for (const [i, toy] of toys.entries()) toy.dial(...seen.slice(1 - i, 2 - i))
        internet.run(100)
      }
      assert.ok(toys.every((toy) => toy.heard > 0))
    }
  }
})

test('between two that depend on the remote, a random port is found out only where filters let it', () => {
  const strict: NatOptions = { mapping: APDM, filtering: APDM, allocation: 'random' }
  const counted = { mapping: APDM, filtering: ADM, allocation: 'sequential' } as const
  // The reply leaves from another port than the one that was written to, and is filtered …
  assert.equal(wayBetween(strict, counted), undefined)
  // … unless one mapping serves all ports of an address, on either side.
  assert.equal(wayBetween(strict, { ...counted, mapping: ADM }), 'reply')
  assert.equal(wayBetween({ ...strict, mapping: ADM }, counted), 'reply')
  assert.equal(wayBetween(strict, { ...counted, allocation: 'random' }), undefined)
  assert.equal(wayBetween({ ...strict, filtering: ADM }, { ...strict, filtering: EIM }), 'reply')
})

test('a random port facing an address filter is found by its own datagram, as the verdict says', () => {
  const random: NatOptions = { mapping: APDM, filtering: ADM, allocation: 'random' }
  const counted: NatOptions = { mapping: APDM, filtering: ADM, allocation: 'sequential' }
  assert.equal(wayBetween(random, counted), 'reply')

  const internet = new Internet({ seed: 3 })
  const server = new Toy(internet)
  const [a, b] = [new Toy(internet, { nat: random }), new Toy(internet, { nat: counted })]
  for (const toy of [a, b]) toy.dial(server.host.address)
  internet.run(100)
  const [seenA, seenB] = server.core.heard.map(({ from }) => from)
  assert.ok(seenA !== undefined && seenB !== undefined)
  // b opens the port after the one the server saw, for whatever comes from a's address.
  b.dial({ host: seenA.host, port: 1 })
  internet.run(100)
  a.dial({ host: seenB.host, port: seenB.port + 1 })
  internet.run(100)
  assert.equal(b.heard, 1)
  b.dial(b.lastFrom)
  internet.run(100)
  assert.equal(a.heard, 1)
})

function wayBetween(a: NatOptions | undefined, b: NatOptions | undefined): DirectWay | undefined {
  const internet = new Internet({ seed: 1 })
  const [hostA, hostB] = [internet.addHost({ nat: a }), internet.addHost({ nat: b })]
  const way = directWay(hostA, hostB)
  assert.equal(directWay(hostB, hostA), way)
  assert.equal(directPathPossible(hostA, hostB), way !== undefined)
  return way
}

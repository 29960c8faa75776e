import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { NatProfile } from '../../sim/nat.ts'
import type { NatVector, PeerId } from '../io.ts'
import { encodeBindingResponse } from '../wire/stun.ts'
import { type Lie, NatWorld, type NatWorldOptions } from './nat-world.fixture.ts'

const DEPENDENCES = [
  'endpoint-independent',
  'address-dependent',
  'address-and-port-dependent',
] as const
const ALLOCATIONS = ['preserving', 'sequential', 'random', 'block'] as const
const EXTERNAL = '198.18.0.1'

type Kind = Pick<NatProfile, 'mapping' | 'filtering' | 'allocation'>

const KINDS: readonly Kind[] = DEPENDENCES.flatMap((mapping) =>
  DEPENDENCES.flatMap((filtering) =>
    ALLOCATIONS.map((allocation) => ({ mapping, filtering, allocation })),
  ),
)

/** What is false in what the vector says; what it leaves unknown is only listed on request. */
function untruths(nat: NatVector, kind: Kind, isUnknownAllowed: boolean): string[] {
  const isFixed = kind.mapping === 'endpoint-independent'
  const truth = { ...kind, mapping: isFixed ? 'endpoint-independent' : 'endpoint-dependent' }
  const axes = ['mapping', 'filtering', 'allocation'] as const
  return axes
    .filter((axis) => nat[axis] !== truth[axis])
    .filter((axis) => !isUnknownAllowed || nat[axis] !== 'unknown')
    .map((axis) => `${axis}: ${nat[axis]}`)
}

function nameOf({ mapping, filtering, allocation }: Kind): string {
  return `${mapping} mapping, ${filtering} filtering, ${allocation}`
}

function surveyed(kind: Kind, untilMs: number, options: Partial<NatWorldOptions> = {}): NatWorld {
  const { profile, ...rest } = options
  const seed = `${nameOf(kind)} ${JSON.stringify(options)}`
  const world = new NatWorld({ seed, reflectors: 4, ...rest, profile: { ...kind, ...profile } })
  world.run(untilMs)
  return world
}

describe('four reflectors, 1.2 s and 24 datagrams tell the truth about', () => {
  for (const kind of KINDS) {
    for (const hairpin of [true, false]) {
      test(`${nameOf(kind)}, ${hairpin ? 'with' : 'without'} hairpin`, () => {
        const world = surveyed(kind, 1_200, { profile: { hairpin } })
        const { nat } = world.survey
        // Three ports or eight do not tell a block from chance: it is not guessed at.
        const isBlock = kind.allocation === 'block'
        assert.deepEqual(untruths(nat, kind, isBlock), [])
        assert.equal(nat.isTranslated, true)
        assert.deepEqual(
          nat.external.map(({ host }) => host),
          [EXTERNAL],
        )
        if (kind.mapping === 'endpoint-independent') {
          assert.equal(nat.hairpin, hairpin, 'hairpin')
          assert.deepEqual(world.survey.addresses, nat.external, 'one address for all')
        } else {
          assert.notEqual(nat.hairpin, !hairpin, 'a filter may hide a hairpin: then it is unknown')
        }
        assert.ok(world.datagrams <= 24, `${world.datagrams} datagrams`)
        assert.ok(world.longestKnockBytes <= 32, `${world.longestKnockBytes} bytes a knock`)
        assert.equal(world.openSockets, 0, 'every socket was closed again')
      })
    }
  }
})

test('equal seeds give equal surveys, to the millisecond', () => {
  for (const kind of KINDS.slice(0, 6)) {
    const [a, b] = [1, 2].map(() => surveyed(kind, 60_000, { loss: 0.1, jitterMs: 30 }))
    assert.deepEqual(a?.changes, b?.changes)
    assert.deepEqual(a?.survey.nat, b?.survey.nat)
    assert.equal(a?.datagrams, b?.datagrams)
  }
})

test('a block of ports is told from chance once sixteen were seen', () => {
  for (const mapping of ['address-dependent', 'address-and-port-dependent'] as const) {
    const kind = { mapping, filtering: mapping, allocation: 'block' } as const
    assert.equal(surveyed(kind, 1_200).survey.nat.allocation, 'unknown')
    assert.equal(surveyed(kind, 60_000).survey.nat.allocation, 'block')
  }
})

describe('one liar among four changes nothing:', () => {
  const lies: readonly Lie[] = [
    'wrong-address',
    'our-other-address',
    'refuses-knocks',
    'knocks-from-main',
  ]
  for (const lie of lies) {
    for (let role = 0; role < 4; role++) {
      test(`${lie}, as number ${role}`, () => {
        for (const kind of KINDS.filter(({ allocation }) => allocation !== 'block')) {
          const options = { liars: { [role]: lie }, profile: { hairpin: true } }
          const soon = surveyed(kind, 1_200, options)
          assert.deepEqual(untruths(soon.survey.nat, kind, true), [], nameOf(kind))
          assert.notEqual(soon.survey.nat.mapping, 'unknown', nameOf(kind))
          assert.notEqual(soon.survey.nat.hairpin, false, nameOf(kind))
          assert.equal(soon.survey.nat.external[0]?.host, EXTERNAL, nameOf(kind))
          const later = surveyed(kind, 90_000, options)
          assert.deepEqual(untruths(later.survey.nat, kind, false), [], nameOf(kind))
        }
      })
    }
  }
})

test('one liar among three does not change the mapping, nor where we are', () => {
  for (let role = 0; role < 3; role++) {
    for (const lie of ['wrong-address', 'our-other-address'] as const) {
      for (const kind of KINDS.filter(({ allocation }) => allocation !== 'block')) {
        const world = surveyed(kind, 90_000, { reflectors: 3, liars: { [role]: lie } })
        assert.deepEqual(untruths(world.survey.nat, kind, true), [], `${nameOf(kind)}, ${role}`)
        assert.equal(world.survey.nat.external[0]?.host, EXTERNAL)
      }
    }
  }
})

for (const loss of [0.05, 0.2]) {
  test(`${100 * loss} % loss and answers out of order bring doubt, never a false word`, () => {
    let unknown = 0
    for (const kind of KINDS.filter(({ allocation }) => allocation !== 'block')) {
      const options = { loss, jitterMs: 60 }
      const soon = surveyed(kind, 2_000, options)
      assert.deepEqual(untruths(soon.survey.nat, kind, true), [], nameOf(kind))
      const later = surveyed(kind, 90_000, options)
      assert.deepEqual(untruths(later.survey.nat, kind, true), [], nameOf(kind))
      assert.notEqual(later.survey.nat.filtering, 'unknown', nameOf(kind))
      if (later.survey.nat.allocation === 'unknown') unknown++
      assert.ok(later.openSockets <= 1, 'the lifetime probe alone has a socket')
    }
    // At 20 % loss a third of the requests are repeated, and the place of a repeated one is uncertain.
    assert.ok(unknown <= (loss > 0.1 ? 6 : 0), `${unknown} allocations unknown after 90 s`)
  })
}

test('a liar and loss together bring doubt, never a false word about the filter', () => {
  for (const kind of KINDS.filter(({ allocation }) => allocation === 'preserving')) {
    for (let seed = 0; seed < 16; seed++) {
      const liars = { [seed % 4]: 'our-other-address' } as const
      const options = { reflectors: 5, loss: 0.1, liars, jitterMs: 1 + seed }
      const { nat } = surveyed(kind, 40_000, options).survey
      assert.deepEqual(untruths(nat, kind, true), [], `${nameOf(kind)}, seed ${seed}`)
    }
  }
})

test('two reflectors are enough in the end, one says where we are and no more', () => {
  for (const kind of KINDS.filter(({ allocation }) => allocation !== 'block')) {
    const two = surveyed(kind, 90_000, { reflectors: 2 })
    assert.deepEqual(untruths(two.survey.nat, kind, false), [], nameOf(kind))
    const one = surveyed(kind, 20_000, { reflectors: 1 })
    assert.equal(one.survey.nat.mapping, 'unknown')
    assert.equal(one.survey.nat.filtering, 'unknown')
    assert.deepEqual(
      one.survey.nat.external.map(({ host }) => host),
      [EXTERNAL],
    )
  }
})

test('reflectors that come one after the other are asked as they come', () => {
  for (const arrivalGapMs of [15, 30, 100, 300, 2_000]) {
    for (const kind of KINDS.filter(({ allocation }) => allocation !== 'block')) {
      const world = surveyed(kind, 3 * arrivalGapMs + 1_500, { arrivalGapMs })
      const { nat } = world.survey
      const message = `${nameOf(kind)}, 1.5 s after the last, ${arrivalGapMs} ms apart`
      assert.deepEqual(untruths(nat, kind, true), [], message)
      assert.notEqual(nat.filtering, 'unknown', message)
      // Where one address is kept nobody needs to know how its port was chosen: no round is for that.
      const isFixed = kind.mapping === 'endpoint-independent'
      assert.ok(isFixed || nat.allocation !== 'unknown', message)
      world.run(40_000)
      assert.ok(world.datagrams < 80, `${world.datagrams} datagrams`)
      assert.equal(world.knocksServed, world.knocksAsked, 'nobody is asked beyond its budget')
    }
  }
})

test('ports that a lossy round did not tell are asked for again at once', () => {
  const kind = {
    mapping: 'address-and-port-dependent',
    filtering: 'address-and-port-dependent',
    allocation: 'sequential',
  } as const
  const missing = { soon: 0, later: 0 }
  for (let seed = 0; seed < 40; seed++) {
    // Of two reflectors five answers come, and four are needed.
    const options = { seed: `lossy ${seed}`, reflectors: 2, loss: 0.1 }
    if (surveyed(kind, 900, options).survey.nat.allocation === 'unknown') missing.soon++
    if (surveyed(kind, 4_000, options).survey.nat.allocation === 'unknown') missing.later++
  }
  assert.ok(missing.soon >= 4, `${missing.soon} of 40 are not known after one round`)
  assert.ok(missing.later <= 1, `${missing.later} of 40 are not known after three`)
})

test('while others are left to ask, a liar or loss costs a round and not half a minute', () => {
  for (const kind of KINDS.filter(({ allocation }) => allocation === 'preserving')) {
    for (let seed = 0; seed < 24; seed++) {
      const liars = { [seed % 4]: seed % 3 === 0 ? 'refuses-knocks' : 'wrong-address' } as const
      const options = { reflectors: 8, arrivalGapMs: seed, loss: 0.05, liars }
      const { nat } = surveyed(kind, 8 * seed + 2_400, options).survey
      const message = `${nameOf(kind)}, seed ${seed}`
      assert.deepEqual(untruths(nat, kind, true), [], message)
      assert.notEqual(nat.filtering, 'unknown', message)
    }
  }
})

test('a firewall that translates nothing is measured as a filter', () => {
  for (const filtering of DEPENDENCES) {
    const kind: Kind = { mapping: 'endpoint-independent', filtering, allocation: 'preserving' }
    const world = surveyed(kind, 1_200, { insideHost: EXTERNAL })
    const { nat } = world.survey
    assert.deepEqual(untruths(nat, kind, false), [])
    assert.equal(nat.isTranslated, false)
    assert.equal(nat.hairpin, undefined)
    assert.ok(world.datagrams <= 20, 'nor does it write to itself')
  }
})

test('a carrier shows in our own address or in that of our router', () => {
  const kind = KINDS[0]
  assert.ok(kind !== undefined)
  assert.equal(surveyed(kind, 1_200).survey.nat.isCarrier, false)
  assert.equal(surveyed(kind, 1_200, { insideHost: '100.64.1.2' }).survey.nat.isCarrier, true)
  for (const [host, isCarrier] of [
    ['100.64.9.9', true],
    ['10.1.1.1', true],
    ['198.18.0.1', false],
  ] as const) {
    const world = surveyed(kind, 1_200)
    world.survey.mapped({ protocol: 'pcp', external: { host, port: 7 } }, world.now)
    assert.equal(world.survey.nat.isCarrier, isCarrier, host)
    assert.equal(world.survey.nat.portMapping?.external.host, host)
  }
})

test('behind another NAT everything is found out anew', () => {
  const kind = { mapping: 'address-dependent', filtering: 'address-dependent' } as const
  const world = surveyed({ ...kind, allocation: 'sequential' }, 10_000)
  assert.equal(world.survey.nat.mapping, 'endpoint-dependent')
  const before = world.datagrams
  world.survey.networkChanged(world.now)
  assert.equal(world.survey.nat.mapping, 'unknown')
  assert.deepEqual(world.survey.addresses, [])
  for (let i = 0; i < 4; i++) world.observe(i)
  world.run(11_200)
  assert.equal(world.survey.nat.mapping, 'endpoint-dependent')
  assert.ok(world.datagrams > before)
})

test('a network change in the middle of a round leaves no socket open', () => {
  const kind: Kind = {
    mapping: 'endpoint-independent',
    filtering: 'address-and-port-dependent',
    allocation: 'preserving',
  }
  for (const atMs of [21, 61, 100, 300, 500]) {
    const world = surveyed(kind, atMs)
    world.survey.forecast(world.now, () => {})
    world.survey.networkChanged(world.now)
    assert.equal(world.openSockets, 0, `${atMs} ms`)
  }
})

test('a survey goes on all day without growing', () => {
  const kind: Kind = {
    mapping: 'address-and-port-dependent',
    filtering: 'address-and-port-dependent',
    allocation: 'random',
  }
  const world = surveyed(kind, 86_400_000)
  assert.deepEqual(untruths(world.survey.nat, kind, false), [])
  assert.ok(world.datagrams < 144 * 1.3 * 24 + 24 * 40, `${world.datagrams} datagrams a day`)
  assert.ok(world.openSockets <= 4)
})

test('what nobody was asked for is not ours, and changes nothing', () => {
  const kind = KINDS[0]
  assert.ok(kind !== undefined)
  const world = surveyed(kind, 1_200)
  const { nat } = world.survey
  const forged = encodeBindingResponse(new Uint8Array(12), { host: '203.0.113.66', port: 66 })
  const from = { kind: 'udp', socket: 0, host: '198.18.1.1', port: 41_641 } as const
  assert.equal(world.survey.receive(forged, from, world.now), false)
  assert.equal(world.survey.receive(new Uint8Array(40), from, world.now), false)
  assert.deepEqual(world.survey.nat, nat)
})

test('a reporter that never says the same twice causes a round every 10 s', () => {
  const kind = KINDS[0]
  assert.ok(kind !== undefined)
  const world = surveyed(kind, 5_000, { reflectors: 1 })
  const before = world.datagrams
  for (let i = 0; i < 1_000; i++) {
    const address = { host: `198.18.${i & 255}.${i >> 8}`, port: 1 + i }
    world.survey.observed('0'.padStart(64, '0') as PeerId, '198.18.1.1', address, world.now)
    world.run(5_000 + 30 * i)
  }
  assert.ok(world.datagrams - before <= 24, `${world.datagrams - before} datagrams in 30 s`)
})

test('a thousand reporters leave few addresses and few rounds', () => {
  const kind = KINDS[0]
  assert.ok(kind !== undefined)
  const world = surveyed(kind, 5_000, { reflectors: 1 })
  const before = world.datagrams
  for (let i = 0; i < 1_000; i++) {
    const address = { host: `198.18.${i & 7}.${i & 3}`, port: 1 + (i & 15) }
    const reporter = `${i}`.padStart(64, '0') as PeerId
    world.survey.observed(reporter, `198.19.${i >> 8}.${i & 255}`, address, world.now)
    world.run(5_000 + 30 * i)
  }
  assert.ok(world.datagrams - before <= 24, `${world.datagrams - before} datagrams in 30 s`)
  assert.ok(world.survey.addresses.length <= 4)
  assert.ok(world.survey.nat.external.length <= 4)
})

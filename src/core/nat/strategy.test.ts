import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NatVector } from '../io.ts'
import { effectiveVector, strategy } from './strategy.ts'
import { UNKNOWN_NAT } from './vector.ts'

const FIXED: NatVector = {
  ...UNKNOWN_NAT,
  mapping: 'endpoint-independent',
  filtering: 'address-and-port-dependent',
  isTranslated: true,
}
const DEPENDENT: NatVector = {
  ...FIXED,
  mapping: 'endpoint-dependent',
  allocation: 'random',
}
const mapped = (host: string): NatVector => ({
  ...DEPENDENT,
  portMapping: { protocol: 'pcp', external: { host, port: 40_000 } },
})

const NATS = {
  public: { ...FIXED, filtering: 'endpoint-independent', isTranslated: false },
  mapped: mapped('198.18.0.1'),
  eif: { ...FIXED, filtering: 'endpoint-independent' },
  adf: { ...FIXED, filtering: 'address-dependent' },
  apdf: FIXED,
  firewalled: { ...FIXED, isTranslated: false },
  unknown: UNKNOWN_NAT,
  uselesslyMapped: mapped('10.0.0.1'),
  preserving: { ...DEPENDENT, allocation: 'preserving' },
  sequential: { ...DEPENDENT, allocation: 'sequential' },
  sequentialAdf: { ...DEPENDENT, allocation: 'sequential', filtering: 'address-dependent' },
  block: { ...DEPENDENT, allocation: 'block' },
  random: DEPENDENT,
  randomAdf: { ...DEPENDENT, filtering: 'address-dependent' },
  randomEif: { ...DEPENDENT, filtering: 'endpoint-independent' },
  unforeseen: { ...DEPENDENT, allocation: 'unknown' },
  carrier: { ...DEPENDENT, isCarrier: true },
} as const satisfies Record<string, NatVector>

type Name = keyof typeof NATS

const CELLS: readonly (readonly [Name, Name, string, string, string])[] = [
  ['public', 'public', 'dial', 'dial', 'dial'],
  ['public', 'apdf', 'dial', 'wait', 'dial'],
  ['public', 'sequential', 'dial', 'wait', 'dial'],
  ['public', 'random', 'dial', 'wait', 'dial'],
  ['mapped', 'random', 'dial', 'wait', 'dial'],
  ['eif', 'carrier', 'dial', 'wait', 'dial'],
  ['eif', 'unknown', 'dial', 'wait', 'dial'],
  ['apdf', 'apdf', 'punch', 'probe', 'probe'],
  ['apdf', 'firewalled', 'punch', 'probe', 'probe'],
  ['unknown', 'unknown', 'punch', 'probe', 'probe'],
  ['adf', 'apdf', 'punch', 'probe', 'probe'],
  ['adf', 'sequential', 'punch', 'probe', 'probe'],
  ['adf', 'random', 'punch', 'probe', 'probe'],
  ['adf', 'carrier', 'punch', 'probe', 'probe'],
  ['apdf', 'sequential', 'predict', 'sweep', 'foretell'],
  ['apdf', 'preserving', 'predict', 'sweep', 'foretell'],
  ['apdf', 'sequentialAdf', 'predict', 'sweep', 'foretell'],
  ['unknown', 'sequential', 'predict', 'sweep', 'foretell'],
  ['firewalled', 'preserving', 'predict', 'sweep', 'foretell'],
  ['sequential', 'sequential', 'predict', 'cross', 'cross'],
  ['sequential', 'preserving', 'predict', 'cross', 'cross'],
  ['apdf', 'random', 'birthday', 'search', 'scatter'],
  ['apdf', 'block', 'birthday', 'search', 'scatter'],
  ['apdf', 'unforeseen', 'birthday', 'search', 'scatter'],
  ['apdf', 'uselesslyMapped', 'birthday', 'search', 'scatter'],
  ['unknown', 'random', 'birthday', 'search', 'scatter'],
  ['apdf', 'randomEif', 'birthday', 'search', 'scatter'],
  ['apdf', 'carrier', 'relay', 'rest', 'rest'],
  ['sequential', 'random', 'relay', 'rest', 'rest'],
  ['sequential', 'block', 'relay', 'rest', 'rest'],
  ['random', 'random', 'relay', 'rest', 'rest'],
  ['random', 'randomAdf', 'relay', 'rest', 'rest'],
  ['randomAdf', 'randomAdf', 'relay', 'rest', 'rest'],
  ['random', 'randomEif', 'relay', 'rest', 'rest'],
  ['randomAdf', 'randomEif', 'punch', 'probe', 'probe'],
  ['randomEif', 'randomEif', 'punch', 'probe', 'probe'],
  ['carrier', 'carrier', 'relay', 'rest', 'rest'],
]

for (const [a, b, name, ours, theirs] of CELLS) {
  test(`${a} and ${b}: ${name}, one does ${ours}, the other ${theirs}`, () => {
    assert.deepEqual(strategy(NATS[a], NATS[b]), { name, ours, theirs }, `${a} against ${b}`)
    const turned = { name, ours: theirs, theirs: ours }
    assert.deepEqual(strategy(NATS[b], NATS[a]), turned, `${b} against ${a}`)
  })
}

test('both sides come to the same strategy, whatever the two are behind', () => {
  const all = Object.values<NatVector>(NATS)
  for (const a of all) {
    for (const b of all) {
      const near = strategy(a, b)
      const far = strategy(b, a)
      assert.deepEqual(
        [near.name, near.ours, near.theirs],
        [far.name, far.theirs, far.ours],
        `${JSON.stringify(a)} against ${JSON.stringify(b)}`,
      )
    }
  }
})

test('what a remote is told, without translation and port mapping, leads it to the same strategy', () => {
  const all = Object.values<NatVector>(NATS)
  const told = (nat: NatVector): NatVector => {
    const { mapping, filtering, allocation, isCarrier } = effectiveVector(nat)
    return { ...UNKNOWN_NAT, mapping, filtering, allocation, isCarrier }
  }
  for (const a of all) {
    for (const b of all) {
      assert.deepEqual(strategy(told(a), told(b)), strategy(a, b), `${JSON.stringify([a, b])}`)
    }
  }
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LocalAddress, PeerId } from '../../src/core/io.ts'
import { KIND_AIM } from '../../src/core/nat/messages.ts'
import { SCRATCH_SOCKETS_MAX } from '../../src/core/nat/scratch-sockets.ts'
import { decodeBindingRequest, encodeBindingResponse } from '../../src/core/wire/stun.ts'
import type { NatOptions, SimPeer } from '../../src/sim/index.ts'
import {
  APDF,
  addRelayed,
  CLAIMS_FIXED,
  CLAIMS_RANDOM,
  type HostileHost,
  HostileNet,
  meetRelayed,
  SYMMETRIC,
  scene,
  sessionBetween,
} from './hostile-net.fixture.ts'
import { Lab } from './lab.fixture.ts'

const ELSEWHERE = '203.0.113.66'

/** How a hostile reflector lies about where it sees us. */
const LIES: Readonly<Record<string, (truth: LocalAddress, n: number) => LocalAddress>> = {
  'another port each time': ({ host }, n) => ({ host, port: 20_000 + n }),
  'one port for all': ({ host }) => ({ host, port: 20_000 }),
  'another host': ({ port }) => ({ host: ELSEWHERE, port }),
}

const NATS: Readonly<Record<string, NatOptions>> = {
  eif: { filtering: 'endpoint-independent' },
  adf: { filtering: 'address-dependent' },
  apdf: APDF,
  symmetric: SYMMETRIC,
}

/** Lies over STUN and in its session, and knocks for nobody. */
function lie(rogue: HostileHost, us: SimPeer, what: (typeof LIES)[string]): void {
  let n = 0
  rogue.rogue.onStun = (data, from) => {
    const transaction = decodeBindingRequest(data)
    return transaction && encodeBindingResponse(transaction, what(from, n++))
  }
  const observe = () => {
    const truth = rogue.rogue.sessions.with(us.peerId)?.route
    if (truth?.kind !== 'udp') return
    rogue.rogue.push(us.peerId, { type: 'observed', address: what(truth.endpoint, n++) })
  }
  rogue.rogue.onMessage = observe
}

function survey(nat: NatOptions, honest: number, lies: readonly (typeof LIES)[string][]) {
  const hostile = new HostileNet('liars')
  const crowd = hostile.addCrowd(honest)
  const us = hostile.addPeer(nat)
  hostile.run(100)
  for (const what of lies) {
    const rogue = hostile.addRogue()
    lie(rogue, us, what)
    const { address } = rogue.host
    us.command({ type: 'dial', peer: undefined, addresses: [address] })
  }
  // Long enough for every round that looks for what is missing.
  hostile.run(120_000)
  const { nat: vector, observed } = us.snapshot()
  const { mapping, filtering, allocation, isTranslated } = vector
  const [witness] = crowd
  const truth = witness && sessionBetween(witness, us)?.address?.host
  const lieHosts = [...vector.external, ...observed].filter(({ host }) => host !== truth)
  const isFound = vector.external.length === 1
  return { mapping, filtering, allocation, isTranslated, isFound, lieHosts: lieHosts.length }
}

for (const [name, nat] of Object.entries(NATS)) {
  test(`a liar among four neighbours changes nothing of what a peer behind ${name} knows, two of ten not where it is`, () => {
    const truth = survey(nat, 4, [])
    assert.notEqual(truth.filtering, 'unknown')
    assert.equal(truth.isFound, true)
    for (const [what, lies] of Object.entries(LIES)) {
      assert.deepEqual(survey(nat, 3, [lies]), truth, `one of four says ${what}`)
      const { isFound, lieHosts } = survey(nat, 8, [lies, lies])
      assert.deepEqual({ isFound, lieHosts }, { isFound: true, lieHosts: 0 }, `two say ${what}`)
    }
  })
}

test('remotes that prove paths at hundreds of our sockets keep one each, and others still find theirs', () => {
  const { hostile, us, relay } = scene('sockets', SYMMETRIC)
  const rogues = Array.from({ length: 12 }, () => hostile.addRogue())
  for (const { rogue } of rogues) {
    // Deaf to plain probes, so that we scatter; then it answers every socket.
    rogue.hears = ({ host: from }) => from === relay.host.address.host
    rogue.onMessage = (_from, payload) => {
      if (payload[0] === KIND_AIM) rogue.hears = () => true
    }
  }
  let proved = 0
  for (const rogue of rogues) {
    meetRelayed(hostile, rogue, us, relay)
    rogue.claim(us, CLAIMS_FIXED, [rogue.host.address])
    hostile.run(12_000)
    const paths = rogue.rogue.sessions.with(us.peerId)?.paths ?? []
    proved += paths.filter(({ isProved, kind }) => isProved && kind === 'direct').length
  }
  assert.ok(proved > 4 * rogues.length, `${proved} paths: the attack was tried`)
  const kept = us.host.scratchSockets
  assert.ok(kept <= rogues.length + 4, `${kept} sockets for ${rogues.length} remotes`)
  const mate = hostile.addPeer(APDF)
  hostile.run(15_000)
  assert.equal(sessionBetween(us, mate)?.path, 'direct', 'a birthday still has its sockets')
})

test('a hundred remotes that change their minds take neither sockets nor the survey from us', () => {
  const { hostile, us, relay } = scene('flapping', { ...SYMMETRIC, allocation: 'sequential' })
  const rogues = addRelayed(hostile, us, relay, 100)
  for (const { rogue } of rogues) {
    rogue.hears = ({ host }) => host === relay.host.address.host
  }
  let most = 0
  // It moves after 5 s, and what it is behind then takes about ten more to find out.
  for (let round = 0; round < 100; round++) {
    for (const rogue of rogues) {
      // A fixed one is foretold to: four fresh sockets a round for each.
      const claims = round % 2 === 0 ? CLAIMS_FIXED : CLAIMS_RANDOM
      rogue.claim(us, { ...claims, lifetimeMs: 5_000 * (1 + round) }, [rogue.host.address])
    }
    hostile.run(250)
    most = Math.max(most, us.host.scratchSockets)
    if (round === 20) hostile.net.move(us.host, { nat: hostile.net.addNat(APDF) })
  }
  assert.ok(most > 100, `${most} sockets: the attack was tried`)
  assert.ok(most <= SCRATCH_SOCKETS_MAX, `${most} sockets`)
  const { mapping, allocation } = us.snapshot().nat
  assert.equal(mapping, 'endpoint-independent', 'the NAT that it moved behind is known')
  assert.equal(allocation, 'preserving')
  hostile.run(60_000)
  assert.ok(us.host.scratchSockets <= 8, `${us.host.scratchSockets} sockets are left`)
})

test('a hundred remotes that flood us with candidates and aims leave honest pairs their direct paths', (t) => {
  const { hostile, us, relay } = scene('starving', APDF)
  const victim = hostile.net.addHost().address.host
  const rogues = addRelayed(hostile, us, relay, 100)
  const flood = (round: number) => {
    for (const [i, rogue] of rogues.entries()) {
      const addresses = Array.from({ length: 8 }, (_, k) => {
        return { host: victim, port: 1_024 + ((i * 500 + round * 8 + k) % 60_000) }
      })
      const claims = round % 2 === 0 ? CLAIMS_RANDOM : CLAIMS_FIXED
      rogue.claim(us, { ...claims, lifetimeMs: 5_000 * (1 + (round % 200)) }, addresses)
      rogue.aim(us, victim)
    }
    hostile.run(300)
  }
  for (let round = 0; round < 30; round++) flood(round)
  const mates = [APDF, SYMMETRIC].map((nat) => hostile.addPeer(nat))
  for (let round = 30; round < 34; round++) flood(round)
  // Among so many peers not everyone is a neighbour of everyone: the mates want us.
  for (const mate of mates) mate.command({ type: 'dial', peer: us.peerId, addresses: [] })
  const isDirect = (mate: SimPeer) => sessionBetween(us, mate)?.path === 'direct'
  const startMs = hostile.nowMs
  for (let round = 34; round < 70 && !mates.every(isDirect); round++) flood(round)
  t.diagnostic(`direct after ${hostile.nowMs - startMs} ms`)
  assert.deepEqual(mates.map(isDirect), [true, true], 'an ordinary NAT, and a symmetric one')
})

test('datagrams of one session from a thousand places cost it its own paths, and others nothing', () => {
  const lab = new Lab()
  const us = lab.add()
  const friend = lab.add()
  const attacker = lab.addRogue()
  lab.act(attacker, (rogue) => rogue.dial(us.endpoint))
  lab.run(2_000)
  const before = JSON.stringify(us.core.snapshot().sessions.find(isWith(friend)))
  lab.sent = []
  const { rogue } = attacker
  let forged = 0
  for (let i = 0; i < 1_000; i++) {
    const nonce = new Uint8Array(8).fill(i)
    const datagrams = rogue.capture(() => {
      rogue.push(us.peerId, { type: 'challenge', nonce })
    }, lab.now)
    for (const data of datagrams) {
      forged += data.length
      const host = `66.6.${i >> 8}.${i & 255}`
      lab.inject(us, { kind: 'udp', socket: 0, host, port: 6_666 }, data)
    }
    if (i % 50 === 0) lab.run(10)
  }
  lab.run(5_000)
  const drawn = lab.sent.filter(({ from, to }) => from === us && to.host.startsWith('66.6.'))
  const bytes = drawn.reduce((sum, { data }) => sum + data.length, 0)
  assert.ok(forged > 30_000, 'the attack was tried')
  assert.ok(bytes <= 3 * forged, `${bytes} bytes for ${forged}`)
  const places = new Set(drawn.map(({ to }) => to.host))
  // Eight paths at once, of which one second's newcomers stay.
  assert.ok(places.size <= 8 * 8, `${places.size} places were answered`)
  assert.equal(us.core.snapshot().sessions.find(isWith(attacker.at))?.path, 'direct')
  assert.equal(JSON.stringify(us.core.snapshot().sessions.find(isWith(friend))), before)
})

test('who never answers is never connected, however often it is dialled', () => {
  const lab = new Lab()
  const us = lab.add()
  us.command({ type: 'dial', peer: undefined, addresses: [{ host: '66.6.6.6', port: 6_666 }] })
  us.command({ type: 'dial', peer: 'ab'.repeat(32) as PeerId, addresses: [] })
  lab.run(600_000)
  assert.ok(lab.sent.length > 3, 'it was dialled')
  assert.equal(us.core.snapshot().sessions.length, 0)
  assert.deepEqual(
    us.events.filter(({ type }) => type === 'connection'),
    [],
  )
})

function isWith(other: { readonly peerId: PeerId }) {
  return ({ peer }: { readonly peer: PeerId }) => peer === other.peerId
}

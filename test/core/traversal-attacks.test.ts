import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LocalAddress, NatVector } from '../../src/core/io.ts'
import type { NatMessage } from '../../src/core/nat/messages.ts'
import { UNKNOWN_NAT } from '../../src/core/nat/vector.ts'
import { prefixOf } from '../../src/core/session/route.ts'
import { FakeSession, Line, meetDirectly, pairUp, Site } from './traversal.fixture.ts'

const VICTIM = '203.0.113.7'
const RANDOM: NatVector = {
  ...UNKNOWN_NAT,
  mapping: 'endpoint-dependent',
  filtering: 'address-and-port-dependent',
  allocation: 'random',
}
const SEQUENTIAL: NatVector = { ...RANDOM, allocation: 'sequential' }

/** One of ours behind a port-filtering NAT, and a relay that is honest. */
function lab(seed: string): { line: Line; us: Site; relay: Site } {
  const line = new Line(seed, { latencyMs: 1, lossRate: 0 })
  const relay = new Site(line)
  const us = new Site(line, { profile: {} })
  meetDirectly(us, relay)
  return { line, us, relay }
}

/** A remote that says what the test has it say, and that the relay sees at `remote.external`. */
function attacker(line: Line, us: Site, relay: Site) {
  const remote = new Site(line)
  meetDirectly(remote, relay)
  const route = { kind: 'relay', via: relay.peer, prefix: prefixOf(remote.peer) } as const
  const session = new FakeSession(us, remote, true, route)
  us.traversal.sessionUp(session, line.now)
  const say = (message: NatMessage) => us.traversal.message(session, message, line.now)
  const tell = (nat: NatVector, addresses: readonly LocalAddress[]) =>
    say({ type: 'candidates', nat, addresses })
  const aim = (host: string, changes: Partial<Extract<NatMessage, { type: 'aim' }>> = {}) =>
    say({
      type: 'aim',
      round: 1,
      address: { host, port: 1_024 },
      step: 1,
      count: 0,
      lastPort: 65_535,
      ...changes,
    })
  return { remote, session, say, tell, aim }
}

test('a remote that names a victim as its own address draws no knock at it', () => {
  const { line, us, relay } = lab('victim')
  const { session, tell, aim, remote } = attacker(line, us, relay)
  for (const nat of [RANDOM, SEQUENTIAL]) {
    tell(nat, [{ host: VICTIM, port: 5_000 }])
    line.run(1_000)
    for (let i = 0; i < 50; i++) {
      aim(VICTIM)
      aim(VICTIM, { count: 128 })
      line.run(200)
    }
  }
  assert.equal(session.knocked, 0, 'knocks')
  const probes = line.astray.get(VICTIM) ?? 0
  assert.ok(probes <= 6 * 6, `${probes} probes: its one candidate, at first and at some retries`)
  assert.ok((us.traversal.counters['aimsIgnored'] ?? 0) > 50, 'most are not even looked at')
  assert.equal(us.traversal.counters['sprays'], undefined, 'sprays')
  assert.ok(remote.sent < 10, 'the attacker itself sent nothing')
})

test('a window of eight ports needs no witness, but draws on the budget of candidates', () => {
  const { line, us, relay } = lab('small windows')
  for (let i = 0; i < 200; i++) {
    const { tell, aim } = attacker(line, us, relay)
    tell(SEQUENTIAL, [{ host: VICTIM, port: 5_000 }])
    line.run(100)
    for (let port = 2_000; port < 2_080; port += 8)
      aim(VICTIM, { address: { host: VICTIM, port }, count: 8 })
  }
  line.run(20_000)
  const ports = 512 + 4 * 200 + 20 * ((line.nowMs + 1_000) / 1_000)
  const sent = line.astray.get(VICTIM) ?? 0
  // A candidate is probed six times, a port of a window three times.
  assert.ok(sent <= 6 * ports, `${sent} datagrams for ${ports} addresses and ports`)
})

test('an AIM that makes no sense is ignored and counted', () => {
  const { line, us, relay } = lab('nonsense')
  const { tell, aim, remote, session, say } = attacker(line, us, relay)
  const own = { host: remote.external, port: 5_000 }
  const lan = { host: '192.168.1.77', port: 5_000 }
  const shared = { host: '100.64.0.1', port: 5_000 }
  tell(RANDOM, [own, lan, shared, { host: '2001:db8::1', port: 5_000 }])
  line.run(100)
  const bad: readonly (() => void)[] = [
    () => aim('198.18.9.9'),
    () => aim(lan.host),
    () => aim(shared.host),
    () => aim('2001:db8::1'),
    () => aim(own.host, { count: 129 }),
    () => aim(own.host, { count: 200, step: 0 }),
    () => aim(own.host, { count: 2, step: 0 }),
    () => aim(own.host, { address: { host: own.host, port: 53 } }),
    () => aim(own.host, { address: { host: own.host, port: 5_000 }, lastPort: 4_999 }),
  ]
  for (const [index, send] of bad.entries()) {
    const before = us.traversal.counters['aimsIgnored'] ?? 0
    send()
    assert.equal(us.traversal.counters['aimsIgnored'], before + 1, `the one at ${index}`)
    line.run(3_000)
  }
  assert.equal(session.knocked, 0, 'knocks')
  say({ type: 'witness', prefix: new Uint8Array(8), address: own, isSeen: true })
  assert.equal(session.knocked, 0, 'an unasked word changes nothing')
})

test('once a session is direct, an AIM is ignored', () => {
  const { line, a, b, ab } = pairUp('direct', { profile: {} }, { profile: {} })
  assert.ok(
    line.run(1_000, () => ab.path === 'direct'),
    'direct',
  )
  const address = { host: b.external, port: 1_024 }
  const message = { type: 'aim', round: 1, address, step: 1, count: 0, lastPort: 65_535 } as const
  a.traversal.message(ab, message, line.now)
  line.run(5_000)
  assert.equal(a.traversal.counters['aimsIgnored'], 1, 'ignored')
  assert.equal(ab.knocked, 0, 'knocks')
})

test('one remote that never answers is sprayed three times in ten minutes', () => {
  const { line, us, relay } = lab('silent')
  const { tell, aim, remote, session } = attacker(line, us, relay)
  const own = { host: remote.external, port: 5_000 }
  for (let i = 0; line.nowMs < 590_000; i++) {
    tell({ ...RANDOM, lifetimeMs: 5_000 * (1 + (i % 100)) }, [own])
    aim(own.host)
    line.run(1_000)
  }
  assert.equal(us.traversal.counters['sprays'], 3, 'sprays')
  assert.ok(session.knocked <= 3 * 1_536, `${session.knocked} knocks in ten minutes`)
  assert.ok(session.knocked > 1_500, 'the remote is where it says, so it was sprayed')
})

test('a thousand remotes that ask to be sprayed share one budget, one at a time', () => {
  const { line, us, relay } = lab('thousand')
  const all = Array.from({ length: 1_000 }, () => attacker(line, us, relay))
  for (const { tell, remote } of all) tell(RANDOM, [{ host: remote.external, port: 5_000 }])
  const knocked = () => all.reduce((sum, { session }) => sum + session.knocked, 0)
  let before = knocked()
  let most = 0
  for (let second = 0; second < 30; second++) {
    for (const { aim, remote } of all) aim(remote.external)
    line.run(1_000)
    most = Math.max(most, knocked() - before)
    before = knocked()
  }
  assert.ok(most <= 300, `${most} knocks in one second`)
  assert.ok(knocked() <= 4_096 + 30 * 128, `${knocked()} knocks in 30 s`)
  const scratch = us.scratch.size
  assert.ok(scratch <= 288, `${scratch} scratch sockets`)
})

test('candidates of a thousand remotes are probed within one budget', () => {
  const { line, us, relay } = lab('candidates')
  const all = Array.from({ length: 1_000 }, () => attacker(line, us, relay))
  const victims = Array.from({ length: 8 }, (_, i) => ({ host: VICTIM, port: 5_000 + i }))
  for (let round = 0; round < 5; round++) {
    for (const { tell } of all) tell({ ...RANDOM, lifetimeMs: 5_000 * (round + 1) }, victims)
    line.run(1_000)
  }
  const tried = all.reduce((sum, { session }) => {
    return sum + session.tried.filter(({ kind }) => kind === 'udp').length
  }, 0)
  const [common, reserve] = [512 + 4 * 6, 2_048 + 16 * 6]
  assert.ok(tried <= common + reserve, `${tried} addresses are tried in 5 s`)
})

test('a remote that changes its mind all the time makes us measure and open sockets a bounded number of times', () => {
  const line = new Line('flapping', { latencyMs: 1, lossRate: 0 })
  const relay = new Site(line)
  const us = new Site(line, {
    profile: { mapping: 'address-and-port-dependent', allocation: 'sequential' },
  })
  meetDirectly(us, relay)
  const { tell, remote, session } = attacker(line, us, relay)
  const fixed = { ...UNKNOWN_NAT, mapping: 'endpoint-independent' } as const
  for (let i = 0; i < 600; i++) {
    tell(i % 2 === 0 ? fixed : RANDOM, [{ host: remote.external, port: 5_000 }])
    line.run(100)
  }
  assert.ok(us.forecasts <= 3 * (8 + 6), `${us.forecasts} forecasts in a minute`)
  assert.ok(session.knocked <= 2_000, `${session.knocked} knocks`)
})

test('what a remote makes us keep goes when its session does', () => {
  const { line, us, relay } = lab('gone')
  const { tell, aim, remote, session } = attacker(line, us, relay)
  tell(RANDOM, [{ host: remote.external, port: 5_000 }])
  line.run(200)
  aim(remote.external)
  line.run(500)
  const before = session.knocked
  assert.ok(before > 0, 'a search is under way')
  us.traversal.sessionGone(session, line.now)
  us.sessions.delete(remote.peer)
  line.run(5_000)
  assert.equal(session.knocked, before, 'it ended with the session')
  assert.equal(us.traversal.natOf(remote.peer), undefined, 'nothing is known of it any more')
})

test('a thousand remotes that foretell ports share the same budget', () => {
  const { line, us, relay } = lab('foretellers')
  const all = Array.from({ length: 1_000 }, () => attacker(line, us, relay))
  for (const { tell, remote } of all) tell(SEQUENTIAL, [{ host: remote.external, port: 5_000 }])
  for (let second = 0; second < 10; second++) {
    for (const { aim, remote } of all) aim(remote.external, { count: 128 })
    line.run(1_000)
  }
  const knocks = all.reduce((sum, { session }) => sum + session.knocked, 0)
  assert.ok(knocks <= 4_096 + 10 * 128, `${knocks} knocks in 10 s`)
  assert.ok(knocks >= 4_096, `${knocks} knocks in 10 s: the budget is used`)
})

test('who shares our NAT, which does not turn datagrams round, is not sprayed', () => {
  for (const hairpin of [undefined, false, true]) {
    const { line, us, relay } = lab(`shared ${hairpin}`)
    const { tell, aim, remote, session } = attacker(line, us, relay)
    const own = { host: remote.external, port: 5_000 }
    us.vector = { ...us.vector, hairpin, external: [own] }
    tell(RANDOM, [own])
    line.run(200)
    aim(own.host)
    line.run(1_000)
    assert.equal(session.knocked > 0, hairpin === true, `hairpin ${hairpin}: knocks`)
  }
})

test('a path found elsewhere does not excuse the spraying of a host', () => {
  const { line, us, relay } = lab('elsewhere')
  const { tell, aim, remote, session } = attacker(line, us, relay)
  const { route } = session
  const endpoint = { kind: 'udp', socket: 0, host: '198.18.9.9', port: 5_000 } as const
  for (let i = 0; i < 8; i++) {
    tell({ ...RANDOM, lifetimeMs: 5_000 * (i + 1) }, [{ host: remote.external, port: 5_000 }])
    line.run(500)
    aim(remote.external)
    line.run(500)
    session.route = { kind: 'udp', endpoint }
    us.traversal.pathChanged(session, line.now)
    session.fall(route)
  }
  assert.equal(us.traversal.counters['sprays'], 3, 'sprays')
})

test('a search that is over leaves the turn to others', () => {
  const { line, us, relay } = lab('turns')
  const [first, second] = [attacker(line, us, relay), attacker(line, us, relay)]
  for (const { tell, remote } of [first, second]) {
    tell(RANDOM, [{ host: remote.external, port: 5_000 }])
  }
  line.run(200)
  first.aim(first.remote.external)
  line.run(7_000)
  assert.equal(first.session.knocked, 1_536, 'the first was searched to the end')
  second.aim(second.remote.external)
  line.run(500)
  assert.ok(second.session.knocked > 100, `${second.session.knocked} knocks for the second`)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { peersOnHosts, talk } from './host-peers.fixture.ts'
import { bridged, Host, namespacesMissing, routed } from './namespaces.fixture.ts'

const LIMIT = { timeout: 40_000, skip: namespacesMissing }
const SECRET = 'what only the two know'
/** Long enough for acknowledgements to be missed and probes to back off. */
const AWAY_MS = 3_000

test(
  'hosts that are plugged in after the start meet, and go on when the cable was out',
  LIMIT,
  async (t) => {
    const [alice, bob] = [new Host(t, 'alice'), new Host(t, 'bob')]
    const start = peersOnHosts(t)
    const [a, b] = await Promise.all([
      start(alice, { secret: SECRET }),
      start(bob, { secret: SECRET }),
    ])
    const pluggedAt = performance.now()
    const bridge = bridged(t, [
      [alice, '198.19.0.1/24'],
      [bob, '198.19.0.2/24'],
    ])
    await Promise.all([a.tells('join'), b.tells('join')])
    t.diagnostic(`members ${Math.round(performance.now() - pluggedAt)} ms after the cables`)

    bridge.ip('link', 'set', 'port1', 'down')
    const said = a.ask('say', 'said', { text: 'while the cable was out' })
    await new Promise((resolve) => setTimeout(resolve, AWAY_MS))
    bridge.ip('link', 'set', 'port1', 'up')
    const backAt = performance.now()
    await b.tells('text', { text: 'while the cable was out' })
    await said
    const backMs = Math.round(performance.now() - backAt)
    t.diagnostic(`heard ${backMs} ms after the cable was in again`)
    assert.ok(backMs < 2_000, `${backMs} ms`)
    await talk(a, b, 'again')
    assert.deepEqual(
      [a, b].flatMap(({ told }) => told.filter(({ type }) => type === 'leave')),
      [],
    )
  },
)

test(
  'two hosts that cannot reach each other talk through a third that cannot read them',
  LIMIT,
  async (t) => {
    const [alice, bob, carol] = [new Host(t, 'alice'), new Host(t, 'bob'), new Host(t, 'carol')]
    const router = routed(t, [alice, bob, carol])
    router.ip('rule', 'add', 'iif', 'port0', 'to', '198.18.2.0/24', 'blackhole')
    router.ip('rule', 'add', 'iif', 'port1', 'to', '198.18.1.0/24', 'blackhole')
    const start = peersOnHosts(t)
    await start(carol, { cluster: 'another', port: 4242 })
    const known = { secret: SECRET, lan: false, peers: ['198.18.3.2:4242'] }
    const [a, b] = await Promise.all([start(alice, known), start(bob, known)])
    await Promise.all([a.tells('join'), b.tells('join')])
    await talk(a, b, 'through the third', 'relayed')
  },
)

test('two hosts with nothing but IPv6 meet through a third', LIMIT, async (t) => {
  const hosts = [new Host(t, 'alice'), new Host(t, 'bob'), new Host(t, 'carol')] as const
  const [alice, bob, carol] = hosts
  const router = new Host(t, 'router')
  router.setting('net/ipv6/conf/all/forwarding', '1')
  for (const host of [router, ...hosts]) {
    // Addresses are good at once, without asking the link whether another has them (RFC 4862 §5.4).
    host.setting('net/ipv6/conf/default/accept_dad', '0')
    host.setting('net/ipv6/conf/default/dad_transmits', '0')
  }
  for (const [i, host] of hosts.entries()) {
    const net = `2001:2:0:${i + 1}`
    host.cable('eth0', `${net}::2/64`, router, `port${i}`, `${net}::1/64`)
    host.ip('-6', 'route', 'add', 'default', 'via', `${net}::1`)
  }
  const start = peersOnHosts(t)
  await start(carol, { cluster: 'another', port: 4242 })
  const known = { secret: SECRET, peers: ['[2001:2:0:3::2]:4242'] }
  const [a, b] = await Promise.all([start(alice, known), start(bob, known)])
  await Promise.all([a.tells('path', { path: 'direct' }), b.tells('path', { path: 'direct' })])
  await talk(a, b, 'over IPv6')
})

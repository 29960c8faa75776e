import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { peersOnHosts, talk } from './host-peers.fixture.ts'
import { bridged, Host, namespacesMissing, routed } from './namespaces.fixture.ts'
import type { Process } from './process.fixture.ts'

const LIMIT = { timeout: 40_000, skip: namespacesMissing }
const SECRET = 'what only the two know'
const THIRD = { host: '198.18.3.2', port: 4242 }

test(
  'two hosts meet through a third, and need it no more; those that are killed find each other again',
  LIMIT,
  async (t) => {
    const [alice, bob, carol] = ['alice', 'bob', 'carol'].map((name) => new Host(t, name))
    assert.ok(alice && bob && carol)
    routed(t, [alice, bob, carol])
    const start = peersOnHosts(t)
    // Of another app, and without the secret.
    const third = await start(carol, { cluster: 'another', port: THIRD.port })
    const given = { secret: SECRET, lan: false }
    const known = { ...given, peers: [`${THIRD.host}:${THIRD.port}`] }
    const [a, b] = await Promise.all([start(alice, known), start(bob, known)])
    const startedAt = performance.now()
    await Promise.all([a.tells('join'), b.tells('join')])
    t.diagnostic(`members after ${Math.round(performance.now() - startedAt)} ms`)
    await Promise.all([a.tells('path', { path: 'direct' }), b.tells('path', { path: 'direct' })])
    t.diagnostic(`direct after ${Math.round(performance.now() - startedAt)} ms`)
    await talk(a, b, 'with the third')

    await third.kill()
    await talk(a, b, 'without it')

    const { peer: bobId } = await a.tells('join')
    const before = a.told.length
    await b.kill()
    const killedAt = performance.now()
    const again = await start(bob, given)
    const [met, left] = await Promise.all([
      a.tells('join', {}, before),
      a.tells('leave', {}, before),
      again.tells('join'),
    ])
    t.diagnostic(`killed and met again after ${Math.round(performance.now() - killedAt)} ms`)
    assert.equal(met.peer, bobId)
    assert.deepEqual([left.peer, left.why], [bobId, 'restarted'])
    await talk(a, again, 'after the restart')

    await Promise.all([a.kill(), again.kill()])
    const [a2, b2] = await Promise.all([start(alice, given), start(bob, given)])
    await Promise.all([a2.tells('join'), b2.tells('join')])
    await talk(a2, b2, 'after both restarted')
  },
)

test('two hosts on one switch that are given nothing meet', LIMIT, async (t) => {
  const [alice, bob] = ['alice', 'bob'].map((name) => new Host(t, name))
  assert.ok(alice && bob)
  bridged(t, [
    [alice, '198.19.0.1/24'],
    [bob, '198.19.0.2/24'],
  ])
  const start = peersOnHosts(t)
  const [a, b] = await Promise.all([
    start(alice, { secret: SECRET }),
    start(bob, { secret: SECRET }),
  ])
  const startedAt = performance.now()
  await Promise.all([a.tells('join'), b.tells('join')])
  t.diagnostic(`members after ${Math.round(performance.now() - startedAt)} ms`)
  await talk(a, b, 'on one switch')
})

for (const mover of ['alice', 'bob'])
  for (const sender of ['alice', 'bob', 'either'])
    test(
      `the address of ${mover} changes while ${sender} sends: on within 2 s, nothing lost`,
      LIMIT,
      async (t) => {
        const { a, b, move } = await twoThatMove(t)
        const flows = [
          { from: a, to: b },
          { from: b, to: a },
        ].filter(({ from }) => sender === 'either' || sender === from.name)
        for (const { from } of flows) from.command('number', { everyMs: 10 })
        await arrived(flows, 50)
        move(mover)
        const soFar = Math.max(...(await Promise.all(flows.map(({ to }) => count(to)))))
        await arrived(flows, soFar + 50)
        for (const { from } of flows) from.command('stop')
        for (const { from, to } of flows) {
          const { sent } = await from.ask('count', 'count')
          await arrived([{ to }], sent)
          const { arrivals } = await to.ask('count', 'count')
          const gaps = arrivals.slice(1).map(({ at }: Arrival, i: number) => at - arrivals[i].at)
          const longestMs = Math.round(Math.max(...gaps))
          t.diagnostic(`${from.name} to ${to.name}: silent for ${longestMs} ms at most`)
          const numbers = arrivals.map(({ number }: Arrival) => number)
          assert.deepEqual(numbers, [...Array(sent).keys()])
          assert.ok(longestMs < 2_000, `silent for ${longestMs} ms`)
        }
        const left = [a, b].flatMap(({ told }) => told.filter(({ type }) => type === 'leave'))
        assert.deepEqual(left, [])
      },
    )

/** Bob knew Alice's address; `move` gives one of them another one, as a laptop that changes its net. */
async function twoThatMove(t: TestContext) {
  const [alice, bob] = ['alice', 'bob'].map((name) => new Host(t, name))
  assert.ok(alice && bob)
  routed(t, [alice, bob])
  const start = peersOnHosts(t)
  const a = await start(alice, { secret: SECRET, lan: false, port: 4242 })
  const b = await start(bob, { secret: SECRET, lan: false, peers: ['198.18.1.2:4242'] })
  await Promise.all([a.tells('join'), b.tells('join')])
  await Promise.all([a.tells('path', { path: 'direct' }), b.tells('path', { path: 'direct' })])
  const move = (name: string) => {
    const [host, net] = name === 'alice' ? [alice, '198.18.1'] : [bob, '198.18.2']
    host.ip('addr', 'del', `${net}.2/24`, 'dev', 'eth0')
    host.ip('addr', 'add', `${net}.77/24`, 'dev', 'eth0')
    host.ip('route', 'add', 'default', 'via', `${net}.1`)
  }
  return { a, b, move }
}

interface Arrival {
  readonly number: number
  readonly at: number
}

async function count(peer: Process): Promise<number> {
  return (await peer.ask('count', 'count')).arrivals.length
}

/** Until every receiver has so many; each question is a round trip, so this does not spin. */
async function arrived(flows: readonly { to: Process }[], least: number): Promise<void> {
  for (const { to } of flows) {
    while ((await count(to)) < least) await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

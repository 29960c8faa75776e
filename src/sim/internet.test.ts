import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Instant } from '../core/io.ts'
import { CheckFailure } from './check-failure.ts'
import { Internet, type InternetOptions } from './internet.ts'
import { Toy } from './toy.fixture.ts'
import { ToyCore } from './toy-core.fixture.ts'

test('one way takes the sum of both latencies', () => {
  const internet = new Internet({ seed: 1 })
  const a = new Toy(internet, { link: { latencyMs: 7 } })
  const b = new Toy(internet, { link: { latencyMs: 35 } })
  a.dial(b.host.address)
  internet.run(41.9)
  assert.equal(b.heard, 0)
  internet.run(0.1)
  assert.equal(b.heard, 1)
  assert.equal(b.core.heard[0]?.at, 42)
})

test('the same seed gives the same run and another seed gives another', () => {
  const hash = (seed: number) => busy({ seed }).trace.hash()
  const first = hash(1)
  assert.match(first, /^[0-9a-f]{16}$/)
  assert.equal(hash(1), first)
  assert.notEqual(hash(2), first)
})

test('the trace hash notices one datagram more, one byte changed and one moment later', () => {
  const hashes = [0, 1, 2, 3].map((variant) => {
    const internet = new Internet({ seed: 1 })
    const b = new Toy(internet)
    const a = new Toy(internet, {}, { sizeBytes: variant === 1 ? 31 : 32 })
    if (variant === 2) internet.run(0.01)
    a.dial(b.host.address)
    if (variant === 3) a.dial(b.host.address)
    internet.run(100)
    return internet.trace.hash()
  })
  assert.equal(new Set(hashes).size, 4)
})

test('every datagram sent is accounted for', () => {
  const { traffic } = busy({ seed: 3, defaultLink: { lossRate: 0.1, duplicateRate: 0.1 } }).network
  const { sent, duplicated, delivered, lost } = traffic
  assert.ok(sent > 1000 && lost > 100 && duplicated > 100)
  const ended = delivered + lost + traffic['no-mapping'] + traffic.filtered
  // What is still under way when the run ends: less than one interval's worth.
  const underWay = sent + duplicated - ended
  assert.ok(underWay >= 0 && underWay < 100, `${underWay} under way`)
})

test('each copy of a datagram has bytes of its own, and the sender keeps its buffer', () => {
  const internet = new Internet({ seed: 1, defaultLink: { duplicateRate: 1 } })
  const a = new Toy(internet)
  const buffers: Uint8Array[] = []
  const b = new Toy(internet)
  internet.trace.listen((record) => {
    if (record.direction === 'receive') buffers.push(record.data)
  })
  a.dial(b.host.address)
  internet.run(100)
  assert.equal(buffers.length, 4)
  assert.equal(new Set(buffers.map((data) => data.buffer)).size, 4)
  assert.equal(new Set(buffers.map((data) => data.join())).size, 1)
})

test('a beacon reaches the LAN socket of every other host of the home, and nobody else', () => {
  const internet = new Internet({ seed: 1 })
  const nat = internet.addNat()
  const [a, b, c] = [1, 2, 3].map(() => new Toy(internet, { nat }))
  const stranger = new Toy(internet, { nat: {} })
  const server = new Toy(internet)
  assert.ok(a !== undefined && b !== undefined && c !== undefined)
  a.beacon()
  internet.run(10)
  assert.deepEqual(
    [a, b, c, stranger, server].map((toy) => toy.heard),
    [0, 1, 1, 0, 0],
  )
  assert.deepEqual(b.core.heard[0]?.from, { kind: 'udp', socket: 2, ...a.host.address })
  b.dial(b.lastFrom)
  internet.run(1)
  assert.deepEqual(a.core.heard[0]?.from, { kind: 'udp', socket: 0, ...b.host.address })
  assert.deepEqual(
    b.core.sockets.map(({ socket }) => socket),
    [0, 2],
  )
})

test('public hosts have LAN mates only in a segment that is named, and carriers have none', () => {
  const internet = new Internet({ seed: 1 })
  const [a, b] = [new Toy(internet, { segment: 'x' }), new Toy(internet, { segment: 'x' })]
  const alone = new Toy(internet)
  const carrier = internet.addNat({ inside: 'carrier' })
  const [phone, other] = [new Toy(internet, { nat: carrier }), new Toy(internet, { nat: carrier })]
  for (const toy of [a, alone, phone]) toy.beacon()
  internet.run(10)
  assert.deepEqual(
    [a, b, alone, phone, other].map((toy) => toy.heard),
    [0, 1, 0, 0, 0],
  )
})

test('a private address means somebody else in another home', () => {
  const internet = new Internet({ seed: 1 })
  const a = new Toy(internet, { nat: {}, port: 5 })
  const b = new Toy(internet, { nat: {}, port: 5 })
  assert.deepEqual(a.host.address, b.host.address)
  const nat = internet.addNat()
  const [c, d] = [new Toy(internet, { nat, port: 5 }), new Toy(internet, { nat, port: 5 })]
  d.dial(a.host.address)
  internet.run(100)
  assert.deepEqual([a.heard, b.heard, c.heard], [0, 0, 1])
  a.dial({ host: '192.168.1.99', port: 5 })
  internet.run(100)
  assert.equal(internet.network.traffic.unreachable, 1)
})

test('IPv6 needs no NAT; a firewall lets in only who was written to', () => {
  const internet = new Internet({ seed: 1 })
  const open = new Toy(internet, { nat: {}, ipv6: true })
  const shut = new Toy(internet, { nat: {}, ipv6: 'firewalled' })
  const [openAddress, shutAddress] = [open.host.ipv6Address, shut.host.ipv6Address]
  assert.ok(openAddress !== undefined && shutAddress !== undefined)
  open.dial(shutAddress)
  internet.run(100)
  assert.equal(shut.heard, 0)
  shut.dial(openAddress)
  internet.run(100)
  assert.equal(open.core.heard[0]?.from.socket, 1)
  open.dial(shutAddress)
  internet.run(100)
  assert.equal(shut.heard, 1)
  internet.run(120_000)
  open.dial(shutAddress)
  internet.run(100)
  assert.equal(shut.heard, 1)
})

test('hosts that share a line share its bandwidth', () => {
  const arrivals = (isShared: boolean) => {
    const internet = new Internet({ seed: 1 })
    const server = new Toy(internet, { link: { latencyMs: 0 } })
    const profile = { latencyMs: 0, bandwidthBps: 80_000 }
    const shared = internet.addLink(profile)
    const senders = [1, 2].map(() => new Toy(internet, { link: isShared ? shared : profile }, SIZE))
    for (const sender of senders) sender.dial(server.host.address)
    internet.run(1000)
    return server.core.heard.map(({ at }) => at)
  }
  const SIZE = { sizeBytes: 972 }
  assert.deepEqual(arrivals(false), [100, 100])
  assert.deepEqual(arrivals(true), [100, 200])
})

test('a datagram to nobody is dropped and counted', () => {
  const internet = new Internet({ seed: 1 })
  const a = new Toy(internet)
  const b = new Toy(internet)
  a.dial({ host: '203.0.113.1', port: 1 }, { ...b.host.address, port: 1 })
  internet.run(100)
  assert.equal(b.heard, 0)
  assert.equal(internet.network.traffic.unreachable, 2)
})

test('waiting for a condition stops at the event that makes it true, and throws when it never is', () => {
  const internet = new Internet({ seed: 9, defaultLink: { latencyMs: 10 } })
  const [a, b] = [new Toy(internet), new Toy(internet)]
  a.dial(b.host.address)
  assert.equal(
    internet.runUntil(() => b.heard === 1, 1000),
    20,
  )
  assert.throws(
    () => internet.runUntil(() => b.heard === 2, 1000),
    (error) =>
      error instanceof CheckFailure && /^seed 9, 1020\.000 ms: .*===\s*2/.test(error.message),
  )
})

test('what a callback throws fails the run, with seed, time and host', () => {
  const internet = new Internet({ seed: 5 })
  const host = internet.addHost({ name: 'alice' })
  const bug = new Error('expected 1, got 2')
  const core = new ToyCore(internet.random, 0 as Instant)
  const poll = core.poll.bind(core)
  let isTold = false
  core.poll = () => {
    if (isTold) return poll()
    isTold = true
    return { type: 'event', event: { type: 'state', state: 'online' } }
  }
  host.start(() => core, { onEvent: () => assert.fail(bug) })
  assert.throws(
    () => internet.run(1),
    (error) =>
      error instanceof CheckFailure &&
      error.cause === bug &&
      error.message === 'seed 5, 0.000 ms, alice: a callback threw: expected 1, got 2',
  )
})

test('an invariant that a core breaks fails the run', () => {
  const internet = new Internet({ seed: 5 })
  const [a, b] = [new Toy(internet), new Toy(internet, { name: 'bob' })]
  b.core.handle = () => {
    throw new Error('invariant: x')
  }
  a.dial(b.host.address)
  assert.throws(() => internet.run(100), /seed 5, 20\.000 ms, bob: the core failed: invariant: x/)
})

test('time that stands still is found out, and who holds it up and why', () => {
  const looping = new Internet({ seed: 1 })
  const again = () => looping.after(0, again)
  looping.after(5, again)
  assert.throws(() => looping.run(10), /seed 1, 5\.000 ms: time stands still .* action comes/)

  const restless = new Internet({ seed: 1 })
  const toy = new Toy(restless, { name: 'bob' })
  toy.core.deadline = () => ({ at: 3 as Instant, reason: 'keepalive' })
  toy.beacon()
  assert.throws(() => restless.run(10), /seed 1, 3\.000 ms, bob: time .* 'keepalive' comes/)
})

test('names are unique', () => {
  const internet = new Internet({ seed: 1 })
  internet.addHost({ name: 'a' })
  assert.throws(() => internet.addHost({ name: 'a' }), { code: 'EOPTION', message: /name/ })
})

/** Twenty hosts, half of them behind NATs, that all write to four public ones, which answer. */
function busy(options: InternetOptions): Internet {
  const internet = new Internet(options)
  const servers = [1, 2, 3, 4].map(() => new Toy(internet, {}, { echoes: true }))
  const targets = servers.map((toy) => toy.host.address)
  for (let i = 0; i < 20; i++) {
    const link = { jitterMs: i, latencyMs: 5 + i }
    const nat = i % 2 === 0 ? {} : undefined
    new Toy(internet, { link, nat }, { intervalMs: 90 + i, targets })
  }
  internet.run(2000)
  return internet
}

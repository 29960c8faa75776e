import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EPOCH_MS } from './clock.ts'
import { Internet } from './internet.ts'
import { Toy } from './toy.fixture.ts'

test('a partition cuts both ways or one way, and heals', () => {
  for (const isOneWay of [false, true]) {
    const internet = new Internet({ seed: 1 })
    const [a, b, c] = [new Toy(internet), new Toy(internet), new Toy(internet)]
    const heal = internet.partition([a.host], [b.host], { isOneWay })
    const exchange = () => {
      a.dial(b.host.address, c.host.address)
      b.dial(a.host.address)
      internet.run(100)
      return [a.heard, b.heard, c.heard]
    }
    assert.deepEqual(exchange(), [isOneWay ? 1 : 0, 0, 1])
    assert.equal(internet.network.traffic.partitioned, isOneWay ? 1 : 2)
    heal()
    assert.deepEqual(exchange(), [isOneWay ? 2 : 1, 1, 2])
  }
})

test('a crashed host is silent, hears nothing, and keeps its disk', () => {
  const internet = new Internet({ seed: 1 })
  const b = new Toy(internet)
  const a = new Toy(internet, {}, { intervalMs: 10, targets: [b.host.address] })
  a.store(1, Uint8Array.of(1, 2, 3))
  internet.run(100)
  a.host.crash()
  assert.equal(a.host.isRunning, false)
  internet.run(100)
  const heard = b.heard
  b.dial(a.host.address)
  internet.run(1000)
  assert.equal(b.heard, heard)
  assert.equal(a.heard, 0)
  assert.equal(internet.network.traffic['host-down'], 1)
  a.host.restart()
  assert.deepEqual(a.core.loaded, [{ key: 'toy/1', value: Uint8Array.of(1, 2, 3) }])
  internet.run(100)
  assert.ok(b.heard > heard)
})

test('every run of a host draws other random numbers, from a monotonic clock at zero', () => {
  const internet = new Internet({ seed: 1 })
  const b = new Toy(internet)
  const a = new Toy(internet, {}, { intervalMs: 1000, targets: [b.host.address] })
  internet.run(100)
  a.host.restart()
  internet.run(100)
  const [first, second] = b.core.heard.map(({ data }) => data)
  assert.ok(first !== undefined && second !== undefined)
  assert.notDeepEqual(first, second)
  assert.equal(a.core.wakes[0]?.at, 0)
})

test('a crash may lose the last writes, and a record may be damaged', () => {
  const internet = new Internet({ seed: 1 })
  const a = new Toy(internet)
  for (const number of [1, 2, 3]) a.store(number, Uint8Array.of(number, number))
  a.store(1, Uint8Array.of(9, 9))
  a.host.crash(2)
  assert.equal(a.host.storage.corrupt('toy/2'), true)
  assert.equal(a.host.storage.corrupt('toy/3'), false)
  a.host.restart()
  assert.deepEqual(a.core.loaded, [
    { key: 'toy/1', value: Uint8Array.of(1, 1) },
    { key: 'toy/2', value: Uint8Array.of(2, 2 ^ 0x10) },
  ])
})

test('a disk that fails is reported and the core goes on', () => {
  const internet = new Internet({ seed: 1 })
  const a = new Toy(internet)
  a.host.storage.failsWrites = true
  a.store(1, Uint8Array.of(1))
  assert.deepEqual(
    a.host.portErrors.map(({ port, error }) => `${port}: ${error}`),
    ['storage: Error: simulated: the disk is full'],
  )
  a.host.storage.failsLoads = true
  a.host.restart()
  assert.equal(a.host.portErrors.length, 2)
  assert.equal(a.host.isRunning, true)
})

test('a stopped host hears nothing more, and may be started again', () => {
  const internet = new Internet({ seed: 1 })
  const [a, b] = [new Toy(internet), new Toy(internet)]
  a.host.stop()
  assert.throws(() => a.dial(b.host.address), { code: 'ENOTSTARTED' })
  b.dial(a.host.address)
  internet.run(100)
  assert.equal(a.heard, 0)
  a.host.restart()
  b.dial(a.host.address)
  internet.run(100)
  assert.equal(a.heard, 1)
})

test('a sleeping host loses what is sent to it, and its timers wait', () => {
  for (const monotonicJumps of [false, true]) {
    const internet = new Internet({ seed: 1 })
    const b = new Toy(internet)
    const a = new Toy(internet, {}, { intervalMs: 1000, targets: [b.host.address] })
    internet.run(2500)
    const wakes = () => a.core.wakes.map(({ at, wall }) => [at, wall - EPOCH_MS])
    assert.equal(wakes().length, 3)
    a.host.sleep()
    b.dial(a.host.address)
    internet.run(60_000)
    assert.equal(a.heard, 0)
    assert.equal(wakes().length, 3)
    a.host.wake({ monotonicJumps })
    internet.run(600)
    // Half of the interval was left: it ends 500 ms after waking, or was over long before.
    const expected = monotonicJumps ? [62_500, 62_500] : [3000, 63_000]
    assert.deepEqual(wakes()[3], expected)
    b.dial(a.host.address)
    internet.run(50)
    assert.equal(a.heard, 1)
  }
})

test('a nap shorter than a timer puts it off by as long, and it fires once', () => {
  const internet = new Internet({ seed: 1 })
  const b = new Toy(internet)
  const a = new Toy(internet, {}, { intervalMs: 1000, targets: [b.host.address] })
  internet.run(400)
  a.host.sleep()
  internet.run(100)
  a.host.wake()
  const pending = internet.queue.size
  internet.run(2000)
  assert.equal(pending, 1)
  assert.deepEqual(
    a.core.wakes.map(({ wall }) => wall - EPOCH_MS),
    [0, 1100, 2100],
  )
})

test('wall clocks may be wrong, and monotonic time does not care', () => {
  const internet = new Internet({ seed: 1 })
  const b = new Toy(internet)
  const options = { clockSkewMs: -3_600_000 }
  const a = new Toy(internet, options, { intervalMs: 1000, targets: [b.host.address] })
  internet.run(500)
  a.host.setClockSkew(5000)
  internet.run(1000)
  assert.deepEqual(a.core.wakes, [
    { at: 0, wall: EPOCH_MS - 3_600_000 },
    { at: 1000, wall: EPOCH_MS + 6000 },
  ])
})

test('a host that moves gets another address, is told so, and loses what was sent to the old one', () => {
  const internet = new Internet({ seed: 1 })
  const [a, b] = [new Toy(internet, { ipv6: true }), new Toy(internet)]
  const before = a.host.address
  b.dial(before)
  internet.move(a.host, { nat: {} })
  internet.run(100)
  assert.equal(a.heard, 0)
  b.dial(before)
  internet.run(100)
  assert.equal(a.heard, 0)
  const told = a.core.sockets.map(({ socket, state, addresses }) => [
    socket,
    state,
    addresses[0]?.host,
  ])
  assert.deepEqual(told.slice(2), [
    [0, 'up', '192.168.1.10'],
    [1, 'down', undefined],
    [2, 'up', undefined],
  ])
  a.dial(b.host.address)
  internet.run(100)
  assert.equal(b.lastFrom.host, a.host.place.nat?.addresses[0])
})

test('a router that reboots forgets its mappings, and may come back with another address', () => {
  for (const changesAddress of [false, true]) {
    const internet = new Internet({ seed: 1 })
    const server = new Toy(internet)
    const client = new Toy(internet, { nat: { allocation: 'sequential' } })
    client.dial(server.host.address)
    internet.run(100)
    const before = server.lastFrom
    const nat = client.host.place.nat
    assert.ok(nat !== undefined)
    internet.rebootNat(nat, { changesAddress })
    server.dial(before)
    internet.run(100)
    assert.equal(client.heard, 0)
    client.dial(server.host.address)
    internet.run(100)
    assert.equal(server.lastFrom.host === before.host, !changesAddress)
    assert.notDeepEqual(server.lastFrom, before)
    server.dial(server.lastFrom)
    internet.run(100)
    assert.equal(client.heard, 1)
  }
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type LocalAddress, SOCKET_SCRATCH } from '../core/io.ts'
import { DYNAMIC_PORTS } from './addresses.ts'
import { checkPorts } from './check.ts'
import { Internet } from './internet.ts'
import { Toy } from './toy.fixture.ts'

const [FIRST, SECOND] = [SOCKET_SCRATCH, SOCKET_SCRATCH + 1]

function publicPair(): { internet: Internet; a: Toy; b: Toy } {
  const internet = new Internet({ seed: 1 })
  return { internet, a: new Toy(internet, { name: 'a' }), b: new Toy(internet, { name: 'b' }) }
}

test('a scratch socket is up at once on the address of the host and a port of its own', () => {
  const { a } = publicPair()
  a.bind(FIRST)
  a.bind(SECOND)
  const ports = [FIRST, SECOND].map((socket) => {
    const { host, port } = a.addressOf(socket)
    assert.equal(host, a.host.address.host)
    return port
  })
  assert.equal(new Set([a.host.port, ...ports]).size, 3)
  assert.deepEqual(
    a.core.sockets.slice(1).map(({ socket, state }) => [socket, state]),
    [
      [FIRST, 'up'],
      [SECOND, 'up'],
    ],
  )
})

test('a scratch socket hears and is heard under its own number and port', () => {
  const { internet, a, b } = publicPair()
  a.bind(FIRST)
  a.bind(SECOND)
  for (const socket of [FIRST, SECOND]) {
    a.dialFrom(socket, b.host.address)
    internet.run(100)
    assert.deepEqual(b.lastFrom, a.addressOf(socket))
    b.dial(b.lastFrom)
    internet.run(100)
    assert.equal(a.core.heard.at(-1)?.from.socket, socket)
    assert.deepEqual(a.lastFrom, b.host.address)
  }
  b.dial(a.host.address)
  internet.run(100)
  assert.equal(a.core.heard.at(-1)?.from.socket, 0)
})

test('a datagram for a socket that was let go, or from one, is unreachable', () => {
  const { internet, a, b } = publicPair()
  a.bind(FIRST)
  const address = a.addressOf(FIRST)
  b.dial(address)
  internet.run(1)
  a.unbind(FIRST)
  a.unbind(FIRST)
  a.unbind(SECOND)
  internet.run(100)
  assert.equal(internet.network.traffic.unreachable, 1)
  a.dialFrom(FIRST, b.host.address)
  internet.run(100)
  assert.equal(internet.network.traffic.unreachable, 2)
  assert.equal(a.heard + b.heard, 0)
  assert.equal(a.host.scratchSockets, 0)
  checkPorts(internet)
})

test('behind a NAT each scratch socket has a mapping of its own', () => {
  const internet = new Internet({ seed: 1 })
  const server = new Toy(internet, {}, { echoes: true })
  const nat = internet.addNat({ allocation: 'sequential' })
  const [a, other] = [new Toy(internet, { nat }), new Toy(internet, { nat })]
  const sockets = [0, FIRST, SECOND]
  for (const socket of sockets.slice(1)) for (const toy of [a, other]) toy.bind(socket)
  for (const socket of sockets) a.dialFrom(socket, server.host.address)
  internet.run(100)
  const ports = server.core.heard.map(({ from }) => from.port)
  const [first = 0] = ports
  assert.deepEqual(ports, [first, first + 1, first + 2])
  assert.deepEqual(
    a.core.heard.map(({ from }) => from.socket),
    sockets,
    'every echo finds its socket',
  )
  assert.equal(other.heard, 0)
})

test('a partition and a sleeping machine stop scratch sockets too', () => {
  const { internet, a, b } = publicPair()
  a.bind(FIRST)
  const heal = internet.partition([a.host], [b.host])
  b.dial(a.addressOf(FIRST))
  internet.run(100)
  heal()
  a.host.sleep()
  b.dial(a.addressOf(FIRST))
  internet.run(100)
  assert.equal(a.heard, 0)
  const { partitioned, 'host-down': down } = internet.network.traffic
  assert.deepEqual([partitioned, down], [1, 1])
})

test('a host that moves reports its scratch sockets down before it tells the other addresses', () => {
  const { internet, a, b } = publicPair()
  a.bind(FIRST)
  a.bind(SECOND)
  const before = a.addressOf(FIRST)
  internet.move(a.host, {})
  assert.deepEqual(
    a.core.sockets.slice(-3).map(({ socket, state }) => [socket, state]),
    [
      [FIRST, 'down'],
      [SECOND, 'down'],
      [0, 'up'],
    ],
  )
  assert.equal(a.host.scratchSockets, 0)
  a.dialFrom(FIRST, b.host.address)
  b.dial(before, { host: a.host.address.host, port: before.port })
  internet.run(100)
  assert.equal(a.heard + b.heard, 0)
  assert.equal(internet.network.traffic.unreachable, 3)
})

test('scratch sockets end with the core that asked for them, however it ends', () => {
  for (const end of [(toy: Toy) => toy.host.stop(), (toy: Toy) => toy.host.crash()]) {
    const { internet, a, b } = publicPair()
    a.bind(FIRST)
    const address = a.addressOf(FIRST)
    end(a)
    assert.equal(a.host.scratchSockets, 0)
    a.host.restart()
    b.dial(address)
    internet.run(100)
    assert.equal(a.heard, 0)
    a.bind(FIRST)
    assert.notDeepEqual(a.addressOf(FIRST), address, 'a port is not used again at once')
  }
})

test('every dynamic port can be had once, the next bind is down, and a freed port is found', () => {
  const { internet, a } = publicPair()
  const free = DYNAMIC_PORTS - 1
  for (let n = 0; n < free; n++) a.bind(SOCKET_SCRATCH + n)
  assert.equal(a.host.scratchSockets, free)
  assert.equal(a.core.sockets.at(-1)?.state, 'up')
  a.bind(SOCKET_SCRATCH + free)
  assert.equal(a.core.sockets.at(-1)?.state, 'down')
  const { port } = a.addressOf(FIRST)
  a.unbind(FIRST)
  a.bind(SOCKET_SCRATCH + free + 1)
  assert.equal(a.addressOf(SOCKET_SCRATCH + free + 1).port, port)
  checkPorts(internet)
})

test('a forward lets strangers in through any filter, and what its socket sends leaves from there', () => {
  const internet = new Internet({ seed: 1 })
  const [server, stranger] = [new Toy(internet, {}), new Toy(internet, {})]
  const nat = internet.addNat({ mapping: 'address-and-port-dependent', allocation: 'random' })
  const a = new Toy(internet, { nat })
  const mapped = nat.forward(a.host.address, 40_404)
  const [host = ''] = nat.addresses
  assert.deepEqual(mapped, { host, port: 40_404 })
  stranger.dial(mapped)
  a.dial(server.host.address)
  internet.run(100)
  assert.equal(a.heard, 1)
  assert.deepEqual(server.lastFrom, mapped)
  internet.rebootNat(nat)
  stranger.dial(mapped)
  a.dial(server.host.address)
  internet.run(100)
  assert.equal(a.heard, 1, 'a router forgets its forwards with its power')
  assert.notDeepEqual(server.lastFrom, mapped)
})

test('a core hears of port mappings that are granted and lost', () => {
  const { a } = publicPair()
  const external: LocalAddress = { host: '20.9.9.9', port: 40_404 }
  a.host.tellPortMapping({ protocol: 'pcp', external })
  a.host.tellPortMapping(undefined)
  assert.deepEqual(a.core.portMappings, [{ protocol: 'pcp', external }, undefined])
})

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import {
  type Endpoint,
  type LocalAddress,
  SOCKET_IPV4,
  SOCKET_IPV6,
  SOCKET_SCRATCH,
} from '../core/io.ts'
import { transportSuite } from '../testing/transport-suite.ts'
import { HostError } from './host-error.ts'
import { hostsOf } from './interfaces.ts'
import { openUdp, type UdpOptions } from './udp.ts'

transportSuite('UDP on every interface', () => openUdp({ lan: false }))
transportSuite('UDP on 127.0.0.1 alone', () => openUdp({ lan: false, host: '127.0.0.1' }))

const hasIpv6 = hostsOf((await import('node:os')).networkInterfaces()).hasIpv6

interface Opened {
  readonly up: Map<number, readonly LocalAddress[]>
  readonly down: number[]
  readonly heard: Endpoint[]
  readonly transport: Awaited<ReturnType<typeof openUdp>>
}

async function open(options: UdpOptions): Promise<Opened> {
  const transport = await openUdp({ lan: false, ...options })
  const up = new Map<number, readonly LocalAddress[]>()
  const heard: Endpoint[] = []
  const down: number[] = []
  transport.open({
    datagram: (from) => heard.push(from),
    socket: (socket, state, addresses) => {
      if (state === 'up') up.set(socket, addresses)
      else {
        up.delete(socket)
        down.push(socket)
      }
    },
    portMapping: () => {},
  })
  return { up, down, heard, transport }
}

test('both families get one port', { skip: !hasIpv6 && 'no IPv6' }, async () => {
  const { up, transport } = await open({})
  transport.close()
  const ports = [...up.values()].flat().map((address) => address.port)
  assert.ok(up.has(SOCKET_IPV4) && up.has(SOCKET_IPV6))
  assert.deepEqual(new Set(ports), new Set([transport.port]))
})

test('one address is used when one is asked for', async () => {
  const { up, transport } = await open({ host: '127.0.0.1' })
  transport.close()
  const expected = [[SOCKET_IPV4, [{ host: '127.0.0.1', port: transport.port }]]]
  assert.deepEqual([...up], expected)
})

test('IPv6 datagrams carry the sender as it is written', {
  skip: !hasIpv6 && 'no IPv6',
}, async () => {
  const alice = await open({ host: '::1' })
  const bob = await open({ host: '::1' })
  const to: Endpoint = { kind: 'udp', socket: 1, host: '::1', port: bob.transport.port }
  for (let n = 0; n < 50 && bob.heard.length === 0; n++) {
    alice.transport.send(to, Uint8Array.of(0xc0))
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  alice.transport.close()
  bob.transport.close()
  assert.deepEqual(bob.heard[0], { ...to, port: alice.transport.port })
})

test('a busy port is an error that says what to do', async () => {
  const holder = createSocket('udp4')
  await new Promise<void>((resolve) => holder.bind(0, resolve))
  const { port } = holder.address()
  try {
    await assert.rejects(openUdp({ port, lan: false }), (error) => {
      assert.ok(error instanceof HostError)
      assert.equal(error.code, 'EADDRINUSE')
      assert.match(error.message, new RegExp(`port ${port} is in use`))
      assert.match(error.help, /another `port`/)
      return true
    })
  } finally {
    holder.close()
  }
})

test('an address that is not ours is an error that says what to do', async () => {
  await assert.rejects(openUdp({ host: '203.0.113.77' }), { code: 'EADDRNOTAVAIL', help: /host/ })
})

test("a port or host that is none is the caller's fault, named", async () => {
  await assert.rejects(openUdp({ port: 65536 }), /port: expected an integer .* got 65536/)
  await assert.rejects(openUdp({ port: 1.5 }), { code: 'EBADARG' })
  await assert.rejects(openUdp({ host: 'localhost' }), /host: expected an IP address .* localhost/)
})

test('link-local IPv6 is not told to others, and loopback only when there is nothing else', () => {
  const common = { netmask: '', mac: '', cidr: null }
  const v4 = (address: string, internal = false) =>
    ({ ...common, address, internal, family: 'IPv4' }) as const
  const v6 = (address: string, internal = false) =>
    ({ ...common, address, internal, family: 'IPv6', scopeid: 0 }) as const
  const lo = [v4('127.0.0.1', true), v6('::1', true)]
  assert.deepEqual(hostsOf({ lo }), {
    ipv4: ['127.0.0.1'],
    ipv6: ['::1'],
    hasIpv4: true,
    hasIpv6: true,
    links: ['127.0.0.1'],
  })
  const eth0 = [v4('10.0.0.2'), v6('fe80::1'), v6('2001:db8::2')]
  assert.deepEqual(hostsOf({ lo: [v4('127.0.0.1', true)], eth0, eth1: eth0 }), {
    ipv4: ['10.0.0.2'],
    ipv6: ['2001:db8::2'],
    hasIpv4: true,
    hasIpv6: true,
    links: ['127.0.0.1', '10.0.0.2'],
  })
})

const fixture = fileURLToPath(new URL('./udp.fixture.ts', import.meta.url))

test('an open transport keeps the process alive and a closed one lets it exit', async () => {
  const child = spawn(process.execPath, ['--import', 'tsx', fixture], { stdio: 'pipe' })
  let said = ''
  child.stdout.on('data', (data) => {
    said += String(data)
  })
  await new Promise<void>((resolve) => child.stdout.once('data', () => resolve()))
  await new Promise((resolve) => setTimeout(resolve, 300))
  assert.equal(child.exitCode, null)
  child.stdin.end('close\n')
  const exitCode = await new Promise((resolve) => child.once('exit', resolve))
  assert.equal(exitCode, 0)
  assert.match(said, /open/)
})

const canUnshare = spawnSync('unshare', ['-rn', 'true']).status === 0

test('a machine without IPv6 has no IPv6 socket, and addresses that come and go are told', {
  skip: !canUnshare && 'needs network namespaces (util-linux unshare)',
}, () => {
  const script = [
    'mount -t proc proc /proc 2>/dev/null',
    'echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6',
    'ip link set lo up',
    `exec "$0" --import tsx "$1" addresses`,
  ].join('; ')
  const child = spawnSync('unshare', ['-rnm', 'sh', '-c', script, process.execPath, fixture], {
    encoding: 'utf8',
  })
  assert.equal(child.stderr, '')
  const lines = child.stdout.trim().split('\n')
  assert.deepEqual(lines, [
    '0 up 127.0.0.1',
    '16 up 127.0.0.1',
    '0 up 10.9.8.7',
    '16 up 10.9.8.7',
    '0 down',
    '16 down',
  ])
})

test('a process that may open no more files gets no more scratch sockets, and goes on', {
  skip: process.platform === 'win32' && 'needs ulimit',
}, () => {
  const script = 'ulimit -n 100; exec "$0" --import tsx "$1" sockets 256'
  const child = spawnSync('sh', ['-c', script, process.execPath, fixture], { encoding: 'utf8' })
  assert.equal(child.stderr, '')
  const [, up, down] = /^(\d+) up, (\d+) down$/.exec(child.stdout.trim()) ?? []
  assert.equal(Number(up) + Number(down), 256)
  assert.ok(Number(up) > 0 && Number(down) > 100, child.stdout)
})

test('a transport of IPv6 alone has no scratch sockets, and says so', {
  skip: !hasIpv6 && 'no IPv6',
}, async () => {
  const { transport, down } = await open({ host: '::1' })
  transport.bind(SOCKET_SCRATCH)
  transport.close()
  assert.deepEqual(down, [SOCKET_SCRATCH])
})

test('a number that names no scratch socket to be is a fault of the caller', async () => {
  const { transport } = await open({ host: '127.0.0.1' })
  transport.bind(SOCKET_SCRATCH)
  for (const socket of [SOCKET_IPV4, SOCKET_SCRATCH, 16.5]) {
    assert.throws(() => transport.bind(socket), { code: 'EBADARG' })
  }
  transport.close()
})

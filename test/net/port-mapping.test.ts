import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { commandPath, ROOT } from '../../scripts/checkout.ts'
import type { LocalAddress } from '../../src/core/io.ts'
import { Host, namespacesMissing } from './namespaces.fixture.ts'
import { Process } from './process.fixture.ts'
import { undoAfter } from './undo.fixture.ts'

const hasCommands = [['miniupnpd'], ['nft']].every((names) => commandPath(names) !== undefined)
const missing =
  namespacesMissing !== false || hasCommands
    ? namespacesMissing
    : 'needs miniupnpd (of miniupnpd-nftables) and nft'
const LIMIT = { timeout: 40_000, skip: missing }

/**
 * The daemon maps nothing on a router whose own address is private or reserved, 198.18.0.0/15 among
 * them: the internet of these tests, which no packet leaves, has addresses of somebody else's.
 */
const ROUTER = '1.2.3.1'
const STRANGER = '1.2.3.2'
const INSIDE = '192.168.7.2'
const PORT = 4242

for (const protocol of ['pcp', 'nat-pmp', 'upnp'])
  test(
    `by ${protocol} a router opens a port to strangers, and closes it after us`,
    LIMIT,
    async (t) => {
      const home = await homeWithDaemon(t)
      const peer = home.start(t, protocol)
      const { mapping, ms } = await peer.tells('mapping')
      t.diagnostic(`mapped after ${ms} ms`)
      assert.equal(mapping.protocol, protocol)
      assert.equal(mapping.external.host, ROUTER)
      assert.deepEqual(home.forwards(), [`${mapping.external.port} to ${INSIDE}:${PORT}`])

      home.strangerSays('never met', mapping.external)
      assert.equal((await peer.tells('datagram', { text: 'never met' })).from, STRANGER)

      peer.command('close')
      assert.equal(await peer.exit(), 0)
      assert.equal(peer.errors, '')
      assert.deepEqual(home.forwards(), [], 'the mapping is gone')
    },
  )

test('asked in every way a router is left with one mapping, by PCP', LIMIT, async (t) => {
  const home = await homeWithDaemon(t)
  const peer = home.start(t)
  const { mapping } = await peer.tells('mapping')
  assert.equal(mapping.protocol, 'pcp')
  assert.equal(home.forwards().length, 1)
  peer.command('close')
  assert.equal(await peer.exit(), 0)
  assert.deepEqual(home.forwards(), [])
})

test('one that was killed gets its port back, and leaves no second mapping', LIMIT, async (t) => {
  const home = await homeWithDaemon(t)
  const first = home.start(t)
  const { mapping } = await first.tells('mapping')
  await first.kill()
  const again = home.start(t)
  assert.deepEqual((await again.tells('mapping')).mapping, mapping)
  assert.equal(home.forwards().length, 1)
})

test('a host that moves to another address asks for it there', LIMIT, async (t) => {
  const home = await homeWithDaemon(t)
  const peer = home.start(t, 'pcp')
  await peer.tells('mapping')
  const before = peer.told.length
  home.move('192.168.7.99')
  const { mapping } = await peer.tells('mapping', {}, before)
  assert.equal(mapping.external.host, ROUTER)
  const moved = `${mapping.external.port} to 192.168.7.99:${PORT}`
  assert.ok(home.forwards().includes(moved), home.forwards().join())
})

test(
  'without a router that maps, the transport opens as ever, unreached, and ends at once',
  LIMIT,
  async (t) => {
    const home = await homeWithDaemon(t)
    await home.daemon.kill()
    const peer = home.start(t)
    const { ms } = await peer.tells('socket', { socket: 0, state: 'up' })
    assert.ok(ms < 1_000, `opened after ${ms} ms`)
    home.strangerSays('unasked', { host: ROUTER, port: PORT })
    const startedAt = performance.now()
    peer.command('close')
    assert.equal(await peer.exit(), 0)
    const tookMs = Math.round(performance.now() - startedAt)
    t.diagnostic(`closed in ${tookMs} ms`)
    assert.ok(tookMs < 1_000, `closed in ${tookMs} ms`)
    const heard = peer.told.filter(({ type }) => type !== 'socket' && type !== 'closed')
    assert.deepEqual(heard, [], 'neither a mapping nor the stranger')
  },
)

const TABLE = `
table inet filter {
  chain forward {
    type filter hook forward priority 0; policy drop
    iifname "in" accept
    ct state established,related accept
    jump miniupnpd
  }
  chain prerouting {
    type nat hook prerouting priority -100
    jump prerouting_miniupnpd
  }
  chain postrouting {
    type nat hook postrouting priority 100
    jump postrouting_miniupnpd
    oifname "out" masquerade
  }
  chain miniupnpd { }
  chain prerouting_miniupnpd { }
  chain postrouting_miniupnpd { }
}
`
const DAEMON = `
ext_ifname=out
listening_ip=in
http_port=0
enable_upnp=yes
enable_natpmp=yes
secure_mode=yes
uuid=6c617469-6361-4000-8000-000000000001
allow 1024-65535 0.0.0.0/0 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
`
const PEER = fileURLToPath(new URL('port-mapping.fixture.ts', import.meta.url))
/** Its first argument is the address to send to, its second the text. */
const SAY = `
  const [to, text] = process.argv.slice(1)
  const { host, port } = JSON.parse(to)
  const socket = require('node:dgram').createSocket('udp4')
  socket.send(text, port, host, () => socket.close())
`

/** A host, its router that masquerades and runs Debian's miniupnpd, and a stranger outside. */
async function homeWithDaemon(t: TestContext) {
  const [inside, router, stranger] = ['inside', 'router', 'stranger'].map(
    (name) => new Host(t, name),
  )
  assert.ok(inside && router && stranger)
  inside.cable('eth0', `${INSIDE}/24`, router, 'in', '192.168.7.1/24')
  stranger.cable('eth0', `${STRANGER}/24`, router, 'out', `${ROUTER}/24`)
  const byDefault = () => inside.ip('route', 'add', 'default', 'via', '192.168.7.1')
  byDefault()
  router.setting('net/ipv4/ip_forward', '1')
  const folder = mkdtempSync(join(tmpdir(), 'latica-test-'))
  undoAfter(t, () => rmSync(folder, { recursive: true, force: true }))
  const config = join(folder, 'miniupnpd.conf')
  writeFileSync(config, DAEMON)
  router.run(['nft', '-f', '-'], TABLE)
  const command = `exec miniupnpd -d -f ${config} -P ${join(folder, 'pid')} 2>&1`
  const daemon = new Process(t, 'miniupnpd', [...router.prefix, 'sh', '-c', command])
  await daemon.line(/Listening for NAT-PMP/)
  const node = [process.execPath, '--import', 'tsx', PEER, String(PORT)]
  return {
    daemon,
    start: (t: TestContext, ...protocols: string[]) =>
      new Process(t, 'peer', [...inside.prefix, ...node, ...protocols], { cwd: ROOT }),
    /** What the router forwards, as `port to host:port`. */
    forwards: () => {
      const chain = router.run(['nft', 'list', 'chain', 'inet', 'filter', 'prerouting_miniupnpd'])
      const rules = chain.matchAll(/dport (\d+) dnat ip to (\S+)/g)
      return [...rules].map(([, port, to]) => `${port} to ${to}`)
    },
    strangerSays: (text: string, to: LocalAddress) =>
      void stranger.run([process.execPath, '-e', SAY, JSON.stringify(to), text]),
    move: (host: string) => {
      inside.ip('addr', 'del', `${INSIDE}/24`, 'dev', 'eth0')
      inside.ip('addr', 'add', `${host}/24`, 'dev', 'eth0')
      byDefault()
    },
  }
}

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { ROOT } from '../../scripts/checkout.ts'
import type { LocalAddress } from '../../src/core/io.ts'
import {
  homeWithDaemon,
  INSIDE,
  mappingHomeMissing,
  ROUTER,
  STRANGER,
} from './mapping-home.fixture.ts'
import { Process } from './process.fixture.ts'

const LIMIT = { timeout: 40_000, skip: mappingHomeMissing }
const PORT = 4242

for (const protocol of ['pcp', 'nat-pmp', 'upnp'])
  test(
    `by ${protocol} a router opens a port to strangers, and closes it after us`,
    LIMIT,
    async (t) => {
      const home = await homeWithPeers(t)
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
  const home = await homeWithPeers(t)
  const peer = home.start(t)
  const { mapping } = await peer.tells('mapping')
  assert.equal(mapping.protocol, 'pcp')
  assert.equal(home.forwards().length, 1)
  peer.command('close')
  assert.equal(await peer.exit(), 0)
  assert.deepEqual(home.forwards(), [])
})

test('one that was killed gets its port back, and leaves no second mapping', LIMIT, async (t) => {
  const home = await homeWithPeers(t)
  const first = home.start(t)
  const { mapping } = await first.tells('mapping')
  await first.kill()
  const again = home.start(t)
  assert.deepEqual((await again.tells('mapping')).mapping, mapping)
  assert.equal(home.forwards().length, 1)
})

test('a host that moves to another address asks for it there', LIMIT, async (t) => {
  const home = await homeWithPeers(t)
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
    const home = await homeWithPeers(t)
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

const PEER = fileURLToPath(new URL('port-mapping.fixture.ts', import.meta.url))
/** Its first argument is the address to send to, its second the text. */
const SAY = `
  const [to, text] = process.argv.slice(1)
  const { host, port } = JSON.parse(to)
  const socket = require('node:dgram').createSocket('udp4')
  socket.send(text, port, host, () => socket.close())
`

/** What is started there is a peer's transport, at `PORT`. */
async function homeWithPeers(t: TestContext) {
  const home = await homeWithDaemon(t)
  const { inside, stranger } = home
  const node = [process.execPath, '--import', 'tsx', PEER, String(PORT)]
  return {
    ...home,
    start: (t: TestContext, ...protocols: string[]) =>
      new Process(t, 'peer', [...inside.prefix, ...node, ...protocols], { cwd: ROOT }),
    strangerSays: (text: string, to: LocalAddress) =>
      void stranger.run([process.execPath, '-e', SAY, JSON.stringify(to), text]),
  }
}

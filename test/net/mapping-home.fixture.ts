import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { commandPath } from '../../scripts/checkout.ts'
import { Host, namespacesMissing } from './namespaces.fixture.ts'
import { Process } from './process.fixture.ts'
import { undoAfter } from './undo.fixture.ts'

/** A home whose router runs Debian's miniupnpd, and who is outside. It decides nothing about who asks. */

const hasCommands = [['miniupnpd'], ['nft']].every((names) => commandPath(names) !== undefined)

/** False, or why a test that needs such a home is left out. */
export const mappingHomeMissing =
  namespacesMissing !== false || hasCommands
    ? namespacesMissing
    : 'needs miniupnpd (of miniupnpd-nftables) and nft'

/**
 * The daemon maps nothing on a router whose own address is private or reserved, 198.18.0.0/15 among
 * them: the internet of these tests, which no packet leaves, has addresses of somebody else's.
 */
export const ROUTER = '1.2.3.1'
export const STRANGER = '1.2.3.2'
export const INSIDE = '192.168.7.2'

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

/** A host, its router that masquerades and runs the daemon, and a stranger outside. */
export async function homeWithDaemon(t: TestContext) {
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
  return {
    inside,
    stranger,
    daemon,
    /** What the router forwards, as `port to host:port`. */
    forwards: () => {
      const chain = router.run(['nft', 'list', 'chain', 'inet', 'filter', 'prerouting_miniupnpd'])
      const rules = chain.matchAll(/dport (\d+) dnat ip to (\S+)/g)
      return [...rules].map(([, port, to]) => `${port} to ${to}`)
    },
    move: (host: string) => {
      inside.ip('addr', 'del', `${INSIDE}/24`, 'dev', 'eth0')
      inside.ip('addr', 'add', `${host}/24`, 'dev', 'eth0')
      byDefault()
    },
  }
}

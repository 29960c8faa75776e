import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultGateway, readUplink } from './uplink.ts'

const HEAD = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT'
const row = (...cells: string[]) => [...cells, '0', '0', '0'].join('\t')
const table = (...rows: string[]) => `${[HEAD, ...rows].join('\n')}\n`

test('the default gateway is the one of the default route that the kernel prefers', () => {
  const link = row('eth0', '0007A8C0', '00000000', '0001', '0', '0', '0', '00FFFFFF')
  const wireless = row('wlan0', '00000000', '0108A8C0', '0003', '0', '0', '600', '00000000')
  const wired = row('eth0', '00000000', '0107A8C0', '0003', '0', '0', '100', '00000000')
  assert.equal(defaultGateway(table(link, wireless, wired)), '192.168.7.1')
  assert.equal(defaultGateway(table(link, wireless)), '192.168.8.1')
})

test('a table without a usable default route tells of no gateway', () => {
  const direct = row('eth0', '00000000', '00000000', '0001', '0', '0', '0', '00000000')
  const down = row('eth0', '00000000', '0107A8C0', '0002', '0', '0', '0', '00000000')
  const half = row('tun0', '00000000', '0100080A', '0003', '0', '0', '0', '00000080')
  const odd = row('eth0', '00000000', '0107A8', '0003', '0', '0', '0', '00000000')
  for (const text of [
    '',
    HEAD,
    'what\tis\tthis',
    table(direct),
    table(down),
    table(half),
    table(odd),
  ])
    assert.equal(defaultGateway(text), undefined, text)
})

test('a socket without a private address has no uplink to ask', async () => {
  for (const hosts of [[], ['127.0.0.1'], ['198.18.1.2'], ['fd00::1'], ['not an address']])
    assert.equal(await readUplink(hosts), undefined, hosts.join())
})

test('an address that no interface has leads nowhere', async () => {
  assert.equal(await readUplink(['10.255.254.253']), undefined)
})

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { FakeRouter } from './fake-router.fixture.ts'
import { CONFLICT_IN_MAPPING, element, ONLY_PERMANENT_LEASES } from './igd.ts'
import type { Wanted } from './lease.ts'
import { probeUpnp } from './upnp.ts'

const LIMIT = { timeout: 15_000 }
const NEVER = new AbortController().signal
const SERVICE = 'urn:schemas-upnp-org:service:WANIPConnection:1'
const WANTED: Wanted = { uplink: { host: '127.0.0.1', gateway: undefined }, port: 4242 }
const DESCRIPTION = `<root><service><serviceType>${SERVICE}</serviceType>
  <controlURL>/ctl</controlURL></service></root>`

interface Asked {
  readonly action: string
  readonly body: string
}

interface Gateway {
  readonly description?: string
  readonly host?: string
  /** The error that answers an AddPortMapping, if any. */
  readonly refuse?: (asked: Asked, nth: number) => string | undefined
}

/** What a gateway on loopback says when it is searched for. */
function answerOf(port: number, path: string): string {
  const target = 'urn:schemas-upnp-org:device:InternetGatewayDevice:1'
  return `HTTP/1.1 200 OK\r\nST: ${target}\r\nLOCATION: http://127.0.0.1:${port}${path}\r\n\r\n`
}

/** A gateway on loopback that is found there, and what it was called to do. */
async function gateway(t: TestContext, kind: Gateway = {}) {
  const { description = DESCRIPTION, host = '1.2.3.1', refuse = () => undefined } = kind
  const calls: Asked[] = []
  const server = createServer(async (request, response) => {
    const body = await text(request)
    if (request.method === 'GET') return response.end(description)
    const action = String(request.headers['soapaction']).replaceAll('"', '').split('#')[1] ?? ''
    const asked = { action, body }
    calls.push(asked)
    const nth = calls.filter((call) => call.action === 'AddPortMapping').length
    const error = action === 'AddPortMapping' ? refuse(asked, nth) : undefined
    if (error !== undefined) response.statusCode = 500
    const given = `<NewExternalIPAddress>${host}</NewExternalIPAddress>`
    return response.end(error === undefined ? given : `<errorCode>${error}</errorCode>`)
  })
  t.after(() => server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const found = await FakeRouter.start(t, () => [answerOf(port, '/desc')])
  const probe = (wanted = WANTED) => probeUpnp(wanted, NEVER, found.address)
  const added = (name: string) =>
    calls.filter(({ action }) => action === 'AddPortMapping').map(({ body }) => element(body, name))
  return { calls, probe, added }
}

test(
  'a mapping is granted by a gateway of the first version, renewed and given back',
  LIMIT,
  async (t) => {
    const { calls, probe, added } = await gateway(t)
    const offer = await probe()
    assert.deepEqual(added('NewExternalPort'), [], 'the probe maps nothing')
    const lease = await offer?.()
    assert.ok(lease)
    const mapping = { protocol: 'upnp', external: { host: '1.2.3.1', port: 4242 } }
    assert.deepEqual(lease.mapping, mapping)
    assert.deepEqual((await lease.renew())?.mapping, mapping)
    assert.deepEqual(added('NewInternalClient'), ['127.0.0.1', '127.0.0.1'])
    assert.deepEqual(added('NewLeaseDuration'), ['3600', '3600'])
    await lease.release()
    const { action, body } = calls.at(-1) ?? assert.fail('nothing was asked')
    assert.equal(action, 'DeletePortMapping')
    assert.equal(element(body, 'NewExternalPort'), '4242')
    assert.equal(element(body, 'NewProtocol'), 'UDP')
  },
)

test('a port that another host has is left to it', LIMIT, async (t) => {
  const refuse = (_: Asked, nth: number) => (nth === 1 ? CONFLICT_IN_MAPPING : undefined)
  const { probe, added } = await gateway(t, { refuse })
  const lease = await (await probe())?.()
  const [first, second] = added('NewExternalPort')
  assert.equal(first, '4242')
  assert.equal(lease?.mapping.external.port, Number(second))
  assert.ok(Number(second) >= 49_152)
})

test('a gateway that knows permanent mappings alone gives one', LIMIT, async (t) => {
  const refuse = ({ body }: Asked) =>
    element(body, 'NewLeaseDuration') === '0' ? undefined : ONLY_PERMANENT_LEASES
  const { probe, added } = await gateway(t, { refuse })
  assert.ok(await (await probe())?.())
  assert.deepEqual(added('NewLeaseDuration'), ['3600', '0'])
})

test('a gateway that always refuses is asked a bounded number of times', LIMIT, async (t) => {
  for (const code of [CONFLICT_IN_MAPPING, ONLY_PERMANENT_LEASES, '501']) {
    const { probe, added } = await gateway(t, { refuse: () => code })
    assert.equal(await (await probe())?.(), undefined)
    assert.ok(added('NewExternalPort').length <= 4)
  }
})

test('a gateway without an address, or with endless words, offers nothing', LIMIT, async (t) => {
  const long = { description: DESCRIPTION + ' '.repeat(1 << 20) }
  const silly = { description: '<html>router</html>' }
  const hosts = ['0.0.0.0', '', 'example.org', '127.0.0.1', '::1'].map((host) => ({ host }))
  const offers = [long, silly, ...hosts].map(async (kind) => (await gateway(t, kind)).probe())
  for (const offer of await Promise.all(offers)) assert.equal(offer, undefined)
})

test('a gateway that is not on the way out is not asked', LIMIT, async (t) => {
  const { calls, probe } = await gateway(t)
  const uplink = { host: '127.0.0.1', gateway: { host: '127.0.0.9', port: 5351 } }
  assert.equal(await probe({ ...WANTED, uplink }), undefined)
  assert.deepEqual(calls, [])
})

test('one that tells of endless gateways has few of them asked', LIMIT, async (t) => {
  let asked = 0
  const server = createServer((_request, response) => {
    asked++
    response.end('<root></root>')
  })
  t.after(() => server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const many = Array.from({ length: 200 }, (_, i) => answerOf(port, `/${i}`))
  const liar = await FakeRouter.start(t, () => many)
  assert.equal(await probeUpnp(WANTED, NEVER, liar.address), undefined)
  assert.ok(asked > 0 && asked <= 8, `${asked} were asked`)
})

test('a gateway that never answers holds nothing up', LIMIT, async (t) => {
  const server = createServer(() => {})
  t.after(() => server.closeAllConnections())
  t.after(() => server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const mute = await FakeRouter.start(t, () => [answerOf(port, '/desc')])
  const startedAt = performance.now()
  assert.equal(await probeUpnp(WANTED, NEVER, mute.address), undefined)
  assert.ok(performance.now() - startedAt < 3_000)
})

test('a search that is aborted ends at once', LIMIT, async (t) => {
  const silent = await FakeRouter.start(t, () => [])
  const closing = new AbortController()
  const probing = probeUpnp(WANTED, closing.signal, silent.address)
  const startedAt = performance.now()
  closing.abort()
  assert.equal(await probing, undefined)
  assert.ok(performance.now() - startedAt < 500)
})

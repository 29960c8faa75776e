import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeRouter } from './fake-router.fixture.ts'
import { probeNatPmp } from './nat-pmp.ts'

const LIMIT = { timeout: 10_000 }
const NEVER = new AbortController().signal
const HOST = Uint8Array.of(0, 0x80, 0, 0, 0, 0, 4, 87, 1, 2, 3, 1)
const port = (asked: Uint8Array, external: number, result = 0) =>
  Uint8Array.of(
    0,
    0x81,
    0,
    result,
    0,
    0,
    4,
    87,
    ...asked.subarray(4, 6),
    external >> 8,
    external,
    ...asked.subarray(8, 12),
  )
const mapped = (asked: Uint8Array) => (asked.length === 2 ? [HOST] : [port(asked, 54_321)])

test('a mapping is granted, renewed and given back', LIMIT, async (t) => {
  const router = await FakeRouter.start(t, mapped)
  const offer = await probeNatPmp(router.wanted(4242), NEVER)
  assert.ok(
    router.heard.every(({ length }) => length === 2),
    'the probe maps nothing',
  )
  const lease = await offer?.()
  assert.ok(lease)
  const mapping = { protocol: 'nat-pmp', external: { host: '1.2.3.1', port: 54_321 } }
  assert.deepEqual(lease.mapping, mapping)
  assert.equal(lease.lifetimeMs, 3_600_000)
  assert.deepEqual((await lease.renew())?.mapping, mapping)
  await lease.release()
  const last = router.heard.at(-1) ?? assert.fail('nothing was asked')
  assert.deepEqual([...last], [0, 1, 0, 0, 4242 >> 8, 4242 & 0xff, 0, 0, 0, 0, 0, 0])
})

test('answers that are not the one are ignored', LIMIT, async (t) => {
  const router = await FakeRouter.start(t, (asked) => [
    new Uint8Array(),
    Uint8Array.of(0),
    Uint8Array.of(0, 0x80, 0),
    new Uint8Array(1_400),
    asked,
    ...(asked.length === 2 ? [] : [port(Uint8Array.from(asked).with(5, 0), 1)]),
    ...mapped(asked),
  ])
  const lease = await (await probeNatPmp(router.wanted(4242), NEVER))?.()
  assert.deepEqual(lease?.mapping.external, { host: '1.2.3.1', port: 54_321 })
})

test('a refusal is no lease', LIMIT, async (t) => {
  const unable = await FakeRouter.start(t, () => [Uint8Array.of(0, 0x80, 0, 3, 0, 0, 0, 0)])
  assert.equal(await probeNatPmp(unable.wanted(4242), NEVER), undefined)
  const full = await FakeRouter.start(t, (asked) =>
    asked.length === 2 ? [HOST] : [port(asked, 0, 4)],
  )
  const offer = await probeNatPmp(full.wanted(4242), NEVER)
  assert.equal(await offer?.(), undefined)
})

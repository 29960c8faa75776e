import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { type TestContext, test } from 'node:test'
import { toHex } from '../../core/wire/bytes.ts'
import { FakeRouter } from './fake-router.fixture.ts'
import { probePcp } from './pcp.ts'

const LIMIT = { timeout: 10_000 }
const NEVER = new AbortController().signal
const REQUEST_BYTES = 60

/** What a router answers that grants `port` of 1.2.3.1 for an hour. */
function granted(asked: Uint8Array, port = 54_321): Uint8Array {
  const answer = asked.slice()
  answer.set([2, 0x81, 0, 0])
  answer.fill(0, 8, 24)
  answer.set([port >> 8, port & 0xff], 42)
  answer.set([1, 2, 3, 1], 56)
  return answer
}

const lifetimeS = (asked: Uint8Array | undefined) =>
  new DataView(asked?.buffer ?? assert.fail('nothing was asked')).getUint32(4)
const nonce = (asked: Uint8Array | undefined) => toHex(asked?.subarray(24, 36) ?? new Uint8Array())

async function leaseFrom(t: TestContext, answer: Parameters<typeof FakeRouter.start>[1]) {
  const router = await FakeRouter.start(t, answer)
  const offer = await probePcp(router.wanted(4242), NEVER)
  return { router, lease: await offer?.() }
}

test('a mapping is granted, renewed and given back under one nonce', LIMIT, async (t) => {
  const { router, lease } = await leaseFrom(t, (asked) => [granted(asked)])
  assert.ok(lease)
  const mapping = { protocol: 'pcp', external: { host: '1.2.3.1', port: 54_321 } }
  assert.deepEqual(lease.mapping, mapping)
  assert.equal(lease.lifetimeMs, 3_600_000)
  assert.deepEqual((await lease.renew())?.mapping, mapping)
  await lease.release()
  const [first, second, third] = router.heard
  assert.equal(router.heard.length, 3)
  assert.deepEqual([first, second, third].map(lifetimeS), [3_600, 3_600, 0])
  assert.equal(new Set([first, second, third].map(nonce)).size, 1)
  assert.deepEqual([...(second?.subarray(42, 44) ?? [])], [54_321 >> 8, 54_321 & 0xff])
})

test('an answer to the second try is taken', LIMIT, async (t) => {
  const { router, lease } = await leaseFrom(t, (asked, nth) => (nth < 2 ? [] : [granted(asked)]))
  assert.equal(lease?.mapping.external.port, 54_321)
  assert.equal(router.heard.length, 2)
})

test('answers that are not the one are ignored, however many', LIMIT, async (t) => {
  const { lease } = await leaseFrom(t, (asked) => [
    new Uint8Array(),
    new Uint8Array([2]),
    granted(asked).with(24, (asked[24] ?? 0) ^ 1),
    granted(asked).with(41, (asked[41] ?? 0) ^ 1),
    granted(asked).subarray(0, REQUEST_BYTES - 4),
    new Uint8Array(1_400).fill(2),
    ...Array.from({ length: 200 }, () => new Uint8Array(60).fill(0x81)),
    granted(asked, 1_111),
  ])
  assert.equal(lease?.mapping.external.port, 1_111)
})

test('an answer from another source is ignored', LIMIT, async (t) => {
  const liar = createSocket('udp4')
  t.after(() => liar.close())
  const router = await FakeRouter.start(t, () => [])
  const probing = probePcp(router.wanted(4242), NEVER)
  // The liar knows all but the router's address: its answers go to where the question came from.
  const asker = await new Promise<number>((resolve) => router.once(({ port }) => resolve(port)))
  const lie = granted(router.heard[0] ?? assert.fail('nothing was asked'))
  for (let i = 0; i < 10; i++) liar.send(lie, asker, '127.0.0.1')
  assert.equal(await probing, undefined)
})

test('a refusal, and a router that knows NAT-PMP alone, end it at once', LIMIT, async (t) => {
  for (const answer of [
    (asked: Uint8Array) => [granted(asked).with(3, 2)],
    () => [new Uint8Array([0, 0x81, 0, 1, 0, 0, 0, 0])],
  ]) {
    const { router, lease } = await leaseFrom(t, answer)
    assert.equal(lease, undefined)
    assert.equal(router.heard.length, 1)
  }
})

test('silence is given up after three tries, and soon after an abort', LIMIT, async (t) => {
  const { router, lease } = await leaseFrom(t, () => [])
  assert.equal(lease, undefined)
  assert.equal(router.heard.length, 3)
  const closing = new AbortController()
  const startedAt = performance.now()
  const probing = probePcp(router.wanted(4242), closing.signal)
  setTimeout(() => closing.abort(), 10)
  assert.equal(await probing, undefined)
  assert.ok(performance.now() - startedAt < 1_000, 'an abort shortens the wait')
})

test(
  'what is granted in the moment of an abort is known, so that it can go back',
  LIMIT,
  async (t) => {
    const closing = new AbortController()
    const router = await FakeRouter.start(t, (asked) => {
      closing.abort()
      return [granted(asked)]
    })
    const offer = await probePcp(router.wanted(4242), closing.signal)
    assert.equal((await offer?.())?.mapping.external.port, 54_321)
  },
)

test('a machine that does not know its gateway asks nobody', LIMIT, async () => {
  const uplink = { host: '127.0.0.1', gateway: undefined }
  assert.equal(await probePcp({ uplink, port: 4242 }, NEVER), undefined)
})

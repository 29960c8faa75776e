import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import vm from 'node:vm'
import { build } from 'esbuild'
import fc from 'fast-check'
import { toHex } from '../core/wire/bytes.ts'
import { cryptoSuite } from '../testing/crypto-suite.ts'
import { libsodiumWrappers } from './libsodium-wrappers.ts'
import { systemRandom } from './random.ts'
import { sodiumNative } from './sodium-native.ts'

cryptoSuite('sodium-native', sodiumNative)
cryptoSuite('libsodium-wrappers', libsodiumWrappers)

const native = sodiumNative()
const wrappers = await libsodiumWrappers()
const bytes = (size: number) => fc.uint8Array({ minLength: size, maxLength: size })
const anyBytes = fc.uint8Array({ maxLength: 1300 })
const run = { seed: 20_240_601, numRuns: 200 }

test('both providers seal and open alike', () => {
  const arguments_ = [bytes(32), bytes(24), anyBytes, anyBytes] as const
  fc.assert(
    fc.property(...arguments_, (key, nonce, plain, aad) => {
      const short = nonce.subarray(0, 12)
      const sealed = native.seal(key, short, plain, aad)
      assert.deepEqual(wrappers.seal(key, short, plain, aad), sealed)
      assert.deepEqual(wrappers.open(key, short, sealed, aad), plain)
      assert.deepEqual(native.open(key, short, sealed, aad), plain)
      const xsealed = wrappers.xseal(key, nonce, plain, aad)
      assert.deepEqual(native.xseal(key, nonce, plain, aad), xsealed)
      assert.deepEqual(native.xopen(key, nonce, xsealed, aad), plain)
      assert.deepEqual(wrappers.xopen(key, nonce, xsealed, aad), plain)
    }),
    run,
  )
})

test('both providers hash alike', () => {
  const parts = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 5 })
  const key = fc.option(fc.uint8Array({ minLength: 16, maxLength: 64 }), { nil: undefined })
  fc.assert(
    fc.property(fc.integer({ min: 16, max: 64 }), parts, key, (size, input, secret) => {
      assert.deepEqual(native.hash(size, input, secret), wrappers.hash(size, input, secret))
    }),
    run,
  )
})

test('both providers hash briefly alike', () => {
  fc.assert(
    fc.property(bytes(16), anyBytes, (key, input) => {
      assert.deepEqual(native.shortHash(key, input), wrappers.shortHash(key, input))
    }),
    run,
  )
})

test('both providers derive, sign, verify and agree alike', () => {
  fc.assert(
    fc.property(bytes(32), bytes(32), anyBytes, (seed, other, message) => {
      const keys = native.signingKeyPair(seed)
      assert.deepEqual(wrappers.signingKeyPair(seed), keys)
      const signature = wrappers.sign(keys.privateKey, message)
      assert.deepEqual(native.sign(keys.privateKey, message), signature)
      assert.ok(native.verify(keys.publicKey, message, signature))
      assert.ok(wrappers.verify(keys.publicKey, message, signature))
      const secret = native.agreementSecret(keys.privateKey)
      assert.deepEqual(wrappers.agreementSecret(keys.privateKey), secret)
      const converted = native.agreementPublicKey(keys.publicKey)
      assert.deepEqual(wrappers.agreementPublicKey(keys.publicKey), converted)
      assert.deepEqual(native.agreementKeyPair(secret).publicKey, converted)
      const remote = wrappers.agreementKeyPair(other)
      assert.deepEqual(native.agreementKeyPair(other), remote)
      assert.deepEqual(
        native.agree(secret, remote.publicKey),
        wrappers.agree(other, converted ?? other),
      )
    }),
    { ...run, numRuns: 50 },
  )
})

test('both providers judge random bytes alike as points, signatures and sealed text', () => {
  fc.assert(
    fc.property(bytes(32), bytes(64), anyBytes, (point, signature, message) => {
      assert.deepEqual(native.agreementPublicKey(point), wrappers.agreementPublicKey(point))
      assert.deepEqual(native.agree(point, point), wrappers.agree(point, point))
      assert.equal(native.verify(point, message, signature), false)
      assert.equal(wrappers.verify(point, message, signature), false)
      assert.equal(native.open(point, point.subarray(0, 12), message, signature), undefined)
      assert.equal(wrappers.open(point, point.subarray(0, 12), message, signature), undefined)
    }),
    run,
  )
})

test('the WebAssembly provider runs from a browser bundle without any global of Node', async () => {
  const bundle = await build({
    stdin: {
      contents: `import { libsodiumWrappers } from './libsodium-wrappers.ts'
        import { systemRandom } from './random.ts'
        const crypto = await libsodiumWrappers()
        const key = systemRandom().bytes(32)
        const sealed = crypto.seal(key, key.subarray(0, 12), Uint8Array.of(7), key)
        report(crypto.open(key, key.subarray(0, 12), sealed, key), crypto.hash(32, []))`,
      resolveDir: fileURLToPath(new URL('.', import.meta.url)),
      loader: 'ts',
    },
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    // A vm script has no import.meta, which a browser's module has.
    define: { 'import.meta.url': '"https://app.example/"' },
  })
  const [output] = bundle.outputFiles
  assert.ok(output)
  const reported: Uint8Array[] = []
  const browser = vm.createContext({
    WebAssembly,
    crypto: globalThis.crypto,
    TextEncoder,
    TextDecoder,
    atob,
    btoa,
    URL,
    report: (...values: readonly Uint8Array[]) => reported.push(...values),
  })
  // A vm script may not await at its top, which a browser's module may.
  const script = `(async () => { const self = globalThis; ${output.text} })()`
  await vm.runInContext(script, browser)
  const [opened, digest] = reported
  assert.ok(opened && digest)
  assert.deepEqual([...opened], [7])
  assert.equal(toHex(digest), toHex(native.hash(32, [])))
})

test('system randomness has the asked length, also above what one draw gives, and varies', () => {
  const random = systemRandom()
  for (const length of [0, 1, 32, 65_536, 65_537, 200_000]) {
    const drawn = random.bytes(length)
    assert.equal(drawn.length, length)
    if (length >= 32) assert.ok(drawn.subarray(-32).some((byte) => byte !== 0))
  }
  assert.notDeepEqual(random.bytes(32), random.bytes(32))
  assert.throws(() => random.bytes(-1), { code: 'ESIZE' })
})

import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { commandPath } from '../../scripts/checkout.ts'
import { inBareContext, inChromium, inWorker, onMainThread } from './runtimes.ts'

const SEEDS = [1, 2]

describe('the same seed gives the same trace hash in every runtime', () => {
  let bundle = ''
  let expected: readonly string[] = []
  before(async () => {
    bundle = await bundleOf(fileURLToPath(new URL('./entry.ts', import.meta.url)))
    expected = await onMainThread(bundle, SEEDS)
  })

  test("on Node's main thread, again", async () => {
    assert.deepEqual(await onMainThread(bundle, SEEDS), expected)
  })

  test('and a different seed gives a different one', () => {
    assert.match(expected[0] ?? '', /^[0-9a-f]{16}$/)
    assert.equal(new Set(expected).size, SEEDS.length)
  })

  test('in a worker', async () => {
    assert.deepEqual(await inWorker(bundle, SEEDS), expected)
  })

  test('in a bare vm context', async () => {
    assert.deepEqual(await inBareContext(bundle, SEEDS), expected)
  })

  const browser = commandPath(['chromium', 'chromium-browser', 'google-chrome'])
  test('in headless Chromium', { skip: browser === undefined && 'needs chromium' }, async () => {
    assert.deepEqual(await inChromium(browser ?? '')(bundle, SEEDS), expected)
  })

  test('and a Date.now() planted in the core changes it', async () => {
    const impure = bundle.replace('handle(input, now, wall) {', '$& wall = Date.now();')
    assert.notEqual(impure, bundle)
    const hashes = await inBareContext(impure, SEEDS)
    for (const [i, hash] of hashes.entries()) assert.notEqual(hash, expected[i])
  })
})

async function bundleOf(entry: string): Promise<string> {
  const result = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: 'iife',
    platform: 'browser',
    target: 'es2022',
    // libsodium's own Node branches; a browser bundle leaves them unused.
    external: ['crypto', 'fs', 'path'],
    logLevel: 'warning',
  })
  return result.outputFiles[0]?.text ?? assert.fail('no bundle')
}

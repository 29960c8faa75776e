import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import vm from 'node:vm'
import { Worker } from 'node:worker_threads'
import { build } from 'esbuild'
import { runtimeHash } from './runtime.fixture.ts'

test('one seed hashes alike in the main thread, in a worker and in a context with no host at all', async () => {
  const entry = fileURLToPath(new URL('runtime.fixture.ts', import.meta.url))
  const bundle = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: 'iife',
    globalName: 'sim',
    platform: 'neutral',
    target: 'es2022',
  })
  const code = bundle.outputFiles[0]?.text ?? ''
  const hash = runtimeHash(1)
  assert.notEqual(runtimeHash(2), hash)
  assert.equal(vm.runInNewContext(`${code}; sim.runtimeHash(1)`, {}), hash)
  const worker = new Worker(
    `${code}; require('node:worker_threads').parentPort.postMessage(sim.runtimeHash(1))`,
    { eval: true },
  )
  const answer = await new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
  assert.equal(answer, hash)
})

import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createContext, Script } from 'node:vm'
import { Worker } from 'node:worker_threads'
import { chromium } from 'playwright-core'

/**
 * Runs the bundle of `entry.ts`, the same bytes, in each runtime, and returns the hash of every seed
 * in turn.
 */
export type Run = (bundle: string, seeds: readonly number[]) => Promise<readonly string[]>

export const onMainThread: Run = (bundle, seeds) =>
  new Script(`${bundle};${callFor(seeds)}`).runInThisContext()

export const inWorker: Run = async (bundle, seeds) => {
  const post = "(hashes) => require('node:worker_threads').parentPort.postMessage(hashes)"
  const worker = new Worker(`${bundle};${callFor(seeds)}.then(${post})`, { eval: true })
  const [hashes] = await once(worker, 'message')
  await worker.terminate()
  return hashes
}

/**
 * A context with the language alone (WebAssembly belongs to it in V8). libsodium refuses to load
 * without a random source, so it gets one; what it draws must not show in the hash.
 */
export const inBareContext: Run = async (bundle, seeds) => {
  const random = {
    getRandomValues: (into: Uint8Array<ArrayBuffer>) => crypto.getRandomValues(into),
  }
  const context = createContext({ crypto: random })
  const hashes = await new Script(`${bundle};${callFor(seeds)}`).runInContext(context)
  // The context's arrays are none of ours.
  return Array.from(hashes)
}

/** Keeps Chromium to the one page: no sandbox (it runs as root in CI), no traffic of its own. */
const CHROMIUM_FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

export function inChromium(executablePath: string): Run {
  return async (bundle, seeds) => {
    const server = createServer((request, response) => {
      const isScript = request.url === '/bundle.js'
      response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html')
      response.end(isScript ? bundle : '<!doctype html><script src="/bundle.js"></script>')
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const profile = mkdtempSync(join(tmpdir(), 'latica-chromium-'))
    const args = CHROMIUM_FLAGS
    const browser = await chromium.launchPersistentContext(profile, { executablePath, args })
    try {
      const page = await browser.newPage()
      await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
      return await page.evaluate<readonly string[]>(callFor(seeds))
    } finally {
      await browser.close()
      server.close()
      rmSync(profile, { recursive: true, force: true })
    }
  }
}

function callFor(seeds: readonly number[]): string {
  return `Promise.all(${JSON.stringify(seeds)}.map((seed) => latica(seed)))`
}

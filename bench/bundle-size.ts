import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'

/** What a browser would load: minified, and as a server sends it. */
export interface BundleSize {
  readonly what: string
  readonly minifiedBytes: number
  readonly gzipBytes: number
}

/** The package as far as it runs in a browser: everything but the host, which is Node's. */
const BUNDLES: readonly (readonly [what: string, exports: string])[] = [
  ['core', `export * from './core/index.js'`],
  [
    'core, driver, facade, crypto (libsodium-wrappers)',
    `export * from './core/index.js'
     export { Driver } from './driver/index.js'
     export { PeerSocket } from './api/socket.js'
     export { libsodiumWrappers } from './crypto/libsodium-wrappers.js'`,
  ],
]

export function bundleSizes(dist: string): Promise<BundleSize[]> {
  return Promise.all(BUNDLES.map(([what, exports]) => sizeOf(what, exports, fileURLToPath(dist))))
}

async function sizeOf(what: string, contents: string, resolveDir: string): Promise<BundleSize> {
  const result = await build({
    stdin: { contents, resolveDir },
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    // libsodium's own Node branches, which a browser never takes.
    external: ['crypto', 'fs', 'path', 'module', 'url'],
    logLevel: 'error',
  })
  const code = result.outputFiles[0]?.contents ?? new Uint8Array(0)
  return { what, minifiedBytes: code.length, gzipBytes: gzipSync(code, { level: 9 }).length }
}

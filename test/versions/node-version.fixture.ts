import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../net/workspace.fixture.ts'

/** Downloaded once: `npm ci` empties it. */
const CACHE = join(ROOT, 'node_modules', '.cache', 'latica')

const FLAGS = [
  ...['--no-save', '--no-audit', '--no-fund', '--ignore-scripts'],
  ...['--loglevel=error', '--fetch-retries=0'],
]
/** 60 MB come over a slow line in this. */
const INSTALL_MS_MAX = 40_000

/**
 * The binary of a major version of Node: our own, or that of the npm package `node`, whose install
 * script does no more than to add the package of the platform, which is what we do here. Throws when
 * it cannot be had.
 */
export function nodeBinary(major: number): string {
  if (process.versions.node.startsWith(`${major}.`)) return process.execPath
  const platform = process.platform === 'win32' ? 'win' : process.platform
  const name = `node-${platform}-${process.arch}`
  const folder = join(CACHE, `node-${major}`)
  const binary = join(
    'node_modules',
    name,
    'bin',
    process.platform === 'win32' ? 'node.exe' : 'node',
  )
  if (existsSync(join(folder, binary))) return join(folder, binary)
  // Under another name until it is whole.
  const making = `${folder}-${process.pid}`
  try {
    mkdirSync(making, { recursive: true })
    execFileSync('npm', ['install', ...FLAGS, '--prefix', making, `${name}@${major}`], {
      cwd: making,
      timeout: INSTALL_MS_MAX,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    rmSync(folder, { recursive: true, force: true })
    renameSync(making, folder)
  } finally {
    rmSync(making, { recursive: true, force: true })
  }
  return join(folder, binary)
}

import { join } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { commandPath, listFiles, ROOT, runShown } from './checkout.ts'

/**
 * `npm test`: everything that has to hold. `npm test -- src/core/wire drive` runs only the test files
 * whose path contains one of the words, without the checks before; `--long` takes the long tests.
 *
 * Tests that need a system package skip, by name, where it can be neither found nor installed.
 * In CI (CI or LATICA_CI set) a skip is a failure.
 */
const SYSTEM_PACKAGES: readonly (readonly [name: string, commands: readonly string[]])[] = [
  ['iproute2', ['ip']],
  ['nftables', ['nft']],
  // The daemon alone: the package `miniupnpd` would start it on this machine.
  ['miniupnpd-nftables', ['miniupnpd']],
  ['chromium', ['chromium', 'chromium-browser', 'google-chrome']],
]
/** Two files at a time: tests over real sockets and real time suffer from more. */
const CONCURRENCY = 2
const FILE_MINUTES_MAX = 5
/** The simulator's matrix of NATs takes two hours on two cores. */
const LONG_FILE_MINUTES_MAX = 240
/** A thousand members of one subcluster take 9 GB. */
const LONG_HEAP_MB_MAX = 14_000

const words = process.argv.slice(2)
const isLong = words.includes('--long')
const filters = words.filter((word) => !word.startsWith('--'))
const isCi = [process.env['CI'], process.env['LATICA_CI']].some(
  (value) => value !== undefined && value !== '' && value !== 'false',
)

// Folders that other programs search first for commands are missing from some users' PATH.
process.env['PATH'] = `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin`

if (filters.length === 0 && !isLong) {
  installSystemPackages()
  checkStatically()
}
await runTests()

function installSystemPackages(): void {
  const missing = SYSTEM_PACKAGES.filter(([, commands]) => commandPath(commands) === undefined)
  if (missing.length === 0 || process.env['LATICA_INSTALL'] === '0') return
  const names = missing.map(([name]) => name)
  const asRoot = rootPrefix()
  if (commandPath(['apt-get']) === undefined || asRoot === undefined) {
    console.log(`Not installed, so tests will skip: ${names.join(', ')}`)
    return
  }
  console.log(`Installing for the tests that need them: ${names.join(', ')}`)
  const apt = (...rest: string[]) =>
    runShown('env', [
      ...['DEBIAN_FRONTEND=noninteractive', ...asRoot, 'apt-get', '-qq', '-y'],
      ...rest,
    ])
  const install = () => apt('install', '--no-install-recommends', ...names)
  if (!install() && !(apt('update') && install())) {
    console.log('That failed: the tests that need them will skip')
  }
}

/** How to run a command as root without being asked for a password; undefined when we cannot. */
function rootPrefix(): readonly string[] | undefined {
  if (process.getuid?.() === 0) return []
  const canSudo = commandPath(['sudo']) !== undefined && runShown('sudo', ['-n', 'true'])
  return canSudo ? ['sudo', '-n', '--preserve-env=DEBIAN_FRONTEND'] : undefined
}

function checkStatically(): void {
  for (const step of ['build', 'typecheck', 'lint']) {
    console.log(`\n# npm run ${step}`)
    if (!runShown('npm', ['run', '--silent', step])) {
      console.error(`npm run ${step} failed`)
      process.exit(1)
    }
  }
}

async function runTests(): Promise<void> {
  if (isLong) {
    const given = process.env['NODE_OPTIONS'] ?? ''
    process.env['NODE_OPTIONS'] = `--max-old-space-size=${LONG_HEAP_MB_MAX} ${given}`
  }
  const kind = isLong ? '.long.ts' : '.test.ts'
  const files = listFiles()
    .filter((path) => path.endsWith(kind))
    .filter((path) => filters.length === 0 || filters.some((filter) => path.includes(filter)))
  if (files.length === 0) {
    console.error(`No test file matches: ${filters.join(' ')}`)
    process.exit(1)
  }
  const skipped: string[] = []
  const minutes = isLong ? LONG_FILE_MINUTES_MAX : FILE_MINUTES_MAX
  const tests = run({
    files: files.map((path) => join(ROOT, path)),
    concurrency: isLong ? 1 : CONCURRENCY,
    timeout: minutes * 60_000,
  })
  tests.on('test:fail', () => {
    process.exitCode = 1
  })
  tests.on('test:pass', ({ name, skip }) => {
    if (skip !== undefined && skip !== false) skipped.push(name)
  })
  await new Promise((resolve) => tests.compose(new spec()).on('end', resolve).pipe(process.stdout))
  if (isCi && skipped.length > 0) {
    console.error(`\nIn CI nothing may skip, and ${skipped.length} did:`)
    for (const name of skipped) console.error(`  ${name}`)
    process.exitCode = 1
  }
}

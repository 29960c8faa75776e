import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { transformSync } from 'esbuild'
import { undoAfter } from './undo.fixture.ts'

export const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/**
 * A user's folder outside the checkout: programmes in it say `import 'latica'` and get what was built.
 * `linked`: its node_modules/latica is the checkout. `installed`: it is a copy of what npm would
 * install, without a single development dependency, and readable to every user of the machine.
 */
export class Workspace {
  readonly path: string

  constructor(t: TestContext, how: 'linked' | 'installed') {
    if (!existsSync(join(ROOT, 'dist/index.js')))
      throw new Error('These tests run what was built: npm run build')
    this.path = mkdtempSync(join(tmpdir(), 'latica-test-'))
    undoAfter(t, () => rmSync(this.path, { recursive: true, force: true, maxRetries: 5 }))
    const modules = this.folder('node_modules')
    writeFileSync(join(this.path, 'package.json'), '{ "type": "module" }')
    if (how === 'linked') {
      symlinkSync(ROOT, join(modules, 'latica'))
      return
    }
    chmodSync(this.path, 0o755)
    for (const part of ['package.json', 'dist'])
      cpSync(join(ROOT, part), join(modules, 'latica', part), { recursive: true })
    for (const dependency of dependencies())
      cpSync(join(ROOT, dependency), join(this.path, dependency), {
        recursive: true,
        dereference: true,
        filter: isForThisMachine,
      })
  }

  folder(name: string): string {
    const path = join(this.path, name)
    mkdirSync(path, { recursive: true })
    return path
  }

  /** Puts a programme beside this test into the folder, with its types stripped: its path there. */
  program(source: URL): string {
    const text = readFileSync(source, 'utf8')
    const { code } = transformSync(text, { loader: 'ts', format: 'esm', target: 'node20' })
    const path = join(this.path, `${basename(source.pathname, '.fixture.ts')}.mjs`)
    writeFileSync(path, code)
    return path
  }

  /** Nothing of the machine's user: what is remembered stays in the folder. */
  environment(home: string): NodeJS.ProcessEnv {
    const path = this.folder(home)
    const { PATH, CI } = process.env
    return { PATH, CI, HOME: path, XDG_STATE_HOME: join(path, 'state'), TMPDIR: tmpdir() }
  }
}

interface Lock {
  readonly packages: Readonly<Record<string, { readonly dev?: boolean }>>
}

/** The folders of what `npm ci --omit=dev` installs, as the lock file has them. */
function dependencies(): string[] {
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as Lock
  return Object.entries(lock.packages)
    .filter(([path, { dev }]) => path !== '' && dev !== true && existsSync(join(ROOT, path)))
    .map(([path]) => path)
}

/** Builds for other systems are most of the bytes. */
function isForThisMachine(path: string): boolean {
  const [, build] = path.split('/prebuilds/')
  return build === undefined || build.startsWith(`${process.platform}-${process.arch}`)
}

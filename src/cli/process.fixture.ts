import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** A process of this package, run from source, whose output is awaited line by line. */
export class Program {
  readonly lines: string[] = []
  readonly child: ChildProcessWithoutNullStreams
  errors = ''
  readonly #exited: Promise<number | null>
  #changed: () => void = () => {}

  /** `home` is where it keeps what it remembers; `script` is relative to the package. */
  constructor(t: TestContext, script: string, args: readonly string[], home: string) {
    const env = {
      ...process.env,
      XDG_STATE_HOME: home,
      TSX_TSCONFIG_PATH: join(ROOT, 'examples/tsconfig.json'),
    }
    this.child = spawn(process.execPath, ['--import', 'tsx', join(ROOT, script), ...args], {
      cwd: ROOT,
      env,
    })
    t.after(() => this.child.kill('SIGKILL'))
    this.#exited = new Promise((resolve) => this.child.once('close', resolve))
    void this.#exited.then(() => this.#changed())
    createInterface({ input: this.child.stdout }).on('line', (line) => {
      this.lines.push(line)
      this.#changed()
    })
    this.child.stderr.on('data', (data: Buffer) => {
      this.errors += data.toString()
    })
  }

  /** Resolves with the first line that fits, past or to come; rejects when the process ends first. */
  async line(fits: RegExp): Promise<string> {
    for (;;) {
      const found = this.lines.find((line) => fits.test(line))
      if (found !== undefined) return found
      if (this.child.exitCode !== null)
        throw new Error(`ended with ${this.child.exitCode} before ${fits}: ${this.output}`)
      await new Promise<void>((resolve) => {
        this.#changed = resolve
      })
    }
  }

  get output(): string {
    return `${this.lines.join('\n')}\n${this.errors}`
  }

  interrupt(): Promise<number | null> {
    this.child.kill('SIGINT')
    return this.#exited
  }

  exit(): Promise<number | null> {
    return this.#exited
  }
}

export function temporaryFolder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'latica-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

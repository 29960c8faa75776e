import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'

/** How long a line may take: far above what it takes, so that only what never comes fails. */
const PATIENCE_MS = 60_000

/** A line of JSON with a `type`: the test that asked for it checks the rest. */
// biome-ignore lint/suspicious/noExplicitAny: see above.
export type Told = any

/**
 * A real process that is awaited by what it prints and ends with the test. Lines that are JSON objects
 * are what it tells; a programme that reads commands gets them as JSON lines.
 */
export class Process {
  readonly lines: string[] = []
  readonly told: Told[] = []
  readonly name: string
  readonly #child: ChildProcess
  readonly #closed: Promise<unknown>
  #errors = ''
  #isClosed = false
  #wake: () => void = () => {}

  constructor(
    t: TestContext,
    name: string,
    command: readonly string[],
    options: SpawnOptions = {},
  ) {
    const [file = '', ...words] = command
    this.name = name
    this.#child = spawn(file, words, { ...options, stdio: ['pipe', 'pipe', 'pipe'] })
    t.after(() => this.kill())
    this.#closed = once(this.#child, 'close').catch((error: unknown) => {
      this.#errors += String(error)
    })
    void this.#closed.then(() => {
      this.#isClosed = true
      this.#wake()
    })
    const { stdin, stdout, stderr } = this.#child
    // It may be gone before it read a command.
    stdin?.on('error', () => {})
    stderr?.on('data', (data: Buffer) => {
      this.#errors += data.toString()
    })
    if (stdout !== null) createInterface({ input: stdout }).on('line', (line) => this.#take(line))
  }

  get pid(): number {
    const { pid } = this.#child
    if (pid === undefined) throw new Error(`${this.name} did not start`)
    return pid
  }

  /** What went to stderr. */
  get errors(): string {
    return this.#errors
  }

  /** The first line, past or to come, that fits. */
  line(fits: RegExp): Promise<string> {
    return this.#find(this.lines, 0, (line) => fits.test(line), String(fits))
  }

  /** The first thing told after `after` others that is of this type and has these fields. */
  tells(type: string, fields: Readonly<Record<string, unknown>> = {}, after = 0): Promise<Told> {
    const fits = (told: Told) =>
      told.type === type && Object.entries(fields).every(([key, value]) => told[key] === value)
    return this.#find(this.told, after, fits, `${type} ${JSON.stringify(fields)}`)
  }

  /** Commands it and waits for what it tells of that type from now on. */
  ask(command: string, answer: string, fields: Readonly<Record<string, unknown>> = {}) {
    const after = this.told.length
    this.command(command, fields)
    return this.tells(answer, {}, after)
  }

  command(command: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.#child.stdin?.write(`${JSON.stringify({ command, ...fields })}\n`)
  }

  signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child.kill(name)
  }

  async exit(): Promise<number | null> {
    await this.#closed
    return this.#child.exitCode
  }

  /** At once, so that it can say no good-bye. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#closed
  }

  #take(line: string): void {
    this.lines.push(line)
    if (line.startsWith('{')) this.told.push(JSON.parse(line) as Told)
    this.#wake()
  }

  async #find<T>(
    all: readonly T[],
    after: number,
    fits: (item: T) => boolean,
    what: string,
  ): Promise<T> {
    const deadline = performance.now() + PATIENCE_MS
    for (;;) {
      const found = all.slice(after).find(fits)
      if (found !== undefined) return found
      const leftMs = deadline - performance.now()
      if (this.#isClosed || leftMs <= 0) {
        const why = this.#isClosed ? 'ended' : `was silent for ${PATIENCE_MS} ms`
        const said = `${this.lines.slice(-40).join('\n')}\n${this.#errors}`
        throw new Error(`${this.name} ${why} before ${what}. It said:\n${said}`)
      }
      await this.#changed(leftMs)
    }
  }

  async #changed(atMostMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>((resolve) => {
      const before = this.#wake
      this.#wake = () => {
        before()
        resolve()
      }
      timer = setTimeout(resolve, atMostMs)
    })
    clearTimeout(timer)
    this.#wake = () => {}
  }
}

import { type ChildProcess, execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Order, Report } from './contenders/process.ts'

/** Guess: far above what any round takes on a busy machine. */
const PATIENCE_MS = 20_000

/** Milliseconds of each repetition, and what both processes used of the processor meanwhile. */
export interface Measurement {
  readonly times: readonly number[]
  readonly cpuMs: number
}

/** The two processes of one contender, told round by round what to measure. */
export class Pair {
  readonly #server: ChildProcess
  readonly #client: ChildProcess

  private constructor(server: ChildProcess, client: ChildProcess) {
    this.#server = server
    this.#client = client
  }

  /** `dist`: the URL of a build of the package. */
  static async start(contender: string, dist: string): Promise<Pair> {
    const server = run(contender, dist)
    const ready = await next(server)
    const client = run(contender, dist, ready.type === 'ready' ? ready.address : '')
    await next(client)
    return new Pair(server, client)
  }

  async measure(order: Order): Promise<Measurement> {
    const before = await this.#cpuMs()
    const report = await tell(this.#client, order)
    const cpuMs = (await this.#cpuMs()) - before
    return { times: report.type === 'measured' ? report.times : [], cpuMs }
  }

  /**
   * Binds the two main threads to a processor each, by taskset's lists; false where there is none.
   * Left alone, the scheduler runs a short ping-pong on one processor or on two as it happens, and
   * waking the other one takes longer than all the rest.
   */
  pin(server: string, client: string): boolean {
    try {
      for (const [{ pid }, list] of [
        [this.#server, server] as const,
        [this.#client, client] as const,
      ])
        execFileSync('taskset', ['-cp', list, String(pid)], { stdio: 'ignore' })
      return true
    } catch {
      return false
    }
  }

  stop(): void {
    this.#client.disconnect()
    this.#server.disconnect()
  }

  async #cpuMs(): Promise<number> {
    let cpuMs = 0
    for (const child of [this.#server, this.#client]) {
      const report = await tell(child, { type: 'usage' })
      if (report.type === 'usage') cpuMs += report.cpuMs
    }
    return cpuMs
  }
}

function run(...words: string[]): ChildProcess {
  const path = fileURLToPath(new URL('contenders/process.ts', import.meta.url))
  return fork(path, words, { execArgv: ['--import', 'tsx'] })
}

function tell(child: ChildProcess, order: Order): Promise<Report> {
  child.send(order)
  return next(child)
}

async function next(child: ChildProcess): Promise<Report> {
  const done = new AbortController()
  const signal = AbortSignal.any([done.signal, AbortSignal.timeout(PATIENCE_MS)])
  const ended = once(child, 'exit', { signal }).then(([code]) => {
    throw new Error(`a process ended with ${code}`)
  })
  try {
    const [report] = await Promise.race([once(child, 'message', { signal }), ended])
    return report
  } finally {
    done.abort()
    ended.catch(() => {})
  }
}

import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { ROOT } from './checkout.ts'

/**
 * `npm run demo`: three real processes on real UDP sockets. Carol knows nobody and no secret; Alice and
 * Bob know Carol's address and share a secret. They meet through her, talk directly, and go on when
 * she is gone. Ends with 0 when all of that happened.
 */
const PATIENCE_MS = 20_000

interface Line {
  readonly type: string
  readonly [field: string]: unknown
}

class Process {
  readonly name: string
  readonly #child: ChildProcess
  readonly #lines: Line[] = []
  #wake: () => void = () => {}

  constructor(name: string, args: readonly string[]) {
    this.name = name
    const command = join(ROOT, 'dist', 'cli', 'main.js')
    const common = ['--json', '--no-storage', '--no-lan']
    this.#child = spawn(process.execPath, [command, ...args, ...common], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const output = this.#child.stdout
    if (output === null) throw new Error(`${name} has no output`)
    createInterface(output).on('line', (text) => {
      this.#lines.push(JSON.parse(text) as Line)
      this.#wake()
    })
  }

  /** The next line that fits, whatever came before it. */
  async until(what: string, fits: (line: Line) => boolean): Promise<Line> {
    const deadline = Date.now() + PATIENCE_MS
    for (;;) {
      const line = this.#lines.find(fits)
      if (line !== undefined) return line
      const leftMs = deadline - Date.now()
      if (leftMs <= 0) throw new Error(`${this.name}: waited ${PATIENCE_MS} ms for ${what}`)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        setTimeout(resolve, leftMs)
      })
    }
  }

  type(text: string): void {
    this.#child.stdin?.write(`${text}\n`)
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const exited = once(this.#child, 'exit')
    this.#child.kill(signal)
    await exited
  }
}

function say(text: string): void {
  console.log(`${((performance.now() - startedAt) / 1000).toFixed(2).padStart(6)} s  ${text}`)
}

const startedAt = performance.now()
const secret = randomBytes(16).toString('hex')
const processes: Process[] = []
const start = (name: string, args: readonly string[]) => {
  const one = new Process(name, args)
  processes.push(one)
  return one
}

try {
  const carol = start('Carol', ['up'])
  const { ticket } = await carol.until('a ticket', ({ type }) => type === 'ticket')
  say(`Carol is up. Her ticket: ${String(ticket).slice(0, 24)}…`)
  const chat = (name: string) =>
    start(name, ['chat', secret, '--name', name, '--peer', String(ticket), '--stay'])
  const alice = chat('Alice')
  const bob = chat('Bob')
  say('Alice and Bob start. They know Carol, who does not know their secret, and not each other.')
  await alice.until('Bob', ({ type }) => type === 'join')
  await bob.until('Alice', ({ type }) => type === 'join')
  say('Alice and Bob met through Carol.')
  alice.type('hello from Alice')
  await bob.until('the message', ({ text }) => text === 'hello from Alice')
  say('Bob reads: hello from Alice')
  await carol.end('SIGKILL')
  say('Carol is killed.')
  bob.type('still here?')
  await alice.until('the answer', ({ text }) => text === 'still here?')
  say('Alice reads: still here?  They need nobody in between.')
  await alice.end('SIGINT')
  await bob.until('Alice leaving', ({ type }) => type === 'leave')
  say('Alice left, and Bob saw it at once.')
  say('Done.')
} catch (error) {
  console.error(`The demo failed: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
} finally {
  for (const one of processes) await one.end('SIGKILL')
}

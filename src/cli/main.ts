#!/usr/bin/env node
import { setMaxListeners } from 'node:events'
import { run } from './index.ts'

/** The `latica` command: connects the process to `run`. */
const interrupt = new AbortController()
// Hundreds of values may be under way, each of which listens.
setMaxListeners(0, interrupt.signal)
const onSignal = () => {
  // The second time the user does not want to wait for good-byes.
  if (interrupt.signal.aborted) process.exit(130)
  interrupt.abort()
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal)
// Who reads our output went away, as in `latica up | head`.
process.stdout.on('error', () => interrupt.abort())

process.exitCode = await run(process.argv.slice(2), {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  get input() {
    return process.stdin
  },
  isInteractive: process.stdin.isTTY === true,
  get columns() {
    return process.stdout.isTTY ? process.stdout.columns : undefined
  },
  interrupted: interrupt.signal,
})

import { execFileSync } from 'node:child_process'

/** Milliseconds that `import` adds to an empty programme, each round against its own empty one. */
export interface ImportTimes {
  readonly importMs: readonly number[]
  /** With what `network` loads when the first peer is made. */
  readonly startMs: readonly number[]
}

const ROUNDS = 11
const START = `import { network } from 'latica'
const socket = await network({ clusterId: new Uint8Array(32), lan: false, storage: false, portMapping: false })
await socket.close()`

export function importTimes(root: string): ImportTimes {
  const importMs: number[] = []
  const startMs: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const emptyMs = runMs(root, '')
    importMs.push(runMs(root, "import 'latica'") - emptyMs)
    startMs.push(runMs(root, START) - emptyMs)
  }
  return { importMs, startMs }
}

function runMs(cwd: string, code: string): number {
  const start = performance.now()
  execFileSync(process.execPath, ['--input-type=module', '-e', code], { cwd, stdio: 'ignore' })
  return performance.now() - start
}

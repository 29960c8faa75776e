import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { type TestContext, test } from 'node:test'
import { type Cell, faults, LINES, pairs, report, TRIES_PER_WORLD } from './nat-matrix.fixture.ts'
import type { Job } from './nat-matrix-worker.fixture.ts'

/** The whole matrix often enough to trust its shares: on two idle cores half an hour a line. */
const TRIES = Number(process.env['LATICA_TRIES'] ?? 1_000)
const SEED = process.env['LATICA_SEED'] ?? 'long'
const JOB_TRIES = 2 * TRIES_PER_WORLD

test('every pair of NATs is direct where that is possible and relayed where it is not', async (t) => {
  for (const [i, line] of LINES.entries())
    await t.test(`${TRIES} tries a pair, ${line.name}`, async (t) => {
      const startedAt = performance.now()
      const cells = await measure(t, i)
      const tookS = Math.round((performance.now() - startedAt) / 1_000)
      t.diagnostic(`${cells.length * TRIES} tries in ${tookS} s, seed ${SEED}\n${report(cells)}`)
      assert.deepEqual(
        cells.flatMap((cell) => faults(cell)),
        [],
      )
    })
})

/** The cells of one line, on all cores. */
async function measure(t: TestContext, line: number): Promise<Cell[]> {
  const jobs: Job[] = pairs().flatMap((_, pair) =>
    [...Array(Math.ceil(TRIES / JOB_TRIES)).keys()].map((n) => {
      const from = n * JOB_TRIES
      return { pair, line, from, count: Math.min(JOB_TRIES, TRIES - from), seed: SEED }
    }),
  )
  const parts: Cell[][] = pairs().map(() => [])
  const next = () => jobs.shift()
  const workers = [...Array(availableParallelism())].map(() => work(t, next, parts))
  await Promise.all(workers)
  return parts.map((each) => {
    const [first] = each
    assert.ok(first)
    return { ...first, tries: each.flatMap(({ tries }) => tries) }
  })
}

/** One process does one job after the other. */
function work(t: TestContext, next: () => Job | undefined, parts: Cell[][]): Promise<void> {
  const program = new URL('nat-matrix-worker.fixture.ts', import.meta.url)
  const worker = fork(program, { execArgv: ['--import', 'tsx'] })
  t.after(() => void worker.kill())
  return new Promise((resolve, reject) => {
    let job = next()
    const hand = () => {
      if (job === undefined) resolve()
      else worker.send(job)
    }
    worker.on('message', (cell: Cell) => {
      if (job !== undefined) parts[job.pair]?.push(cell)
      job = next()
      hand()
    })
    worker.on('error', reject)
    worker.on('exit', (code) => reject(new Error(`a worker ended with ${code}`)))
    hand()
  })
}

import { LINES, pairs, runCell } from './nat-matrix.fixture.ts'

/** The programme that runs tries of cells for the long test: jobs come and results go as messages. */
export interface Job {
  readonly pair: number
  readonly line: number
  readonly from: number
  readonly count: number
  readonly seed: string
}

process.on('message', ({ pair, line, from, count, seed }: Job) => {
  const [sites, weather] = [pairs()[pair], LINES[line]]
  if (sites === undefined || weather === undefined) throw new Error('no such cell')
  process.send?.(runCell(...sites, weather, count, seed, from))
})

import type { Order } from './contenders/process.ts'
import type { Pair } from './pair.ts'
import { median, quantile, ratio } from './statistics.ts'

/** What the rounds of one contender gave, round by round, so that ratios compare the same moments. */
export interface Rounds {
  readonly name: string
  /** Milliseconds. */
  readonly p50: readonly number[]
  readonly p99: readonly number[]
  /** Milliseconds of processor time of both processes, for one repetition. */
  readonly cpu: readonly number[]
}

/** Lets the contenders do the same in turns, `rounds` times. */
export async function measureRounds(
  pairs: ReadonlyMap<string, Pair>,
  rounds: number,
  order: Order,
): Promise<Rounds[]> {
  const results = [...pairs].map(([name, pair]) => {
    const numbers: { p50: number[]; p99: number[]; cpu: number[] } = { p50: [], p99: [], cpu: [] }
    return { name, pair, ...numbers }
  })
  for (let round = 0; round < rounds; round++)
    for (const { pair, p50, p99, cpu } of results) {
      const { times, cpuMs } = await pair.measure(order)
      p50.push(median(times))
      p99.push(quantile(times, 0.99))
      cpu.push(cpuMs / times.length)
    }
  return results
}

export function rowOfLatency({ name, p50, p99, cpu }: Rounds, floor: Rounds): string[] {
  const microseconds = [p50, p99, cpu].map((values) => (1000 * median(values)).toFixed(0))
  return [name, ...microseconds, ratio(p50, floor.p50).toFixed(2)]
}

/** `to`: what the others are set against. */
export function rowOfThroughput({ name, p50, cpu }: Rounds, bytes: number, to: Rounds): string[] {
  const speed = bytes / 1000 / median(p50)
  const cpuPerGb = median(cpu) / 1000 / (bytes / 1e9)
  return [name, speed.toFixed(0), cpuPerGb.toFixed(1), ratio(to.p50, p50).toFixed(2)]
}

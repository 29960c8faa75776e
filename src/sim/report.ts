import { UsageError } from '../core/errors.ts'
import type { Internet } from './internet.ts'

/** Numbers out of a run, and tables of them. */
export interface Summary {
  readonly count: number
  readonly min: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly max: number
  readonly mean: number
}

/** The smallest value that `percent` per cent of the values do not exceed (nearest rank). */
export function percentile(values: readonly number[], percent: number): number {
  if (!(percent >= 0 && percent <= 100)) {
    throw new UsageError('EOPTION', 'percent', 'a number from 0 to 100', String(percent))
  }
  const sorted = [...values].sort((a, b) => a - b)
  const rank = Math.max(1, Math.ceil((percent / 100) * sorted.length))
  return sorted[rank - 1] ?? Number.NaN
}

/** All NaN but the count when there are no values. */
export function summarise(values: readonly number[]): Summary {
  const sum = values.reduce((total, value) => total + value, 0)
  return {
    count: values.length,
    min: percentile(values, 0),
    p50: percentile(values, 50),
    p90: percentile(values, 90),
    p99: percentile(values, 99),
    max: percentile(values, 100),
    mean: values.length === 0 ? Number.NaN : sum / values.length,
  }
}

/** What the network carried for each of `messages`; 28 bytes of headers per datagram included. */
export function costPerMessage(
  internet: Internet,
  messages: number,
): { readonly datagrams: number; readonly bytes: number } {
  const { sent, sentBytes } = internet.network.traffic
  return { datagrams: sent / messages, bytes: (sentBytes + 28 * sent) / messages }
}

/** A table in plain text: a heading, then the rows; numbers stand to the right. */
export function table(
  heading: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): string {
  const cells = [heading, ...rows.map((row) => row.map(text))]
  const widths = heading.map((_, column) =>
    Math.max(...cells.map((row) => (row[column] ?? '').length)),
  )
  const lines = cells.map((row, index) =>
    widths
      .map((width, column) => {
        const isNumber = index > 0 && typeof rows[index - 1]?.[column] === 'number'
        const cell = row[column] ?? ''
        return isNumber ? cell.padStart(width) : cell.padEnd(width)
      })
      .join('  ')
      .trimEnd(),
  )
  lines.splice(1, 0, widths.map((width) => '-'.repeat(width)).join('  '))
  return lines.join('\n')
}

/** What became of every datagram of the run, as a table. */
export function trafficTable(internet: Internet): string {
  const rows = Object.entries(internet.network.traffic).filter(([, count]) => count > 0)
  return table(['datagrams', 'count'], rows)
}

function text(cell: string | number): string {
  if (typeof cell === 'string') return cell
  return Number.isInteger(cell) ? String(cell) : cell.toFixed(2)
}

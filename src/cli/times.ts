import { setMaxListeners } from 'node:events'
import { TTL_MS_MAX } from '../api/limits.ts'
import { type Invocation, type OptionValues, UsageFault } from './command.ts'
import { numberOf } from './common-options.ts'

/** Moments and spans of time as people type them. It decides what they mean, not what they are for. */

const UNIT_MS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

/** `90s`, `30m`, `2h`, `7d`: milliseconds; undefined when it is none of these. */
export function spanOf(text: string): number | undefined {
  const [, digits = '', unit = ''] = /^(\d{1,9})([smhd])$/.exec(text) ?? []
  const unitMs = UNIT_MS[unit]
  return unitMs === undefined ? undefined : Number(digits) * unitMs
}

/** Node's setTimeout holds no more (2^31 − 1 ms). */
const SECONDS_MAX = 2_147_483

/** An option in seconds, as milliseconds that a timer can hold. */
export function secondsOption(values: OptionValues, name: string): number | undefined {
  const seconds = numberOf(values, name)
  if (seconds !== undefined && seconds > SECONDS_MAX)
    throw new UsageFault(`--${name} needs at most ${SECONDS_MAX} seconds, got ${seconds}.`)
  return seconds === undefined ? undefined : 1_000 * seconds
}

/** Aborts on Ctrl-C, and when the time of --for is over. */
export function endOf({ values, terminal }: Invocation): AbortSignal {
  const ms = secondsOption(values, 'for')
  if (ms === undefined) return terminal.interrupted
  // Not AbortSignal.any: Node's forgets its timeout when memory is collected.
  const ending = new AbortController()
  const end = () => ending.abort()
  setMaxListeners(0, ending.signal)
  if (terminal.interrupted.aborted) end()
  terminal.interrupted.addEventListener('abort', end, { once: true })
  setTimeout(end, ms).unref()
  return ending.signal
}

/** How long a packet is to be kept. */
export function ttlOption(text: string | undefined, name: string): number | undefined {
  if (text === undefined) return undefined
  const span = spanOf(text)
  if (span !== undefined && span > TTL_MS_MAX)
    throw new UsageFault(`--${name} needs at most 7d, got ${JSON.stringify(text)}.`)
  if (span !== undefined && span > 0) return span
  throw new UsageFault(
    `--${name} needs a time like 90s, 30m, 2h or 7d, got ${JSON.stringify(text)}.`,
  )
}

/** The moment that an option names: `all`, so long ago (`2h`), or a date. */
export function momentOption(
  text: string | undefined,
  name: string,
  now: number,
): number | undefined {
  if (text === undefined) return undefined
  if (text === 'all') return 0
  const span = spanOf(text)
  if (span !== undefined) return Math.max(0, now - span)
  const at = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN
  if (at >= 0) return at
  throw new UsageFault(
    `--${name} needs a time ago (2h), a date (2026-11-27T10:00) or all, got ${JSON.stringify(text)}.`,
  )
}

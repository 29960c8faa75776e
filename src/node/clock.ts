import type { Instant, UnixMs } from '../core/io.ts'
import type { Clock } from '../driver/ports.ts'

/**
 * Real time. `now` is the process's monotonic clock: no leap, no administrator and no time server
 * moves it. Whether it counts a machine's sleep is the platform's choice: Linux stands still
 * (CLOCK_MONOTONIC), macOS and Windows go on. In either case no timer fires during sleep. So on Linux
 * the sign of having slept is `wall` gone ahead of `now`; elsewhere it is a deadline met late.
 *
 * Timers keep the process alive until they are cancelled or have fired. They are exact to 1 ms.
 */
export function systemClock(): Clock {
  const now = () => performance.now() as Instant
  return {
    now,
    wall: () => Date.now() as UnixMs,
    at: (when, wake) => wakeAfter(when - now(), wake),
  }
}

/** Node clamps a longer delay to 1 ms (timers documentation, `setTimeout`): wake early instead. */
const TIMEOUT_MS_MAX = 2 ** 31 - 1

function wakeAfter(delayMs: number, wake: () => void): () => void {
  if (delayMs <= 0) {
    const immediate = setImmediate(wake)
    return () => clearImmediate(immediate)
  }
  const timer = setTimeout(wake, Math.min(Math.ceil(delayMs), TIMEOUT_MS_MAX))
  return () => clearTimeout(timer)
}

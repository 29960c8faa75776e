import { assert } from '../core/errors.ts'
import type { Instant, UnixMs } from '../core/io.ts'
import type { Clock } from '../driver/ports.ts'
import { type EventQueue, Scheduled } from './event-queue.ts'

/** Wall-clock time at virtual time zero: 2026-01-01T00:00:00Z. */
export const EPOCH_MS = 1_767_225_600_000

/**
 * Virtual time moves in ticks of 1/1024 ms: sums and differences of ticks are exact, so a timer never
 * fires a rounding error before its time.
 */
export const TICKS_PER_MS = 1024

/** The first tick at or after `ms`. */
export function tickAt(ms: number): number {
  return Math.ceil(ms * TICKS_PER_MS) / TICKS_PER_MS
}

/** A core that finds a deadline so long ago takes it for a sleep of its host, and wakes every session. */
const LATE_MAX_MS = 1_000

export interface Timeline {
  readonly nowMs: number
  readonly queue: EventQueue
}

/**
 * One process's clock on a host. Monotonic time starts at zero with the process and stands still while
 * the host sleeps, as CLOCK_MONOTONIC does on Linux, unless `wakeUp` says otherwise.
 */
export class HostClock implements Clock {
  readonly #timeline: Timeline
  readonly #timers = new Set<Timer>()
  /** Virtual time at which `now()` was zero. */
  #originMs: number
  #asleepSinceMs: number | undefined
  #isStopped = false
  #hasJumped = false
  skewMs: number

  constructor(timeline: Timeline, skewMs: number) {
    this.#timeline = timeline
    this.#originMs = timeline.nowMs
    this.skewMs = skewMs
  }

  now(): Instant {
    return ((this.#asleepSinceMs ?? this.#timeline.nowMs) - this.#originMs) as Instant
  }

  wall(): UnixMs {
    return Math.floor(EPOCH_MS + this.#timeline.nowMs + this.skewMs) as UnixMs
  }

  at(when: Instant, wake: () => void): () => void {
    const lateMs = this.now() - when
    assert(this.#hasJumped || lateMs < LATE_MAX_MS, `a deadline was due ${lateMs} ms ago`)
    const timer = new Timer(when, wake, this.#timers)
    if (this.#isStopped) return () => {}
    this.#timers.add(timer)
    this.#schedule(timer)
    return () => {
      this.#timers.delete(timer)
      this.#timeline.queue.remove(timer)
    }
  }

  fallAsleep(): void {
    this.#asleepSinceMs = this.#timeline.nowMs
    for (const timer of this.#timers) this.#timeline.queue.remove(timer)
  }

  /** `monotonicJumps`: the time asleep counts as monotonic time, as on macOS and in some browsers. */
  wakeUp(monotonicJumps: boolean): void {
    if (this.#asleepSinceMs === undefined) return
    if (!monotonicJumps) this.#originMs += this.#timeline.nowMs - this.#asleepSinceMs
    this.#asleepSinceMs = undefined
    this.#hasJumped ||= monotonicJumps
    for (const timer of this.#timers) this.#schedule(timer)
  }

  /** Cancels every timer, and every one to come: the process is gone. */
  stop(): void {
    this.#isStopped = true
    for (const timer of this.#timers) this.#timeline.queue.remove(timer)
    this.#timers.clear()
  }

  #schedule(timer: Timer): void {
    const atMs = Math.max(this.#timeline.nowMs, tickAt(timer.when) + this.#originMs)
    if (this.#asleepSinceMs === undefined) this.#timeline.queue.add(timer, atMs)
  }
}

class Timer extends Scheduled {
  readonly when: Instant
  readonly #wake: () => void
  readonly #timers: Set<Timer>

  constructor(when: Instant, wake: () => void, timers: Set<Timer>) {
    super()
    this.when = when
    this.#wake = wake
    this.#timers = timers
  }

  fire(): void {
    this.#timers.delete(this)
    this.#wake()
  }
}

import type { Instant } from '../io.ts'

/** Knocks that leave over some time. */
export interface Salvo {
  /** When the next ones are due; undefined when it is over. */
  readonly nextAt: Instant | undefined
  /** Sends what is due at `now`. */
  fire(now: Instant): void
}

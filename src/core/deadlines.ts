import type { Deadline } from './io.ts'

/** The first of two deadlines; of equal ones, the one named first. */
export function earlier(a: Deadline | undefined, b: Deadline | undefined): Deadline | undefined {
  return a === undefined || (b !== undefined && b.at < a.at) ? b : a
}

/**
 * The three kinds of fault, never mixed: a remote's fault is a value and a counter, a caller's fault
 * throws `UsageError` at once, our own fault fails `assert`.
 */
export class UsageError extends TypeError {
  readonly code: string
  constructor(code: string, argument: string, expected: string, got: string) {
    super(`${argument}: expected ${expected}, got ${got}`)
    this.name = 'UsageError'
    this.code = code
  }
}

/** States an invariant of ours. A failure is a bug in Latica, never bad input. */
export function assert(condition: boolean, invariant: string): asserts condition {
  if (!condition) throw new Error(`invariant: ${invariant}`)
}

/** What a decoder returns for bytes that are not what they should be. */
export const MALFORMED: unique symbol = Symbol('malformed')
export type Malformed = typeof MALFORMED

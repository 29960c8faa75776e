/** Truncated packet numbers: RFC 9000 §17.1 and appendix A, for numbers up to 2^53 − 1. */
export type NumberLength = 1 | 2 | 3 | 4

/**
 * Bytes of `number` to send so that a remote that has `largestAcked` (−1: none) or more of what was
 * sent since expands them to the whole again (RFC 9000 A.2).
 */
export function numberLength(number: number, largestAcked: number): NumberLength {
  const span = number - largestAcked
  if (span <= 0x80) return 1
  if (span <= 0x8000) return 2
  if (span <= 0x800000) return 3
  return 4
}

const WINDOWS = { 1: 2 ** 8, 2: 2 ** 16, 3: 2 ** 24, 4: 2 ** 32 } as const

/**
 * The whole number nearest to the one after `highest` (−1: none) with these low bytes (RFC 9000 A.3);
 * undefined when it would not be a safe integer.
 */
export function expandNumber(
  truncated: number,
  length: NumberLength,
  highest: number,
): number | undefined {
  const window = WINDOWS[length]
  const half = window / 2
  const expected = highest + 1
  let number = expected - (expected % window) + truncated
  if (number <= expected - half) number += window
  else if (number > expected + half && number >= window) number -= window
  return Number.isSafeInteger(number) ? number : undefined
}

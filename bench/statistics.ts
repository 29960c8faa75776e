/** Of no numbers NaN, which shows in the table. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** The nearest value at or above that part of them, 0 to 1. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN
}

/** The median over the rounds of what one is to the other in the same round. */
export function ratio(values: readonly number[], to: readonly number[]): number {
  return median(values.map((value, round) => value / (to[round] ?? Number.NaN)))
}

/** How many come first for which `isBefore` holds, in a list in which they all come before the others. */
export function partitionPoint<T>(list: readonly T[], isBefore: (one: T) => boolean): number {
  let from = 0
  let to = list.length
  while (from < to) {
    const middle = (from + to) >> 1
    if (isBefore(list[middle] as T)) from = middle + 1
    else to = middle
  }
  return from
}

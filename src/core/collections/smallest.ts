/** Of any, the `count` whose keys are smallest, the smallest first; of equal ones those that come first. */
export function smallest<T>(all: Iterable<T>, count: number, keyOf: (one: T) => number): T[] {
  const best: T[] = []
  const keys: number[] = []
  for (const one of all) {
    const key = keyOf(one)
    const last = keys[keys.length - 1]
    if (best.length >= count && (last === undefined || key >= last)) continue
    let at = keys.length
    while (at > 0 && (keys[at - 1] ?? 0) > key) at--
    best.splice(at, 0, one)
    keys.splice(at, 0, key)
    if (best.length <= count) continue
    best.pop()
    keys.pop()
  }
  return best
}

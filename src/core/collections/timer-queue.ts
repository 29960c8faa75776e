/**
 * Deadlines by key: a binary heap with lazy deletion. Setting and clearing cost O(log n); the heap
 * never holds more than twice the live entries. Equal deadlines come out in the order they were set.
 */
interface Entry<K> {
  readonly key: K
  readonly at: number
  readonly sequence: number
  readonly reason: string
}

export class TimerQueue<K> {
  readonly #live = new Map<K, Entry<K>>()
  #heap: Entry<K>[] = []
  #sequence = 0

  get size(): number {
    return this.#live.size
  }

  has(key: K): boolean {
    return this.#live.has(key)
  }

  dueAt(key: K): number | undefined {
    return this.#live.get(key)?.at
  }

  /** Replaces the key's deadline; undefined clears it. */
  set(key: K, at: number | undefined, reason: string): void {
    const current = this.#live.get(key)
    if (at === undefined) {
      this.#live.delete(key)
      return
    }
    if (current?.at === at && current.reason === reason) return
    const entry: Entry<K> = { key, at, sequence: this.#sequence++, reason }
    this.#live.set(key, entry)
    this.#push(entry)
    if (this.#heap.length > 2 * this.#live.size + 64) this.#rebuild()
  }

  clear(key: K): void {
    this.#live.delete(key)
  }

  earliest(): { readonly key: K; readonly at: number; readonly reason: string } | undefined {
    let top = this.#heap[0]
    while (top !== undefined && this.#live.get(top.key) !== top) {
      this.#pop()
      top = this.#heap[0]
    }
    return top
  }

  /** Takes out the earliest key that is due at `now`. */
  takeDue(now: number): K | undefined {
    const top = this.earliest()
    if (top === undefined || top.at > now) return undefined
    this.#live.delete(top.key)
    this.#pop()
    return top.key
  }

  #push(entry: Entry<K>): void {
    const heap = this.#heap
    let at = heap.push(entry) - 1
    while (at > 0) {
      const parentAt = (at - 1) >> 1
      const parent = heap[parentAt]
      if (parent === undefined || isBefore(parent, entry)) break
      heap[at] = parent
      at = parentAt
    }
    heap[at] = entry
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let at = 0
    for (;;) {
      let childAt = 2 * at + 1
      let child = heap[childAt]
      const right = heap[childAt + 1]
      if (child !== undefined && right !== undefined && isBefore(right, child)) {
        child = right
        childAt++
      }
      if (child === undefined || isBefore(last, child)) break
      heap[at] = child
      at = childAt
    }
    heap[at] = last
  }

  #rebuild(): void {
    this.#heap = []
    for (const entry of this.#live.values()) this.#push(entry)
  }
}

function isBefore<K>(a: Entry<K>, b: Entry<K>): boolean {
  return a.at < b.at || (a.at === b.at && a.sequence < b.sequence)
}

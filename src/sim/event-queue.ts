/** Something that happens at an instant of virtual time. `slot` and `sequence` are the queue's. */
export abstract class Scheduled {
  atMs = 0
  sequence = 0
  slot = -1

  abstract fire(): void
}

/**
 * What happens next: a binary heap ordered by time, then by scheduling. Every item knows its slot, so
 * a cancelled timer leaves at once; a peer re-arms its timer with nearly every datagram.
 */
export class EventQueue {
  readonly #heap: Scheduled[] = []
  #sequence = 0

  get size(): number {
    return this.#heap.length
  }

  get first(): Scheduled | undefined {
    return this.#heap[0]
  }

  /** `item` must not be in the queue. */
  add(item: Scheduled, atMs: number): void {
    item.atMs = atMs
    item.sequence = this.#sequence++
    this.#heap.push(item)
    this.#rise(item, this.#heap.length - 1)
  }

  /** Does nothing when `item` is not in the queue. */
  remove(item: Scheduled): void {
    const { slot } = item
    if (slot < 0) return
    item.slot = -1
    const last = this.#heap.pop()
    if (last === undefined || last === item) return
    this.#rise(last, slot)
    this.#sink(last, last.slot)
  }

  take(): Scheduled | undefined {
    const first = this.#heap[0]
    if (first !== undefined) this.remove(first)
    return first
  }

  #rise(item: Scheduled, from: number): void {
    const heap = this.#heap
    let slot = from
    while (slot > 0) {
      const parentSlot = (slot - 1) >> 1
      const parent = heap[parentSlot]
      if (parent === undefined || isBefore(parent, item)) break
      heap[slot] = parent
      parent.slot = slot
      slot = parentSlot
    }
    heap[slot] = item
    item.slot = slot
  }

  #sink(item: Scheduled, from: number): void {
    const heap = this.#heap
    let slot = from
    for (;;) {
      let childSlot = 2 * slot + 1
      let child = heap[childSlot]
      const right = heap[childSlot + 1]
      if (child !== undefined && right !== undefined && isBefore(right, child)) {
        child = right
        childSlot++
      }
      if (child === undefined || isBefore(item, child)) break
      heap[slot] = child
      child.slot = slot
      slot = childSlot
    }
    heap[slot] = item
    item.slot = slot
  }
}

function isBefore(a: Scheduled, b: Scheduled): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence)
}

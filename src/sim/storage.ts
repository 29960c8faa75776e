import type { StoredRecord } from '../core/io.ts'
import type { Storage } from '../driver/ports.ts'

/** How many of the last writes a crash can take back. */
const JOURNAL_WRITES_MAX = 1024

/**
 * A host's disk: it survives restarts, and can be made to fail. It answers at once, so that a
 * simulation needs no promise.
 */
export class SimStorage implements Storage {
  /** While true, every write throws. */
  failsWrites = false
  /** While true, every load throws. */
  failsLoads = false
  readonly #records = new Map<string, Uint8Array>()
  readonly #journal: { readonly key: string; readonly before: Uint8Array | undefined }[] = []

  get size(): number {
    return this.#records.size
  }

  load(prefix: string): readonly StoredRecord[] {
    if (this.failsLoads) throw new Error('simulated: the disk cannot be read')
    return [...this.#records.keys()]
      .filter((key) => key.startsWith(prefix))
      .sort((a, b) => (a < b ? -1 : 1))
      .map((key) => ({ key, value: (this.#records.get(key) ?? new Uint8Array(0)).slice() }))
  }

  write(key: string, value: Uint8Array | undefined): void {
    if (this.failsWrites) throw new Error('simulated: the disk is full')
    this.#journal.push({ key, before: this.#records.get(key) })
    if (this.#journal.length > JOURNAL_WRITES_MAX) this.#journal.shift()
    this.#set(key, value?.slice())
  }

  close(): void {}

  /** Takes back the last `count` writes (at most 1024), as a crash does to what was not synced. */
  loseWrites(count: number): void {
    for (const { key, before } of this.#journal.splice(-count, count).reverse()) {
      this.#set(key, before)
    }
  }

  /** Flips one bit of a record; false when there is no such record, or an empty one. */
  corrupt(key: string): boolean {
    const value = this.#records.get(key)
    if (value === undefined || value.length === 0) return false
    const damaged = value.slice()
    const middle = damaged.length >> 1
    damaged[middle] = (damaged[middle] ?? 0) ^ 0x10
    this.#set(key, damaged)
    return true
  }

  #set(key: string, value: Uint8Array | undefined): void {
    if (value === undefined) this.#records.delete(key)
    else this.#records.set(key, value)
  }
}

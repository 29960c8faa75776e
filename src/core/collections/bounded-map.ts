/** A map that never holds more than `max` entries: adding one more drops the oldest. */
export class BoundedMap<K, V> {
  readonly #max: number
  readonly #entries = new Map<K, V>()

  constructor(max: number) {
    this.#max = max
  }

  get size(): number {
    return this.#entries.size
  }

  get(key: K): V | undefined {
    return this.#entries.get(key)
  }

  has(key: K): boolean {
    return this.#entries.has(key)
  }

  /** Makes the key the youngest. Returns the entry that had to go, if one had to. */
  set(key: K, value: V): { readonly key: K; readonly value: V } | undefined {
    this.#entries.delete(key)
    this.#entries.set(key, value)
    if (this.#entries.size <= this.#max) return undefined
    const oldest = this.#entries.entries().next().value
    if (oldest === undefined) return undefined
    this.#entries.delete(oldest[0])
    return { key: oldest[0], value: oldest[1] }
  }

  delete(key: K): boolean {
    return this.#entries.delete(key)
  }

  keys(): IterableIterator<K> {
    return this.#entries.keys()
  }

  values(): IterableIterator<V> {
    return this.#entries.values()
  }

  [Symbol.iterator](): IterableIterator<[K, V]> {
    return this.#entries.entries()
  }
}

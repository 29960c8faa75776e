/**
 * Keeps writes in order over a store whose writes may overtake each other: one batch is under way at
 * a time, what is written meanwhile forms the next, and of two writes to one key the later counts.
 * Holds at most one value a key.
 */
export class WriteQueue {
  readonly #apply: (batch: ReadonlyMap<string, Uint8Array | undefined>) => Promise<void>
  #pending = new Map<string, Uint8Array | undefined>()
  #running: Promise<void> = Promise.resolve()
  #next: Promise<void> | undefined

  constructor(apply: (batch: ReadonlyMap<string, Uint8Array | undefined>) => Promise<void>) {
    this.#apply = apply
  }

  /** Keeps `value`. Settles as the batch it is in does. */
  write(key: string, value: Uint8Array | undefined): Promise<void> {
    this.#pending.set(key, value)
    this.#next ??= this.#running.then(() => this.#flush())
    return this.#next
  }

  /** Resolves when all that has been written was tried. */
  async idle(): Promise<void> {
    await (this.#next ?? this.#running).catch(() => {})
  }

  #flush(): Promise<void> {
    const batch = this.#pending
    this.#pending = new Map()
    this.#next = undefined
    const done = this.#apply(batch)
    this.#running = done.catch(() => {})
    return done
  }
}

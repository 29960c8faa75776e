import { mustBe } from './errors.ts'
import type { ListenOptions, Loose, Off } from './types.ts'

export type Listener = (...args: Loose[]) => unknown

interface Entry {
  readonly listener: Listener
  readonly isOnce: boolean
  readonly off: Off
}

/**
 * The listeners of one emitter. A listener that throws, or whose promise rejects, is reported and
 * stops no other. It decides order and lifetime, not names.
 */
export class Listeners {
  readonly #calling = new Set<string>()
  readonly #byEvent = new Map<string, Set<Entry>>()
  readonly #failed: (error: unknown) => void

  constructor(failed: (error: unknown) => void) {
    this.#failed = failed
  }

  add(event: string, listener: unknown, options: ListenOptions = {}): Off {
    return this.#listen(event, listener, options, false)
  }

  once(event: string, listener: unknown, options: ListenOptions = {}): Off {
    return this.#listen(event, listener, options, true)
  }

  #listen(event: string, given: unknown, options: ListenOptions, isOnce: boolean): Off {
    mustBe(typeof given === 'function', 'listener', 'a function', given)
    const { signal } = signalOf(options)
    const listener = given as Listener
    const entries = this.#byEvent.get(event) ?? new Set()
    const off = makeOff(() => {
      signal?.removeEventListener('abort', off)
      entries.delete(entry)
      if (entries.size === 0 && this.#byEvent.get(event) === entries) this.#byEvent.delete(event)
    })
    const entry: Entry = { listener, isOnce, off }
    if (signal?.aborted) return off
    signal?.addEventListener('abort', off, { once: true })
    this.#byEvent.set(event, entries.add(entry))
    return off
  }

  /** Ends the listening that began first with this function. */
  remove(event: string, listener: unknown): void {
    for (const entry of this.#byEvent.get(event) ?? [])
      if (entry.listener === listener) return entry.off()
  }

  has(event: string): boolean {
    return this.#byEvent.has(event)
  }

  isListening(event: string, off: Off): boolean {
    for (const entry of this.#byEvent.get(event) ?? []) if (entry.off === off) return true
    return false
  }

  /** Whether listeners of this event are being called: a fault in one must not call it again. */
  isCalling(event: string): boolean {
    return this.#calling.has(event)
  }

  /** Calls everyone who listens at this moment; false when nobody does. */
  deliver(event: string, ...args: unknown[]): boolean {
    const entries = this.#byEvent.get(event)
    if (entries === undefined) return false
    const isOutermost = !this.#calling.has(event)
    this.#calling.add(event)
    for (const entry of [...entries]) {
      if (!entries.has(entry)) continue
      if (entry.isOnce) entry.off()
      this.call(entry.listener, ...args)
    }
    if (isOutermost) this.#calling.delete(event)
    return true
  }

  call(listener: Listener, ...args: unknown[]): void {
    try {
      const result = listener(...args)
      if (result instanceof Promise) result.catch(this.#failed)
    } catch (error) {
      this.#failed(error)
    }
  }

  clear(): void {
    for (const entries of [...this.#byEvent.values()]) for (const entry of [...entries]) entry.off()
  }
}

/** A function that does its work once, and serves `using` where the host knows disposal. */
export function makeOff(work: () => void): Off {
  let isDone = false
  const off = () => {
    if (isDone) return
    isDone = true
    work()
  }
  return Object.assign(off, { [DISPOSE]: off })
}

/** Browsers of 2024 lack both symbols: there, the methods hide under symbols of ours. */
export const DISPOSE: typeof Symbol.dispose =
  Symbol.dispose ?? (Symbol.for('latica.dispose') as typeof Symbol.dispose)
export const ASYNC_DISPOSE: typeof Symbol.asyncDispose =
  Symbol.asyncDispose ?? (Symbol.for('latica.asyncDispose') as typeof Symbol.asyncDispose)

/** The options with their signal checked. */
export function signalOf<T extends { readonly signal?: AbortSignal }>(options: T): T {
  mustBe(typeof options === 'object' && options !== null, 'options', 'an object', options)
  mustBe(
    options.signal === undefined || options.signal instanceof AbortSignal,
    'options.signal',
    'an AbortSignal',
    options.signal,
  )
  return options
}

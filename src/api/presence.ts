import type { Handle, PeerId } from '../core/io.ts'
import type { Host } from './host.ts'
import { checkValue, PRESENCE_LIMIT } from './limits.ts'
import type { Listeners } from './listeners.ts'
import type { ListenOptions, Loose, Off, Presence } from './types.ts'

const CHANGED = 'changed'

/**
 * What members show of themselves. `others` is replaced, never changed, so that a view that
 * compares by identity sees each change once.
 */
export class PresenceBoard implements Presence<Loose> {
  readonly #host: Host
  readonly #subcluster: Handle
  readonly #listeners: Listeners
  #isEnded = false
  #self: Loose
  #others: ReadonlyMap<string, Loose> = new Map()

  constructor(host: Host, subcluster: Handle, listeners: Listeners) {
    this.#host = host
    this.#subcluster = subcluster
    this.#listeners = listeners
  }

  get self(): Loose {
    return this.#self
  }

  get others(): ReadonlyMap<string, Loose> {
    return this.#others
  }

  set(value: Loose): void {
    const bytes = value === undefined ? undefined : checkValue(value, 'value', PRESENCE_LIMIT)
    if (this.#isEnded) return
    this.#self = value
    this.#host.command({ type: 'presence', subcluster: this.#subcluster, value: bytes })
    this.#listeners.deliver(CHANGED)
  }

  /** We left: there is nobody to show anything to. */
  end(): void {
    this.#isEnded = true
    this.#self = undefined
    this.#others = new Map()
    this.#listeners.deliver(CHANGED)
    this.#listeners.clear()
  }

  /** An arrow: React's useSyncExternalStore takes it as it is. */
  readonly subscribe = (changed: () => void, options?: ListenOptions): Off =>
    this.#listeners.add(CHANGED, changed, options)

  /** A member shows something else, or (undefined) nothing. False when that changes nothing. */
  receive(peer: PeerId, value: Loose): boolean {
    if (value === undefined && !this.#others.has(peer)) return false
    const others = new Map(this.#others)
    if (value === undefined) others.delete(peer)
    else others.set(peer, value)
    this.#others = others
    this.#listeners.deliver(CHANGED)
    return true
  }
}

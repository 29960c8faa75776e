import { TimerQueue } from '../../collections/timer-queue.ts'
import { Chain, type Linked } from './chain.ts'

/**
 * Items by the minute in which their time is over. Adding and removing cost O(1), but for the first of
 * a minute: that costs the logarithm of the number of minutes in use, which for packets is 14.
 */
export interface Dated<T> extends Linked<T> {
  /** Minutes since 1970. */
  readonly overAtMinute: number
}

export class MinuteBuckets<T extends Dated<T>> {
  readonly #slot: number
  readonly #buckets = new Map<number, Chain<T>>()
  readonly #minutes = new TimerQueue<number>()

  constructor(slot: number) {
    this.#slot = slot
  }

  /** One of those that are over first. */
  get first(): T | undefined {
    const minute = this.#minutes.earliest()?.key
    return minute === undefined ? undefined : this.#buckets.get(minute)?.first
  }

  add(item: T): void {
    const minute = item.overAtMinute
    let bucket = this.#buckets.get(minute)
    if (bucket === undefined) {
      bucket = new Chain(this.#slot)
      this.#buckets.set(minute, bucket)
      this.#minutes.set(minute, minute, 'over')
    }
    bucket.push(item)
  }

  remove(item: T): void {
    const minute = item.overAtMinute
    const bucket = this.#buckets.get(minute)
    bucket?.remove(item)
    if (bucket?.isEmpty !== true) return
    this.#buckets.delete(minute)
    this.#minutes.clear(minute)
  }
}

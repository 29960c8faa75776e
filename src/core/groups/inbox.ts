/**
 * Puts one member's messages back into order: each names the message it must follow, so that events
 * do not wait for each other. The transport delivers each message once, in any order. Decides when a
 * message is released; its bounds are what an honest sender keeps (`OrderedSender`).
 */

/** A sender stays this close to its oldest unacknowledged message. Guess: ten thousand at once fit. */
export const INBOX_MESSAGES_MAX = 16_384
/** The same in bytes. Guess: eight of the largest messages. */
export const INBOX_BYTES_MAX = 8 * 1024 * 1024

export interface InboxMessage {
  readonly sequence: number
  readonly back: number
  readonly event: string
  readonly value: Uint8Array
}

export class Inbox {
  /** Everything below has arrived. */
  #floor = 0
  readonly #arrivedAbove = new Set<number>()
  readonly #held = new Map<number, InboxMessage>()
  readonly #successors = new Map<number, number>()
  #heldBytes = 0

  get heldBytes(): number {
    return this.#heldBytes
  }

  get heldCount(): number {
    return this.#held.size
  }

  /** What may be delivered, in order; or why the message is refused. */
  arrived(message: InboxMessage): InboxMessage[] | 'replayed' | 'over-limit' | 'malformed' {
    const { sequence, back } = message
    if (sequence >= this.#floor + INBOX_MESSAGES_MAX) return 'over-limit'
    if (this.#hasArrived(sequence)) return this.#again(message)
    const previous = sequence - back
    const isReady = back === 0 || (this.#hasArrived(previous) && !this.#held.has(previous))
    if (!isReady) {
      if (this.#successors.has(previous)) return 'malformed'
      // The message that the others wait for has its own place, so one more than the bound fits.
      if (this.#heldBytes + message.value.length > INBOX_BYTES_MAX) return 'over-limit'
    }
    this.#markArrived(sequence)
    if (isReady) return this.#release(message)
    this.#held.set(sequence, message)
    this.#successors.set(previous, sequence)
    this.#heldBytes += message.value.length
    return []
  }

  /** A letter that waits for nothing lets go what came in vain: its predecessor may never come. */
  #again({ sequence, back }: InboxMessage): InboxMessage[] | 'replayed' {
    const held = this.#held.get(sequence)
    if (held === undefined || back > 0) return 'replayed'
    this.#successors.delete(sequence - held.back)
    this.#held.delete(sequence)
    this.#heldBytes -= held.value.length
    return this.#release(held)
  }

  #hasArrived(sequence: number): boolean {
    return sequence < this.#floor || this.#arrivedAbove.has(sequence)
  }

  #markArrived(sequence: number): void {
    this.#arrivedAbove.add(sequence)
    while (this.#arrivedAbove.delete(this.#floor)) this.#floor++
  }

  #release(first: InboxMessage): InboxMessage[] {
    const released = [first]
    let last = first.sequence
    for (;;) {
      const next = this.#successors.get(last)
      const message = next === undefined ? undefined : this.#held.get(next)
      if (message === undefined) return released
      this.#successors.delete(last)
      this.#held.delete(message.sequence)
      this.#heldBytes -= message.value.length
      released.push(message)
      last = message.sequence
    }
  }
}

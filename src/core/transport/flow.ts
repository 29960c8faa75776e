/** Flow control (RFC 9000 §4): what we may send, and what we let the remote send. */

/** Bytes the remote allows us, of which `used` are spent. */
export class SendCredit {
  limit: number
  used = 0

  constructor(limit: number) {
    this.limit = limit
  }

  get available(): number {
    return this.limit - this.used
  }

  /** A limit never shrinks: an older one may come later. True when it grew. */
  raise(limit: number): boolean {
    if (limit <= this.limit) return false
    this.limit = limit
    return true
  }
}

/** A window is raised again once this part of it was consumed: few updates, none too late. */
const UPDATE_FRACTION = 0.25
/** A window used up faster than this many round trips is too small for the path and doubles. */
const GROWTH_ROUND_TRIPS = 4

/** Bytes we allow the remote: grows while the application keeps up with the path. */
export class ReceiveWindow {
  limit: number
  received = 0
  consumed = 0
  #sizeBytes: number
  readonly #maxBytes: number
  #updatedAt = 0

  constructor(sizeBytes: number, maxBytes: number) {
    this.#sizeBytes = sizeBytes
    this.#maxBytes = maxBytes
    this.limit = sizeBytes
  }

  /** Takes the remote's use of credit into account; false when it has less. */
  charge(bytes: number): boolean {
    if (bytes > this.limit - this.received) return false
    this.received += bytes
    return true
  }

  consume(bytes: number): void {
    this.consumed += bytes
  }

  get isUpdateDue(): boolean {
    return this.consumed + this.#sizeBytes - this.limit >= this.#sizeBytes * UPDATE_FRACTION
  }

  /** Moves the limit, which is then to be told to the remote. */
  update(now: number, rttMs: number): void {
    if (now - this.#updatedAt < GROWTH_ROUND_TRIPS * UPDATE_FRACTION * rttMs)
      this.#sizeBytes = Math.min(2 * this.#sizeBytes, this.#maxBytes)
    this.#updatedAt = now
    this.limit = Math.max(this.limit, this.consumed + this.#sizeBytes)
  }
}

/** Room for pieces that wait for an earlier one, shared by all streams and messages of a session. */
export class PieceBudget {
  used = 0
  readonly #max: number

  constructor(max: number) {
    this.#max = max
  }

  get isFull(): boolean {
    return this.used >= this.#max
  }
}

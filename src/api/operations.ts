import type { Command, FailureCode, Handle, PeerEvent } from '../core/io.ts'
import { LaticaError } from './errors.ts'
import type { Host } from './host.ts'

export type Outcome = Extract<PeerEvent, { type: 'done' | 'answer' | 'history' | 'key' }>
export type Settlement = Outcome | Extract<PeerEvent, { type: 'failed' }>

/** Guess, unmeasured: keeps a gigabit busy over 50 ms without holding much memory. */
const OPERATIONS_MAX = 1_024
const OPERATION_BYTES_MAX = 8 * 1_048_576

interface Ticket {
  readonly sizeBytes: number
  readonly start: () => void
}

/** Lets a bounded number of operations through at a time, the others in the order they came. */
export class Gate {
  readonly #inside = new Set<Ticket>()
  readonly #waiting = new Set<Ticket>()
  #insideBytes = 0
  #isOpening = false

  get waiting(): number {
    return this.#waiting.size
  }

  enter(ticket: Ticket): void {
    this.#waiting.add(ticket)
    this.#open()
  }

  leave(ticket: Ticket): void {
    if (this.#waiting.delete(ticket) || !this.#inside.delete(ticket)) return
    this.#insideBytes -= ticket.sizeBytes
    this.#open()
  }

  #open(): void {
    // Operations that end at once leave while this loop runs: they must not recurse into it.
    if (this.#isOpening) return
    this.#isOpening = true
    for (const ticket of this.#waiting) {
      if (!this.#fits(ticket.sizeBytes)) break
      this.#waiting.delete(ticket)
      this.#inside.add(ticket)
      this.#insideBytes += ticket.sizeBytes
      ticket.start()
    }
    this.#isOpening = false
  }

  #fits(sizeBytes: number): boolean {
    if (this.#inside.size === 0) return true
    return (
      this.#inside.size < OPERATIONS_MAX && this.#insideBytes + sizeBytes <= OPERATION_BYTES_MAX
    )
  }
}

interface Pending {
  readonly gate: Gate
  readonly resolve: (outcome: Outcome) => void
  readonly reject: (error: LaticaError) => void
}

/** Operations under way: each ends once, by its outcome, a failure, an abort or the end of all. */
export class Operations {
  readonly #host: Host
  readonly #pending = new Map<Handle, Pending>()
  #last = 0

  constructor(host: Host) {
    this.#host = host
  }

  run(
    gate: Gate,
    sizeBytes: number,
    signal: AbortSignal | undefined,
    command: (operation: Handle) => Command,
  ): Promise<Outcome> {
    if (signal?.aborted) return Promise.reject(aborted(signal))
    const operation = ++this.#last
    return new Promise((resolve, reject) => {
      let isStarted = false
      const ticket: Ticket = {
        sizeBytes,
        start: () => {
          isStarted = true
          this.#host.command(command(operation))
        },
      }
      const end = () => {
        this.#pending.delete(operation)
        signal?.removeEventListener('abort', onAbort)
        gate.leave(ticket)
      }
      const onAbort = () => {
        end()
        if (isStarted) this.#host.command({ type: 'cancel', operation })
        reject(aborted(signal))
      }
      this.#pending.set(operation, {
        gate,
        resolve: (outcome) => {
          end()
          resolve(outcome)
        },
        reject: (error) => {
          end()
          reject(error)
        },
      })
      signal?.addEventListener('abort', onAbort, { once: true })
      gate.enter(ticket)
    })
  }

  settle(event: Settlement): void {
    const pending = this.#pending.get(event.operation)
    if (event.type === 'failed') pending?.reject(new LaticaError(event.code))
    else pending?.resolve(event)
  }

  /** Ends every operation, or those of one gate. The command that ends them at the peer is not ours. */
  failAll(code: FailureCode, gate?: Gate): void {
    const ending = [...this.#pending.values()].filter((pending) => !gate || pending.gate === gate)
    // Those that wait go first: room made by the others would start them.
    for (const pending of ending.reverse()) pending.reject(new LaticaError(code))
  }
}

export function aborted(signal: AbortSignal | undefined): LaticaError {
  return new LaticaError('EABORTED', undefined, signal?.reason)
}

import type { Command, PeerEvent } from '../core/io.ts'
import { toHex } from '../core/wire/bytes.ts'
import type { TraceEvent } from './types.ts'

/** Trace events that wait for a reader. Guess, unmeasured. */
export const TRACE_WAITING_MAX = 1_024
/** A trace may be shown to anyone: what is secret or the users' own stays out of it. */
const SECRET = ['sharedKey', 'value', 'data']

/** The readers of `inspect()`. Costs nothing while there are none. */
export class Traces {
  readonly #readers = new Map<ReadableStreamDefaultController<TraceEvent>, number>()

  stream(): ReadableStream<TraceEvent> {
    let own: ReadableStreamDefaultController<TraceEvent>
    return new ReadableStream<TraceEvent>(
      {
        start: (controller) => {
          own = controller
          this.#readers.set(controller, 0)
        },
        cancel: () => {
          this.#readers.delete(own)
        },
      },
      { highWaterMark: TRACE_WAITING_MAX },
    )
  }

  add(from: TraceEvent['from'], what: Command | PeerEvent): void {
    if (this.#readers.size === 0) return
    const { type, ...fields } = what
    const trace = { at: Date.now(), from, type, detail: flatten(fields) }
    for (const [reader, dropped] of this.#readers) {
      const room = reader.desiredSize ?? 0
      // Two places: for the event, and before it for the count of those that found none.
      if (room < 2) this.#readers.set(reader, dropped + 1)
      else {
        if (dropped > 0) reader.enqueue({ ...trace, type: 'dropped', detail: { count: dropped } })
        this.#readers.set(reader, 0)
        reader.enqueue(trace)
      }
    }
  }

  end(): void {
    for (const reader of this.#readers.keys()) reader.close()
    this.#readers.clear()
  }
}

type Detail = Record<string, string | number | boolean>

/** One level of plain fields: bytes by their length, nested fields by dotted names. */
function flatten(fields: object, prefix = '', into: Detail = {}): Detail {
  for (const [key, value] of Object.entries(fields)) {
    const name = prefix + key
    if (value instanceof Uint8Array) {
      if (SECRET.includes(key)) into[`${name}Bytes`] = value.length
      else into[name] = toHex(value)
    } else if (Array.isArray(value)) into[name] = JSON.stringify(value)
    else if (typeof value === 'object' && value !== null) flatten(value, `${name}.`, into)
    else if (value !== undefined && value !== null) into[name] = value
  }
  return into
}

import { MALFORMED, UsageError } from '../core/errors.ts'
import type { Handle, PeerEvent, PeerId } from '../core/io.ts'
import { LaticaError } from './errors.ts'
import type { Host } from './host.ts'
import { checkValue, DIRECT_LIMIT } from './limits.ts'
import { makeOff } from './listeners.ts'
import type { Loose, Off } from './types.ts'
import { decodeValue, encodeValue } from './values.ts'

type CallEvent = Extract<PeerEvent, { type: 'call' }>
export type Handler = (
  argument: Loose,
  context: { readonly peer: Loose; readonly signal: AbortSignal },
) => unknown

/** Guess, unmeasured: calls of one peer that run at the same time; more are answered EBUSY. */
export const CALLS_PER_PEER_MAX = 256
const MESSAGE_CHARACTERS_MAX = 1_000
const ANSWER_CODES = ['ENOHANDLER', 'EBUSY'] as const

/** A call under way, and what its handler is told of it. Few ask for the signal: it is made for them. */
class Running {
  readonly peer: unknown
  readonly #caller: PeerId
  #cancelled: LaticaError | undefined
  #abort: AbortController | undefined

  constructor(caller: PeerId, peer: unknown) {
    this.#caller = caller
    this.peer = peer
  }

  isFrom(caller: PeerId): boolean {
    return this.#caller === caller
  }

  get signal(): AbortSignal {
    this.#abort ??= new AbortController()
    if (this.#cancelled !== undefined) this.#abort.abort(this.#cancelled)
    return this.#abort.signal
  }

  cancel(): void {
    this.#cancelled = new LaticaError('EABORTED')
    this.#abort?.abort(this.#cancelled)
  }
}

/** Answers what remotes call in one subcluster. It decides who answers, not who may ask. */
export class Calls {
  readonly #host: Host
  readonly #handlers = new Map<string, Handler>()
  readonly #running = new Map<Handle, Running>()

  constructor(host: Host) {
    this.#host = host
  }

  handle(name: string, handler: Handler): Off {
    if (this.#handlers.has(name))
      throw new UsageError(
        'EEXISTS',
        'name',
        'a name that nothing handles yet',
        `${JSON.stringify(name)}; call what the first handle() returned to end it`,
      )
    this.#handlers.set(name, handler)
    return makeOff(() => this.#handlers.delete(name))
  }

  /** Runs the handler of a call; false when its argument is malformed. */
  receive(event: CallEvent, peer: unknown): boolean {
    const handler = this.#handlers.get(event.name)
    const argument = decodeValue(event.value)
    if (argument === MALFORMED) this.#refuse(event.call, 'EREMOTE', 'the argument is malformed')
    else if (handler === undefined) this.#refuse(event.call, 'ENOHANDLER')
    else if (this.#countOf(event.peer) >= CALLS_PER_PEER_MAX) this.#refuse(event.call, 'EBUSY')
    else void this.#run(event, handler, argument, peer)
    return argument !== MALFORMED
  }

  cancel(call: Handle): void {
    this.#running.get(call)?.cancel()
    this.#running.delete(call)
  }

  /** The peer that asked is gone, or (undefined) everyone. */
  cancelAll(peer?: PeerId): void {
    for (const [call, running] of [...this.#running])
      if (peer === undefined || running.isFrom(peer)) this.cancel(call)
  }

  #countOf(peer: PeerId): number {
    let count = 0
    for (const running of this.#running.values()) if (running.isFrom(peer)) count++
    return count
  }

  async #run(event: CallEvent, handler: Handler, argument: unknown, peer: unknown): Promise<void> {
    const running = new Running(event.peer, peer)
    this.#running.set(event.call, running)
    let ok = true
    let value: Uint8Array
    try {
      const result = await handler(argument, running)
      value = checkValue(
        result,
        `what the handler of ${JSON.stringify(event.name)} returned`,
        DIRECT_LIMIT,
      )
    } catch (error) {
      ok = false
      value = encodeFailure('EREMOTE', error instanceof Error ? error.message : String(error))
    }
    if (this.#running.delete(event.call))
      this.#host.command({ type: 'respond', call: event.call, ok, value })
  }

  #refuse(call: Handle, code: string, message = ''): void {
    this.#host.command({ type: 'respond', call, ok: false, value: encodeFailure(code, message) })
  }
}

function encodeFailure(code: string, message: string): Uint8Array {
  return encodeValue({ code, message: message.slice(0, MESSAGE_CHARACTERS_MAX) })
}

/** What an answer that is not ok means to the caller. */
export function decodeFailure(bytes: Uint8Array): LaticaError {
  const failure = decodeValue(bytes)
  if (failure === MALFORMED || typeof failure !== 'object' || failure === null)
    return new LaticaError('EREMOTE')
  const code: unknown = Reflect.get(failure, 'code')
  const message: unknown = Reflect.get(failure, 'message')
  const known = ANSWER_CODES.find((each) => each === code)
  if (known !== undefined) return new LaticaError(known)
  const text = typeof message === 'string' ? message.slice(0, MESSAGE_CHARACTERS_MAX) : ''
  return new LaticaError('EREMOTE', text || undefined)
}

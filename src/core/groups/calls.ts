import { BoundedMap } from '../collections/bounded-map.ts'
import { TimerQueue } from '../collections/timer-queue.ts'
import type {
  Deadline,
  FailureCode,
  Handle,
  Instant,
  PeerEvent,
  PeerId,
  RejectCode,
} from '../io.ts'
import type { MemberSession } from './member-session.ts'
import {
  ANSWER_BUSY,
  ANSWER_ERROR,
  ANSWER_OK,
  encodeAnswer,
  encodeCancel,
  encodeRequest,
} from './member-wire.ts'
import type { Membership } from './membership.ts'

/**
 * Requests to members and their answers. A call ends once: answered, cancelled, timed out, or with the
 * membership it was made in; it is never made twice. Decides nothing about what is called.
 */

/** Guess: more than a busy peer answers at once; the next caller is told so. */
export const CALLS_PER_SESSION_MAX = 1024
/** CANCEL may overtake its REQUEST. Guess: more than a remote can have under way. */
const CANCELLED_EARLY_MAX = 256
const NOTHING = new Uint8Array(0)

interface OutgoingCall {
  readonly operation: Handle
  readonly membership: Membership
  readonly call: number
}

interface IncomingCall {
  readonly handle: Handle
  readonly membership: Membership
  readonly call: number
}

interface SessionCalls {
  nextCall: number
  readonly outgoing: Map<number, OutgoingCall>
  readonly incoming: Map<number, IncomingCall>
  readonly cancelledEarly: BoundedMap<number, true>
}

export interface RequestCommand {
  readonly operation: Handle
  readonly subcluster: Handle
  readonly peer: PeerId
  readonly name: string
  readonly value: Uint8Array
  readonly timeoutMs: number
}

export class Calls {
  readonly #emit: (event: PeerEvent) => void
  readonly #reject: (code: RejectCode) => void
  readonly #sessions = new Map<MemberSession, SessionCalls>()
  readonly #outgoing = new Map<Handle, OutgoingCall>()
  readonly #incoming = new Map<Handle, IncomingCall>()
  readonly #timeouts = new TimerQueue<Handle>()
  #nextHandle = 1

  constructor(emit: (event: PeerEvent) => void, reject: (code: RejectCode) => void) {
    this.#emit = emit
    this.#reject = reject
  }

  get incomingCount(): number {
    return this.#incoming.size
  }

  request(command: RequestCommand, membership: Membership | undefined, now: Instant): void {
    const { operation, name, value, timeoutMs } = command
    if (membership === undefined) return this.#failed(operation, 'EPEERGONE')
    const calls = this.#callsOf(membership.session)
    const outgoing = { operation, membership, call: calls.nextCall++ }
    calls.outgoing.set(outgoing.call, outgoing)
    this.#outgoing.set(operation, outgoing)
    this.#timeouts.set(operation, now + timeoutMs, 'call times out')
    membership.session.send(encodeRequest(membership.pair, outgoing.call, name, value))
  }

  cancel(operation: Handle, code: FailureCode): boolean {
    const outgoing = this.#outgoing.get(operation)
    if (outgoing === undefined) return false
    const { membership, call } = outgoing
    membership.session.send(encodeCancel(membership.pair, call))
    this.#forget(outgoing)
    this.#failed(operation, code)
    return true
  }

  /** An answer that nobody waits for any more goes nowhere. */
  respond(handle: Handle, ok: boolean, value: Uint8Array): void {
    const incoming = this.#incoming.get(handle)
    if (incoming === undefined) return
    const { membership, call } = incoming
    this.#incoming.delete(handle)
    this.#sessions.get(membership.session)?.incoming.delete(call)
    const status = ok ? ANSWER_OK : ANSWER_ERROR
    membership.session.send(encodeAnswer(membership.pair, call, status, value))
  }

  onRequest(membership: Membership, call: number, name: string, value: Uint8Array): void {
    const { session, peer, subcluster } = membership
    const calls = this.#callsOf(session)
    if (calls.cancelledEarly.delete(call)) return
    if (calls.incoming.has(call)) return this.#reject('malformed')
    if (calls.incoming.size >= CALLS_PER_SESSION_MAX) {
      this.#reject('over-limit')
      session.send(encodeAnswer(membership.pair, call, ANSWER_BUSY, NOTHING))
      return
    }
    const handle = this.#nextHandle++
    const incoming = { handle, membership, call }
    calls.incoming.set(call, incoming)
    this.#incoming.set(handle, incoming)
    this.#emit({ type: 'call', call: handle, subcluster: subcluster.handle, peer, name, value })
  }

  onAnswer(membership: Membership, call: number, status: number, value: Uint8Array): void {
    const outgoing = this.#sessions.get(membership.session)?.outgoing.get(call)
    if (outgoing?.membership !== membership) return this.#reject('unknown')
    const { operation } = outgoing
    this.#forget(outgoing)
    if (status === ANSWER_BUSY) this.#failed(operation, 'EREMOTE')
    else this.#emit({ type: 'answer', operation, ok: status === ANSWER_OK, value })
  }

  onCancel(membership: Membership, call: number): void {
    const calls = this.#callsOf(membership.session)
    const incoming = calls.incoming.get(call)
    if (incoming === undefined) {
      calls.cancelledEarly.set(call, true)
      return
    }
    if (incoming.membership !== membership) return this.#reject('unknown')
    this.#dropIncoming(calls, incoming)
  }

  /** `code`: what the callers on our side are told. */
  ended(membership: Membership, code: FailureCode): void {
    const calls = this.#sessions.get(membership.session)
    if (calls === undefined) return
    for (const outgoing of [...calls.outgoing.values()]) {
      if (outgoing.membership !== membership) continue
      this.#forget(outgoing)
      this.#failed(outgoing.operation, code)
    }
    for (const incoming of [...calls.incoming.values()])
      if (incoming.membership === membership) this.#dropIncoming(calls, incoming)
  }

  sessionDown(session: MemberSession): void {
    this.#sessions.delete(session)
  }

  deadline(): Deadline | undefined {
    const first = this.#timeouts.earliest()
    return first && { at: first.at as Instant, reason: first.reason }
  }

  onDeadline(now: Instant): void {
    for (;;) {
      const operation = this.#timeouts.takeDue(now)
      if (operation === undefined) return
      this.cancel(operation, 'ETIMEDOUT')
    }
  }

  #callsOf(session: MemberSession): SessionCalls {
    let calls = this.#sessions.get(session)
    if (calls === undefined) {
      const cancelledEarly = new BoundedMap<number, true>(CANCELLED_EARLY_MAX)
      calls = { nextCall: 0, outgoing: new Map(), incoming: new Map(), cancelledEarly }
      this.#sessions.set(session, calls)
    }
    return calls
  }

  #forget(outgoing: OutgoingCall): void {
    this.#outgoing.delete(outgoing.operation)
    this.#timeouts.clear(outgoing.operation)
    this.#sessions.get(outgoing.membership.session)?.outgoing.delete(outgoing.call)
  }

  #dropIncoming(calls: SessionCalls, incoming: IncomingCall): void {
    calls.incoming.delete(incoming.call)
    this.#incoming.delete(incoming.handle)
    this.#emit({ type: 'callCancelled', call: incoming.handle })
  }

  #failed(operation: Handle, code: FailureCode): void {
    this.#emit({ type: 'failed', operation, code })
  }
}

import type { Random } from '../crypto.ts'
import { assert } from '../errors.ts'
import type { Endpoint, Instant, LocalAddress } from '../io.ts'
import { toHex } from '../wire/bytes.ts'
import { decodeBindingRequest, decodeBindingResponse, encodeBindingRequest } from '../wire/stun.ts'
import { TRANSACTION_BYTES } from './messages.ts'

/**
 * What we asked over STUN and who may answer it. An answer counts when it names a transaction of ours,
 * which nobody else can guess, and comes to the right socket from whom was asked. Decides nothing
 * about what answers mean.
 */
/** One survey, forecast and lifetime probe together have less than half as many. */
const QUESTIONS_MAX = 64

/**
 * `binding`: a Binding request to `to`, answered from there. `knock`: a response that `to`'s host was
 * asked for by other means. `hairpin`: a request to an address of our own, which is to come back.
 */
export type QuestionKind = 'binding' | 'knock' | 'hairpin'

export interface Question {
  readonly kind: QuestionKind
  readonly transaction: Uint8Array
  /** Where the answer has to arrive. */
  readonly socket: number
  readonly to: LocalAddress
  /** When it was last sent. */
  sentAt: Instant
  tries: number
  answer: Answer | undefined
}

export interface Answer {
  /** What the answer says: undefined for a request of ours that came back. */
  readonly address: LocalAddress | undefined
  readonly fromPort: number
  readonly at: Instant
}

export class Reflections {
  readonly #random: Random
  readonly #transmit: (to: Endpoint, data: Uint8Array) => void
  readonly #open = new Map<string, Question>()

  constructor(random: Random, transmit: (to: Endpoint, data: Uint8Array) => void) {
    this.#random = random
    this.#transmit = transmit
  }

  get size(): number {
    return this.#open.size
  }

  /** Expects an answer at `socket`; sends nothing yet. */
  expect(kind: QuestionKind, socket: number, to: LocalAddress, now: Instant): Question {
    assert(this.#open.size < QUESTIONS_MAX, 'few questions are open at once')
    const transaction = this.#random.bytes(TRANSACTION_BYTES)
    const question = { kind, transaction, socket, to, sentAt: now, tries: 0, answer: undefined }
    this.#open.set(toHex(transaction), question)
    return question
  }

  /** Sends a Binding request to whom the question names, from `socket`. */
  send(question: Question, socket: number, now: Instant): void {
    question.sentAt = now
    question.tries++
    const { host, port } = question.to
    this.#transmit({ kind: 'udp', socket, host, port }, encodeBindingRequest(question.transaction))
  }

  /** `expect` and `send` from the socket that is to be answered. */
  ask(socket: number, to: LocalAddress, now: Instant): Question {
    const question = this.expect('binding', socket, to, now)
    this.send(question, socket, now)
    return question
  }

  close(question: Question): void {
    this.#open.delete(toHex(question.transaction))
  }

  /** Whether the datagram names a transaction of ours; it counts only if all else fits too. */
  receive(data: Uint8Array, from: Endpoint, now: Instant): boolean {
    const response = decodeBindingResponse(data)
    const transaction = response?.transaction ?? decodeBindingRequest(data)
    if (transaction === undefined) return false
    const question = this.#open.get(toHex(transaction))
    if (question === undefined) return false
    const isFitting =
      question.answer === undefined &&
      question.socket === from.socket &&
      (question.kind === 'hairpin') === (response === undefined) &&
      (question.kind === 'hairpin' || question.to.host === from.host) &&
      (question.kind !== 'binding' || question.to.port === from.port)
    if (isFitting) question.answer = { address: response?.address, fromPort: from.port, at: now }
    return true
  }
}

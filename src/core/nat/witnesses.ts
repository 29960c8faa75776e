import { BoundedMap } from '../collections/bounded-map.ts'
import { TokenBucket } from '../collections/token-bucket.ts'
import type { Instant, PeerId } from '../io.ts'
import { prefixOf, type Route } from '../session/route.ts'
import { fromHex, toHex } from '../wire/bytes.ts'
import { encodeNatMessage, type NatMessage } from './messages.ts'
import type { TraversalSession } from './traversal-session.ts'

/**
 * Whether a remote is where it says it is, by the word of a neighbour of both (DESIGN §4, rule 2). It
 * asks before we spray, and answers who asks us. It decides nothing about what is sent there.
 */
export interface WitnessHost {
  sessionOf(peer: PeerId): TraversalSession | undefined
  withPrefix(prefix: string): TraversalSession | undefined
  relaysTo(peer: PeerId): readonly Route[]
}

type WitnessAsk = Extract<NatMessage, { type: 'witnessAsk' }>
type Witness = Extract<NatMessage, { type: 'witness' }>

const ASKED_AT_ONCE = 2
/** Guess: a host behind a NAT seldom changes its address within a minute. */
const WORD_KEPT_MS = 60_000
/** Above any round trip worth punching over. */
const ANSWER_MS = 3_000
const QUESTIONS_MAX = 512
/** No guess at where a peer is gets far with as many, and honest attempts together need fewer. */
const ANSWERS_PER_S = 64
const ANSWERS_BURST = 256
const ANSWERS_PER_PEER_S = 8
const ANSWERS_PER_PEER_BURST = 64
const ASKERS_MAX = 512

interface Question {
  readonly askedAt: Instant
  readonly witness: PeerId
  isSeen: boolean | undefined
}

export class Witnesses {
  readonly #host: WitnessHost
  /** By remote and host: whom we asked, and what it said. */
  readonly #questions = new BoundedMap<string, Question[]>(QUESTIONS_MAX)
  readonly #answers: TokenBucket
  readonly #byAsker = new BoundedMap<PeerId, TokenBucket>(ASKERS_MAX)

  constructor(host: WitnessHost, now: Instant) {
    this.#host = host
    this.#answers = new TokenBucket(ANSWERS_PER_S, ANSWERS_BURST, now)
  }

  /** Whether a neighbour sees the remote there. Asks up to two when none has said so. */
  sees(peer: PeerId, host: string, now: Instant): boolean {
    const key = keyOf(prefixOf(peer), host)
    const asked = (this.#questions.get(key) ?? []).filter((question) => isFresh(question, now))
    if (asked.some((question) => question.isSeen === true)) return true
    let open = asked.filter((question) => question.isSeen === undefined).length
    for (const route of this.#host.relaysTo(peer)) {
      if (open >= ASKED_AT_ONCE) break
      if (route.kind !== 'relay' || route.via === peer) continue
      const session = this.#host.sessionOf(route.via)
      if (session?.state !== 'up' || session.path === 'relayed') continue
      if (asked.some((question) => question.witness === route.via)) continue
      const prefix = fromHex(prefixOf(peer))
      if (prefix === undefined) break
      const address = { host, port: 0 }
      session.sendMessage(encodeNatMessage({ type: 'witnessAsk', prefix, address }))
      asked.push({ askedAt: now, witness: route.via, isSeen: undefined })
      open++
    }
    if (asked.length > 0) this.#questions.set(key, asked)
    return false
  }

  /** A neighbour's word; the prefix of the remote it is about when it makes a difference. */
  heard(from: PeerId, message: Witness): string | undefined {
    const prefix = toHex(message.prefix)
    const question = this.#questions
      .get(keyOf(prefix, message.address.host))
      ?.find(({ witness, isSeen }) => witness === from && isSeen === undefined)
    if (question === undefined) return undefined
    question.isSeen = message.isSeen
    return message.isSeen ? prefix : undefined
  }

  /** Says yes or no to the very host that was asked about, never another. */
  answer(asker: TraversalSession, message: WitnessAsk, now: Instant): boolean {
    const budget =
      this.#byAsker.get(asker.peer) ??
      new TokenBucket(ANSWERS_PER_PEER_S, ANSWERS_PER_PEER_BURST, now)
    this.#byAsker.set(asker.peer, budget)
    if (!budget.take(1, now) || !this.#answers.take(1, now)) return false
    const { prefix, address } = message
    const session = this.#host.withPrefix(toHex(prefix))
    const route = session?.state === 'up' ? session.route : undefined
    const isSeen = route?.kind === 'udp' && route.endpoint.host === address.host
    asker.sendMessage(encodeNatMessage({ type: 'witness', prefix, address, isSeen }))
    return true
  }
}

function keyOf(prefix: string, host: string): string {
  return `${prefix} ${host}`
}

function isFresh(question: Question, now: Instant): boolean {
  return now - question.askedAt < (question.isSeen === undefined ? ANSWER_MS : WORD_KEPT_MS)
}

import type { RejectCode } from '../../io.ts'
import { leastAsk, nextAsk, SYMBOLS_MAX, SYMBOLS_PER_ASK_MAX } from './ask-size.ts'
import { CodedSymbols, SymbolEncoder } from './coded-symbols.ts'
import { GatheredIds, GatheredSymbols } from './gathering.ts'
import {
  type EndMessage,
  encodeDiffered,
  encodeEqual,
  encodeIds,
  encodeMore,
  encodeSymbols,
  encodeSync,
  FIRST_SYMBOLS,
  type IdsMessage,
  KIND_END,
  KIND_IDS,
  KIND_MORE,
  KIND_SYMBOLS,
  type ReconcileMessage,
  type ReconcileScope,
  type SymbolsMessage,
  type SyncMessage,
} from './reconcile-wire.ts'
import { NAMES_MAX, type SaltedSet } from './salted-set.ts'
import { SetDifference } from './set-difference.ts'

/**
 * One reconciliation, from either side: docs/spec/reconcile.md. One of the two decodes: it is told the
 * other's symbols (or ids) until it knows the difference, gives what the other lacks and asks for what it
 * lacks itself. Decides what is said and done at which message; not who may begin, nor for how long.
 */

/** Ids that are asked for in one reconciliation: 98 kB. What is left is found by the next one. */
export const LACKING_MAX = 16_384

export interface ReconcileOutcome {
  readonly result: 'equal' | 'differed' | 'refused' | 'timeout'
  /** How many packets we lacked, and they. */
  readonly ours: number
  readonly theirs: number
  /** When refused: seconds until it is worth another try. */
  readonly retryS?: number
}

export interface ReconciliationSink {
  send(message: Uint8Array): void
  give(names: readonly Uint8Array[]): void
  expect(count: number): void
}

export class Reconciliation {
  readonly #ours: SaltedSet
  readonly #sink: ReconciliationSink
  /** What our messages say. */
  readonly #run: number
  /** Open: we began, and the other has yet to say who decodes. */
  #role: 'open' | 'encoder' | 'decoder' = 'open'
  #encoder: SymbolEncoder
  #hasListed = false
  #theirSize = 0
  #difference: SetDifference | undefined
  #symbols: GatheredSymbols | undefined
  #isListing = false
  #ids: GatheredIds | undefined
  #verdict: { readonly giving: number; readonly lacking: number } | undefined
  #outcome: ReconcileOutcome | undefined

  constructor(ours: SaltedSet, run: number, sink: ReconciliationSink) {
    this.#ours = ours
    this.#run = run
    this.#sink = sink
    this.#encoder = new SymbolEncoder(ours)
  }

  /** Set when it is over. */
  get outcome(): ReconcileOutcome | undefined {
    return this.#outcome
  }

  begin(scope: ReconcileScope, nonce: Uint8Array): void {
    const symbols = this.#encoder.take(FIRST_SYMBOLS)
    this.#sink.send(encodeSync(this.#run, scope, nonce, this.#ours.size, symbols))
  }

  /** Answers another's beginning; its size is at most NAMES_MAX. */
  answer(sync: SyncMessage): void {
    this.#theirSize = sync.size
    const difference = new SetDifference(this.#ours, sync.size)
    difference.add(CodedSymbols.fromBytes(0, sync.symbols))
    if (difference.isDone || this.#ours.size >= sync.size) {
      this.#role = 'decoder'
      this.#difference = difference
      if (sync.size === 0) this.#conclude([], this.#ours.names)
      else this.#step()
      return
    }
    // Whoever holds more decodes: giving needs no ids.
    this.#role = 'encoder'
    const ask = nextAsk(difference, this.#gap, this.#ours.size)
    if (ask === 'list') this.#sendList()
    else this.#sendSymbols(ask)
  }

  receive(message: ReconcileMessage): RejectCode | undefined {
    switch (message.kind) {
      case KIND_SYMBOLS:
        return this.#onSymbols(message)
      case KIND_MORE:
        return this.#onMore(message.until)
      case KIND_IDS:
        return message.purpose === 'all' ? this.#onList(message) : this.#onLacking(message)
      case KIND_END:
        return this.#onEnd(message)
      default:
        return 'unknown'
    }
  }

  get #gap(): number {
    return Math.abs(this.#theirSize - this.#ours.size)
  }

  #onSymbols({ size, until, first, symbols }: SymbolsMessage): RejectCode | undefined {
    if (this.#role === 'open') {
      if (size > NAMES_MAX || until > FIRST_SYMBOLS + SYMBOLS_PER_ASK_MAX) return 'over-limit'
      this.#role = 'decoder'
      this.#theirSize = size
      this.#difference = new SetDifference(this.#ours, size)
      this.#symbols = new GatheredSymbols(0, until)
    }
    const gathered = this.#symbols
    if (gathered === undefined || this.#difference === undefined) return 'unknown'
    if (size !== this.#theirSize || until !== gathered.until) return 'malformed'
    if (!gathered.put(first, symbols)) return 'malformed'
    if (!gathered.isWhole) return undefined
    this.#symbols = undefined
    this.#difference.add(CodedSymbols.fromBytes(gathered.first, gathered.bytes))
    this.#step()
    return undefined
  }

  /** As decoder: ends, or asks for what is missing. */
  #step(): void {
    const difference = this.#difference
    if (difference === undefined) return
    if (difference.isDone) {
      const extra = difference.keys('ours')
      const names = this.#ours.among(extra)
      if (names.length === extra.size) {
        this.#conclude([...difference.keys('theirs')], names)
        return
      }
    }
    const ask = difference.isDone ? 'list' : nextAsk(difference, this.#gap, this.#theirSize)
    if (ask === 'list') {
      this.#isListing = true
      this.#difference = undefined
    } else this.#symbols = new GatheredSymbols(difference.symbols, ask)
    this.#sink.send(encodeMore(this.#run, ask === 'list' ? 0 : ask))
  }

  #onList({ total, keys }: IdsMessage): RejectCode | undefined {
    if (this.#role === 'open') {
      this.#role = 'decoder'
      this.#isListing = true
    }
    if (!this.#isListing) return 'unknown'
    if (total > NAMES_MAX) return 'over-limit'
    this.#ids ??= new GatheredIds(total)
    if (!this.#ids.put(total, keys)) return 'malformed'
    if (!this.#ids.isWhole) return undefined
    const { extra, lacking } = this.#ours.compare(new Set(this.#ids.keys))
    this.#conclude(lacking, extra)
    return undefined
  }

  #conclude(lacking: readonly number[], names: readonly Uint8Array[]): void {
    if (lacking.length === 0 && names.length === 0) {
      this.#sink.send(encodeEqual(this.#run))
      this.#outcome = { result: 'equal', ours: 0, theirs: 0 }
      return
    }
    const asked = lacking.slice(0, LACKING_MAX)
    this.#outcome = { result: 'differed', ours: lacking.length, theirs: names.length }
    this.#sink.send(encodeDiffered(this.#run, names.length, asked.length))
    if (asked.length > 0) {
      this.#sink.expect(asked.length)
      for (const ids of encodeIds(this.#run, 'lacking', asked)) this.#sink.send(ids)
    }
    if (names.length > 0) this.#sink.give(names)
  }

  #onMore(until: number): RejectCode | undefined {
    if (this.#role === 'decoder' || this.#verdict !== undefined) return 'unknown'
    this.#role = 'encoder'
    if (this.#hasListed) return 'over-limit'
    const have = this.#encoder.position
    if (until === 0) this.#sendList()
    else if (until < leastAsk(have) || until > Math.min(SYMBOLS_MAX, have + SYMBOLS_PER_ASK_MAX))
      return 'over-limit'
    else this.#sendSymbols(until)
    return undefined
  }

  #sendSymbols(until: number): void {
    const symbols = this.#encoder.take(until)
    for (const message of encodeSymbols(this.#run, this.#ours.size, symbols))
      this.#sink.send(message)
  }

  #sendList(): void {
    this.#hasListed = true
    for (const ids of encodeIds(this.#run, 'all', this.#ours.keys())) this.#sink.send(ids)
  }

  #onEnd(message: EndMessage): RejectCode | undefined {
    if (message.result === 'refused') {
      this.#outcome = { result: 'refused', ours: 0, theirs: 0, retryS: message.retryS }
      return undefined
    }
    if (this.#role === 'decoder' || this.#verdict !== undefined) return 'unknown'
    if (message.result === 'equal') {
      this.#outcome = { result: 'equal', ours: 0, theirs: 0 }
      return undefined
    }
    const { giving, lacking } = message
    if (giving > NAMES_MAX || lacking > this.#lackingMax) return 'over-limit'
    this.#role = 'encoder'
    this.#verdict = { giving, lacking }
    if (giving > 0) this.#sink.expect(giving)
    return this.#giveLacking()
  }

  #onLacking({ total, keys }: IdsMessage): RejectCode | undefined {
    if (this.#role === 'decoder') return 'unknown'
    if (total > this.#lackingMax) return 'over-limit'
    this.#role = 'encoder'
    this.#ids ??= new GatheredIds(total)
    if (!this.#ids.put(total, keys)) return 'malformed'
    return this.#giveLacking()
  }

  get #lackingMax(): number {
    return Math.min(LACKING_MAX, this.#ours.size)
  }

  /** Ends as encoder when the verdict and the ids are here, which come in any order. */
  #giveLacking(): RejectCode | undefined {
    if (this.#verdict === undefined) return undefined
    const { giving, lacking } = this.#verdict
    const ids = this.#ids ?? new GatheredIds(lacking)
    if (ids.total !== lacking) return 'malformed'
    if (!ids.isWhole) return undefined
    const names = lacking === 0 ? [] : this.#ours.among(new Set(ids.keys))
    this.#outcome = { result: 'differed', ours: giving, theirs: names.length }
    if (names.length > 0) this.#sink.give(names)
    return undefined
  }
}

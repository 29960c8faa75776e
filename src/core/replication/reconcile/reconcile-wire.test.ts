import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { sodiumNative } from '../../../crypto/sodium-native.ts'
import { MALFORMED } from '../../errors.ts'
import { fromHex, toHex } from '../../wire/bytes.ts'
import { CodedSymbols, checkOf, nextIndex, SymbolEncoder } from './coded-symbols.ts'
import {
  decodeReconcileMessage,
  encodeDiffered,
  encodeEqual,
  encodeIds,
  encodeMore,
  encodeRefused,
  encodeSymbols,
  encodeSync,
  FIRST_SYMBOLS,
  isReconcileMessage,
  MESSAGE_BYTES_MAX,
  type ReconcileScope,
  RUN_BEGAN,
} from './reconcile-wire.ts'
import { NAMES_MAX, reconcileKey, SaltedSet } from './salted-set.ts'

interface Vectors {
  readonly saltKey: string
  readonly nonce: string
  readonly key: string
  readonly names: readonly string[]
  readonly ids: readonly {
    readonly id: string
    readonly check: string
    readonly symbols: readonly number[]
  }[]
  readonly symbols: readonly string[]
  readonly messages: readonly { readonly name: string; readonly bytes: string }[]
}

const VECTORS: Vectors = JSON.parse(
  readFileSync(new URL('../../../../docs/spec/vectors/reconcile.json', import.meta.url), 'utf8'),
)
const crypto = sodiumNative()

function bytes(text: string): Uint8Array {
  const value = fromHex(text)
  assert.ok(value)
  return value
}

function frozenSet(): SaltedSet {
  const key = reconcileKey(crypto, bytes(VECTORS.saltKey), bytes(VECTORS.nonce))
  assert.equal(toHex(key), VECTORS.key)
  return new SaltedSet(crypto, key, VECTORS.names.map(bytes))
}

test('ids, checks and symbols are those of the frozen examples', () => {
  const set = frozenSet()
  for (const [at, { id, check, symbols }] of VECTORS.ids.entries()) {
    assert.equal(set.keyAt(at), Number.parseInt(id, 16))
    const [high = 0, low = 0] = [set.high[at], set.low[at]]
    assert.equal(checkOf(high, low), Number.parseInt(check, 16))
    let index = 0
    for (const [k, symbol] of symbols.entries()) {
      assert.equal(index, symbol)
      index = nextIndex(index, high, low, k + 1)
    }
  }
  const encoder = new SymbolEncoder(set)
  for (const [at, symbol] of VECTORS.symbols.entries())
    assert.equal(toHex(encoder.take(at + 1).toBytes()), symbol)
})

/** The messages of the frozen examples, made anew. */
function examples(): Uint8Array[] {
  const set = frozenSet()
  const first = () => new SymbolEncoder(set).take(FIRST_SYMBOLS)
  const nonce = bytes(VECTORS.nonce)
  const tag = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)
  const scopes: ReconcileScope[] = [
    { kind: 'everything' },
    { kind: 'range', bits: 9 },
    { kind: 'tags', tags: [tag, tag.map((byte) => byte + 8)] },
  ]
  const later = new SymbolEncoder(set)
  later.take(4)
  return [
    ...scopes.map((scope) => encodeSync(5 | RUN_BEGAN, scope, nonce, set.size, first())),
    ...encodeSymbols(5, set.size, later.take(7)),
    encodeMore(5, 300),
    encodeMore(5, 0),
    ...encodeIds(5, 'all', set.keys()),
    ...encodeIds(5 | RUN_BEGAN, 'lacking', set.keys().slice(0, 1)),
    ...encodeIds(5, 'all', []),
    encodeEqual(5),
    encodeDiffered(5, 70, 3),
    encodeRefused(5, 5),
  ]
}

test('messages are those of the frozen examples, and decode', () => {
  const made = examples()
  assert.deepEqual(
    made.map(toHex),
    VECTORS.messages.map((message) => message.bytes),
  )
  for (const message of made) {
    assert.ok(isReconcileMessage(message))
    assert.notEqual(decodeReconcileMessage(message), MALFORMED)
  }
})

test('a message cut short or with a byte too many is malformed, where the rest is not a list', () => {
  for (const message of examples()) {
    for (let length = 0; length < message.length; length++) {
      const decoded = decodeReconcileMessage(message.subarray(0, length))
      if (decoded !== MALFORMED) assert.ok('keys' in decoded || 'first' in decoded)
    }
    assert.equal(decodeReconcileMessage(Uint8Array.from([...message, 0])), MALFORMED)
  }
})

test('any bytes decode to a message or to nothing', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0x38, max: 0x3e }),
      fc.uint8Array({ maxLength: 1_300 }),
      (kind, rest) => {
        const payload = Uint8Array.from([kind, ...rest])
        const decoded = decodeReconcileMessage(payload)
        if (decoded === MALFORMED) return
        assert.ok(isReconcileMessage(payload) && payload.length <= MESSAGE_BYTES_MAX)
      },
    ),
    { seed: 7, numRuns: 3_000 },
  )
})

test('the longest of each message fits into a datagram', () => {
  const tags = Array.from({ length: 32 }, () => new Uint8Array(8))
  const nonce = new Uint8Array(8)
  const most = [
    encodeSync(255, { kind: 'tags', tags }, nonce, NAMES_MAX, new CodedSymbols(0, FIRST_SYMBOLS)),
    ...encodeSymbols(255, NAMES_MAX, new CodedSymbols(16_000, 500)),
    ...encodeIds(255, 'all', new Array<number>(NAMES_MAX).fill(2 ** 48 - 1)),
    encodeDiffered(255, NAMES_MAX, NAMES_MAX),
  ]
  for (const message of most) {
    assert.ok(message.length <= MESSAGE_BYTES_MAX, `${message.length} bytes`)
    assert.notEqual(decodeReconcileMessage(message), MALFORMED)
  }
  assert.equal(decodeReconcileMessage(new Uint8Array(MESSAGE_BYTES_MAX + 1).fill(0x3a)), MALFORMED)
})

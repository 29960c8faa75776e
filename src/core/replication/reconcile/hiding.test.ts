import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sodiumNative } from '../../../crypto/sodium-native.ts'
import type { Random } from '../../crypto.ts'
import { SeededRandom } from '../../seeded.fixture.ts'
import { toHex } from '../../wire/bytes.ts'
import { nextIndex, SymbolEncoder } from './coded-symbols.ts'
import { exchange, randomNames } from './pair.fixture.ts'
import { FIRST_SYMBOLS } from './reconcile-wire.ts'
import { reconcileKey, SaltedSet } from './salted-set.ts'

/**
 * An attack on reconciliation itself (github.com/yangl1996/riblt issue 3): one who sees all packets and
 * makes packets of his own chooses theirs so that their ids and checks cancel those of a victim's packet
 * in every symbol that a probe looks at. He gives some to Alice and others to Bob, so that the counts
 * come to nothing as well. Alice alone has the victim's packet; to both, all looks equal.
 */
const crypto = sodiumNative()
const COMMON = 40
/** Bits of the XOR in the first symbols, and parities of their counts. */
const EQUATIONS = FIRST_SYMBOLS * (48 + 24 + 1)
const CANDIDATES = EQUATIONS + 24

interface Attack {
  readonly victim: Uint8Array
  readonly common: readonly Uint8Array[]
  readonly toAlice: readonly Uint8Array[]
  readonly toBob: readonly Uint8Array[]
}

/** What a name adds to the first symbols under a key that the attacker believes in. */
function vectorOf(key: Uint8Array, name: Uint8Array): bigint {
  const symbols = new SymbolEncoder(new SaltedSet(crypto, key, [name])).take(FIRST_SYMBOLS)
  return BigInt(`0x${toHex(symbols.toBytes())}`)
}

function isIn(vector: bigint, symbol: number): boolean {
  return ((vector >> BigInt(80 * (FIRST_SYMBOLS - 1 - symbol))) & 1n) === 1n
}

/** Names whose vectors XOR to the victim's: Gaussian elimination. */
function cancelling(key: Uint8Array, victim: Uint8Array, candidates: readonly Uint8Array[]) {
  const rows: { vector: bigint; from: bigint; top: bigint }[] = []
  const reduce = (start: bigint, own: bigint) => {
    let [vector, from] = [start, own]
    for (const row of rows)
      if ((vector & row.top) !== 0n) {
        vector ^= row.vector
        from ^= row.from
      }
    return { vector, from }
  }
  for (const [at, name] of candidates.entries()) {
    const { vector, from } = reduce(vectorOf(key, name), 1n << BigInt(at))
    if (vector === 0n) continue
    rows.push({ vector, from, top: 1n << BigInt(vector.toString(2).length - 1) })
  }
  const { vector, from } = reduce(vectorOf(key, victim), 0n)
  assert.equal(vector, 0n, 'the equations have a solution')
  return candidates.filter((_, at) => ((from >> BigInt(at)) & 1n) === 1n)
}

/** Shares names out so that each symbol counts as many of Alice's, the victim's included, as of Bob's. */
function shareOut(key: Uint8Array, attack: { victim: Uint8Array; names: readonly Uint8Array[] }) {
  const random = new SeededRandom(77)
  const vectors = attack.names.map((name) => vectorOf(key, name))
  const signs: number[] = vectors.map((_, at) => (at % 2 === 0 ? 1 : -1))
  const off = (): number => {
    let sum = 0
    for (let symbol = 0; symbol < FIRST_SYMBOLS; symbol++) {
      let count = isIn(vectorOf(key, attack.victim), symbol) ? 1 : 0
      for (const [at, vector] of vectors.entries())
        if (isIn(vector, symbol)) count += signs[at] ?? 0
      sum += Math.abs(count)
    }
    return sum
  }
  for (let best = off(), tries = 0; best > 0; tries++) {
    assert.ok(tries < 5_000, 'the counts can be evened out')
    const flipped = [random.below(signs.length), random.below(signs.length)].slice(tries % 2)
    const flip = () => {
      for (const at of flipped) signs[at] = -(signs[at] ?? 0)
    }
    flip()
    const now = off()
    if (now <= best) best = now
    else flip()
  }
  return {
    toAlice: attack.names.filter((_, at) => signs[at] === 1),
    toBob: attack.names.filter((_, at) => signs[at] === -1),
  }
}

function attackUnder(key: Uint8Array, seed: number): Attack {
  const names = randomNames(new SeededRandom(seed), 1 + COMMON + CANDIDATES)
  const [victim = new Uint8Array(16), ...others] = names
  const chosen = cancelling(key, victim, others.slice(COMMON))
  return { victim, common: others.slice(0, COMMON), ...shareOut(key, { victim, names: chosen }) }
}

/** Whether Bob is left without the victim's packet. */
function hides(attack: Attack, saltKey: Uint8Array, random: Random): boolean {
  const { victim, common, toAlice, toBob } = attack
  const { alice } = exchange([victim, ...common, ...toAlice], [...common, ...toBob], {
    saltKey,
    random,
  })
  return !alice.given.includes(toHex(victim))
}

const KNOWN_SALT = new Uint8Array(32)
const KNOWN_NONCE: Random = { bytes: (length) => new Uint8Array(length) }
const knownKey = reconcileKey(crypto, KNOWN_SALT, new Uint8Array(8))

test('whoever knows the key hides a packet of another: the attack works', () => {
  for (let seed = 0; seed < 5; seed++)
    assert.ok(hides(attackUnder(knownKey, seed), KNOWN_SALT, KNOWN_NONCE))
})

test('in 10,000 tries with sessions that keep their keys nobody hides a packet of another', (t) => {
  const random = new SeededRandom(1)
  let hidden = 0
  for (let seed = 0; seed < 10; seed++) {
    // The best he can do: guess a key, or know that of an earlier reconciliation.
    const attack = attackUnder(knownKey, seed)
    for (let i = 0; i < 1_000; i++) if (hides(attack, random.bytes(32), random)) hidden++
  }
  t.diagnostic(`hidden in ${hidden} of 10,000 tries`)
  assert.equal(hidden, 0)
})

test('to know the keys of earlier reconciliations of the same session helps nobody', () => {
  const random = new SeededRandom(2)
  const saltKey = random.bytes(32)
  for (let i = 0; i < 5; i++) {
    const earlier = random.bytes(8)
    const attack = attackUnder(reconcileKey(crypto, saltKey, earlier), 100 + i)
    assert.ok(hides(attack, saltKey, { bytes: () => earlier }), 'under that nonce it works')
    for (let k = 0; k < 20; k++) assert.equal(hides(attack, saltKey, random), false)
  }
})

test('the symbols that an item is in depend on the key', () => {
  const [name] = randomNames(new SeededRandom(9), 1)
  assert.ok(name)
  const indices = [1, 2].map((fill) => {
    const set = new SaltedSet(crypto, new Uint8Array(16).fill(fill), [name])
    return nextIndex(0, set.high[0] ?? 0, set.low[0] ?? 0, 1) + 100 * set.keyAt(0)
  })
  assert.notEqual(indices[0], indices[1])
})

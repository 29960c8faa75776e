import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { sodiumNative } from '../../crypto/sodium-native.ts'
import type { Crypto } from '../crypto.ts'
import { fromHex, toHex } from '../wire/bytes.ts'
import { type NumberLength, SEALING_BYTES_MAX, SealedKeys } from './sealing.ts'

interface Vectors {
  readonly keys: readonly string[]
  readonly destination: string
  readonly vectors: readonly {
    readonly updates: number
    readonly number: number
    readonly numberBytes: NumberLength
    readonly highestReceived: number
    readonly frames: string
    readonly datagram: string
  }[]
}

const VECTORS: Vectors = JSON.parse(
  readFileSync(new URL('../../../docs/spec/vectors/sealed.json', import.meta.url), 'utf8'),
)
const crypto = sodiumNative()
const KEY_A = new Uint8Array(32).fill(1)
const KEY_B = new Uint8Array(32).fill(2)
const TO = Uint8Array.of(1, 2, 3, 4)
const PHASE_BIT = 0x08

function bytes(text: string): Uint8Array {
  const value = fromHex(text)
  assert.ok(value)
  return value
}

function pair(provider: Crypto = crypto): [SealedKeys, SealedKeys] {
  return [new SealedKeys(provider, KEY_A, KEY_B), new SealedKeys(provider, KEY_B, KEY_A)]
}

function frames(number: number): Uint8Array {
  return Uint8Array.of(1, number & 0xff)
}

/** A provider that counts its attempts to open. */
function counting(): Crypto & { opens: number } {
  return {
    ...crypto,
    opens: 0,
    open(...args) {
      this.opens++
      return crypto.open(...args)
    },
  }
}

test('the frozen datagrams are sealed and opened, through two key updates', () => {
  const key = bytes(VECTORS.keys[0] ?? '')
  const [sender, receiver] = [new SealedKeys(crypto, key, key), new SealedKeys(crypto, key, key)]
  let updates = 0
  for (const vector of VECTORS.vectors) {
    if (updates < vector.updates) {
      updates++
      assert.equal(sender.startUpdate(), true)
    }
    const { number, numberBytes, highestReceived } = vector
    const sealed = sender.seal(
      bytes(VECTORS.destination),
      number,
      numberBytes,
      bytes(vector.frames),
    )
    assert.equal(toHex(sealed), vector.datagram)
    const opened = receiver.open(sealed, highestReceived)
    assert.deepEqual(opened, { number, frames: bytes(vector.frames) })
    sender.acknowledged(number)
  }
  assert.equal(updates, 2)
})

test('what one side seals the other opens, at any number, length and size', () => {
  const size = fc.uint8Array({ maxLength: 1200 })
  const length = fc.constantFrom<NumberLength>(1, 2, 3, 4)
  const number = fc.oneof(fc.nat(1000), fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }))
  fc.assert(
    fc.property(number, length, size, (at, numberBytes, plain) => {
      const [alice, bob] = pair()
      const datagram = alice.seal(TO, at, numberBytes, plain)
      assert.equal(datagram.length, 1 + 4 + numberBytes + plain.length + 16)
      assert.ok(datagram.length - plain.length <= SEALING_BYTES_MAX)
      assert.deepEqual(bob.open(datagram, at - 1), { number: at, frames: plain })
      assert.equal(alice.open(datagram, at - 1), undefined)
    }),
    { seed: 11, numRuns: 300 },
  )
})

test('a datagram with any bit changed, or cut anywhere, opens to nothing', () => {
  const [alice, bob] = pair()
  const datagram = alice.seal(TO, 300, 2, Uint8Array.of(1, 2, 3))
  for (let bit = 0; bit < datagram.length * 8; bit++) {
    const forged = new Uint8Array(datagram)
    forged[bit >> 3] = (forged[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    assert.equal(bob.open(forged, 299), undefined)
  }
  for (let length = 0; length < datagram.length; length++)
    assert.equal(bob.open(datagram.subarray(0, length), 299), undefined)
  assert.ok(bob.open(datagram, 299))
})

test('100,000 mutated datagrams open to nothing, throw nothing and leave the keys as they were', () => {
  const [alice, bob] = pair()
  const datagrams = [0, 1, 2, 3].map((i) =>
    alice.seal(TO, i, ((i & 3) + 1) as NumberLength, new Uint8Array(i * 20)),
  )
  let state = 12345
  const random = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
  for (let i = 0; i < 100_000; i++) {
    const original = datagrams[random(datagrams.length)] ?? TO
    const mutated = new Uint8Array(original.subarray(0, original.length - random(2) * random(20)))
    for (let changes = random(3); changes >= 0; changes--)
      mutated[random(mutated.length)] = random(256)
    const opened = bob.open(mutated, random(3) === 0 ? random(1000) : 3)
    // A mutation may write the byte that stood there.
    if (opened !== undefined) assert.ok(datagrams.some((one) => toHex(one) === toHex(mutated)))
  }
  for (const [number, datagram] of datagrams.entries())
    assert.equal(bob.open(datagram, 3)?.number, number)
  assert.equal(bob.open(alice.seal(TO, 4, 1, TO), 3)?.number, 4)
})

test('an update waits until a datagram of the present phase is acknowledged', () => {
  const [alice] = pair()
  assert.equal(alice.startUpdate(), false)
  alice.seal(TO, 10, 1, frames(10))
  assert.equal(alice.startUpdate(), false)
  alice.acknowledged(9)
  assert.equal(alice.startUpdate(), false)
  alice.acknowledged(10)
  assert.equal(alice.startUpdate(), true)
  assert.equal(alice.startUpdate(), false)
  alice.acknowledged(10)
  assert.equal(alice.startUpdate(), false)
  const datagram = alice.seal(TO, 11, 1, frames(11))
  assert.equal((datagram[0] ?? 0) & PHASE_BIT, PHASE_BIT)
  alice.acknowledged(10)
  assert.equal(alice.startUpdate(), false)
  alice.acknowledged(11)
  assert.equal(alice.startUpdate(), true)
})

test('the two directions update each by its own sender', () => {
  const [alice, bob] = pair()
  assert.ok(bob.open(alice.seal(TO, 0, 1, frames(0)), -1))
  alice.acknowledged(0)
  assert.equal(alice.startUpdate(), true)
  assert.ok(bob.open(alice.seal(TO, 1, 1, frames(1)), 0))
  const answer = bob.seal(TO, 0, 1, frames(0))
  assert.equal((answer[0] ?? 0) & PHASE_BIT, 0)
  assert.ok(alice.open(answer, -1))
})

test('datagrams of the phase before open late, in any order, but not those before it', () => {
  const [alice, bob] = pair()
  const old = [0, 1, 2, 3].map((number) => alice.seal(TO, number, 1, frames(number)))
  alice.acknowledged(0)
  assert.equal(alice.startUpdate(), true)
  const fresh = [4, 5, 6].map((number) => alice.seal(TO, number, 1, frames(number)))
  const open = (datagram: Uint8Array | undefined, highest: number) =>
    bob.open(datagram ?? TO, highest)?.number
  assert.equal(open(old[0], -1), 0)
  assert.equal(open(fresh[1], 0), 5)
  assert.equal(open(old[2], 5), 2)
  assert.equal(open(fresh[0], 5), 4)
  assert.equal(open(old[1], 5), 1)
  assert.equal(open(fresh[2], 5), 6)
  alice.acknowledged(5)
  assert.equal(alice.startUpdate(), true)
  assert.equal(open(alice.seal(TO, 7, 1, frames(7)), 6), 7)
  assert.equal(open(old[3], 7), undefined)
  assert.equal(open(fresh[2], 7), 6)
})

test('random updates, losses and delays leave every delivered datagram readable', () => {
  const step = fc.record({
    update: fc.boolean(),
    lost: fc.integer({ min: 0, max: 3 }),
    delay: fc.integer({ min: 0, max: 12 }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const [alice, bob] = pair()
      const flying: { at: number; number: number; phase: number; datagram: Uint8Array }[] = []
      let [highest, phase, phaseOfRemote] = [-1, 0, 0]
      const deliver = (until: number) => {
        flying.sort((a, b) => a.at - b.at || a.number - b.number)
        while ((flying[0]?.at ?? Number.POSITIVE_INFINITY) <= until) {
          const next = flying.shift()
          assert.ok(next)
          if (next.phase < phaseOfRemote - 1) continue
          const opened = bob.open(next.datagram, highest)
          assert.deepEqual(opened, { number: next.number, frames: frames(next.number) })
          highest = Math.max(highest, next.number)
          phaseOfRemote = Math.max(phaseOfRemote, next.phase)
          alice.acknowledged(next.number)
        }
      }
      for (const [number, { update, lost, delay }] of steps.entries()) {
        if (update && alice.startUpdate()) phase++
        const datagram = alice.seal(TO, number, 4, frames(number))
        if (lost !== 0) flying.push({ at: number + delay, number, phase, datagram })
        deliver(number)
      }
      deliver(Number.MAX_SAFE_INTEGER)
    }),
    { seed: 21, numRuns: 300 },
  )
})

test('a datagram costs one attempt to open, whatever its phase and number', () => {
  const provider = counting()
  const [alice, bob] = pair(provider)
  for (let number = 0; number < 6; number++) {
    const datagram = alice.seal(TO, number, 1, frames(number))
    for (const flip of [0, PHASE_BIT]) {
      for (const highest of [-1, number - 1, number, 1000]) {
        const forged = new Uint8Array(datagram)
        forged[0] = (forged[0] ?? 0) ^ flip
        forged[forged.length - 1] = (forged[forged.length - 1] ?? 0) ^ 1
        provider.opens = 0
        assert.equal(bob.open(forged, highest), undefined)
        assert.ok(provider.opens <= 1)
      }
    }
    assert.ok(bob.open(datagram, number - 1))
    alice.acknowledged(number)
    if (number % 2 === 1) assert.equal(alice.startUpdate(), true)
  }
})

test('a number used twice and a wrong destination are faults of ours', () => {
  const [alice] = pair()
  alice.seal(TO, 5, 1, TO)
  assert.throws(() => alice.seal(TO, 5, 1, TO), /rise/)
  assert.throws(() => alice.seal(TO, 4, 1, TO), /rise/)
  assert.throws(() => alice.seal(TO.subarray(1), 6, 1, TO), /4 bytes/)
})

test('frames share no memory with the datagram', () => {
  const [alice, bob] = pair()
  const datagram = alice.seal(TO, 0, 1, frames(0))
  const opened = bob.open(datagram, -1)
  datagram.fill(0)
  assert.deepEqual(opened?.frames, frames(0))
})

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { sodiumNative } from '../../crypto/sodium-native.ts'
import type { KeyPair } from '../crypto.ts'
import { fromHex, toHex } from '../wire/bytes.ts'
import { NoiseHandshake, type NoiseOptions } from './noise.ts'

interface Vector {
  readonly name: string
  readonly prologue: string
  readonly initStatic: string
  readonly initEphemeral: string
  readonly initRemoteStatic?: string
  readonly respStatic: string
  readonly respEphemeral: string
  readonly handshakeHash?: string
  readonly messages: readonly { readonly payload: string; readonly ciphertext: string }[]
}

const { vectors }: { vectors: readonly Vector[] } = JSON.parse(
  readFileSync(new URL('../../../docs/spec/vectors/noise.json', import.meta.url), 'utf8'),
)
const crypto = sodiumNative()
const PROLOGUE = Uint8Array.of(1, 2, 3)

function bytes(text: string): Uint8Array {
  const value = fromHex(text)
  assert.ok(value)
  return value
}

function keys(seed: number): KeyPair {
  return crypto.agreementKeyPair(new Uint8Array(32).fill(seed))
}

function initiator(pattern: 'IK' | 'XX', options: Partial<NoiseOptions> = {}): NoiseHandshake {
  const known = pattern === 'IK' ? { remoteStatic: keys(2).publicKey } : {}
  return new NoiseHandshake({
    crypto,
    pattern,
    role: 'initiator',
    prologue: PROLOGUE,
    staticKeys: keys(1),
    ephemeral: keys(3),
    ...known,
    ...options,
  })
}

function responder(pattern: 'IK' | 'XX', options: Partial<NoiseOptions> = {}): NoiseHandshake {
  return new NoiseHandshake({
    crypto,
    pattern,
    role: 'responder',
    prologue: PROLOGUE,
    staticKeys: keys(2),
    ephemeral: keys(4),
    ...options,
  })
}

/** Runs a handshake to its end and gives the messages. */
function complete(pattern: 'IK' | 'XX', alice: NoiseHandshake, bob: NoiseHandshake): Uint8Array[] {
  const messages: Uint8Array[] = []
  for (let turn = 0; turn < (pattern === 'IK' ? 2 : 3); turn++) {
    const [writer, reader] = turn % 2 === 0 ? [alice, bob] : [bob, alice]
    const message = writer.write(Uint8Array.of(turn))
    assert.deepEqual(reader.read(message), Uint8Array.of(turn))
    messages.push(message)
  }
  return messages
}

for (const [index, vector] of vectors.entries()) {
  test(`published vector ${index + 1}, ${vector.name}, is met byte for byte`, () => {
    const pattern = vector.name.startsWith('Noise_IK_') ? 'IK' : 'XX'
    const prologue = bytes(vector.prologue)
    const remoteStatic = vector.initRemoteStatic && bytes(vector.initRemoteStatic)
    const alice = initiator(pattern, {
      prologue,
      staticKeys: crypto.agreementKeyPair(bytes(vector.initStatic)),
      ephemeral: crypto.agreementKeyPair(bytes(vector.initEphemeral)),
      ...(remoteStatic && { remoteStatic }),
    })
    const bob = responder(pattern, {
      prologue,
      staticKeys: crypto.agreementKeyPair(bytes(vector.respStatic)),
      ephemeral: crypto.agreementKeyPair(bytes(vector.respEphemeral)),
    })
    const numbers: [number, number] = [0, 0]
    for (const [turn, { payload, ciphertext }] of vector.messages.entries()) {
      const side = turn % 2 === 0 ? 0 : 1
      const [writer, reader] = side === 0 ? [alice, bob] : [bob, alice]
      if (!writer.isComplete) {
        const message = writer.write(bytes(payload))
        assert.equal(toHex(message), ciphertext)
        assert.deepEqual(reader.read(message), bytes(payload))
        continue
      }
      const nonce = new Uint8Array(12)
      nonce[4] = numbers[side]++
      const none = new Uint8Array(0)
      const sealed = crypto.seal(writer.split().sendKey, nonce, bytes(payload), none)
      assert.equal(toHex(sealed), ciphertext)
      assert.deepEqual(crypto.open(reader.split().receiveKey, nonce, sealed, none), bytes(payload))
    }
    assert.deepEqual(alice.split().hash, bob.split().hash)
    if (vector.handshakeHash) assert.equal(toHex(alice.split().hash), vector.handshakeHash)
  })
}

for (const pattern of ['IK', 'XX'] as const) {
  test(`${pattern}: both sides end with each other's key, crossed keys and one hash`, () => {
    const [alice, bob] = [initiator(pattern), responder(pattern)]
    complete(pattern, alice, bob)
    assert.ok(alice.isComplete && bob.isComplete)
    assert.deepEqual(alice.remoteStatic, keys(2).publicKey)
    assert.deepEqual(bob.remoteStatic, keys(1).publicKey)
    const [ours, theirs] = [alice.split(), bob.split()]
    assert.deepEqual(ours.sendKey, theirs.receiveKey)
    assert.deepEqual(ours.receiveKey, theirs.sendKey)
    assert.notDeepEqual(ours.sendKey, ours.receiveKey)
    assert.deepEqual(ours.hash, theirs.hash)
  })

  test(`${pattern}: a message with any byte changed or missing is refused, and the true one still read`, () => {
    const [alice, bob] = [initiator(pattern), responder(pattern)]
    const sides = [alice, bob]
    for (let turn = 0; turn < (pattern === 'IK' ? 2 : 3); turn++) {
      const writer = sides[turn % 2]
      const reader = sides[1 - (turn % 2)]
      assert.ok(writer && reader)
      const message = writer.write(Uint8Array.of(9))
      const before = reader.remoteStatic
      // XX's first message is not authenticated: only lengths can be refused there (Noise §7.7).
      const isPlain = pattern === 'XX' && turn === 0
      for (let at = 0; at < message.length; at++) {
        const forged = new Uint8Array(message)
        forged[at] = (forged[at] ?? 0) ^ (1 << (at & 7))
        if (!isPlain) assert.equal(reader.read(forged), undefined)
        if (!isPlain || at < 32) assert.equal(reader.read(message.subarray(0, at)), undefined)
        assert.equal(reader.remoteStatic, before)
      }
      assert.deepEqual(reader.read(message), Uint8Array.of(9))
    }
    assert.deepEqual(alice.split().hash, bob.split().hash)
  })

  test(`${pattern}: another prologue is another handshake`, () => {
    const alice = initiator(pattern)
    const bob = responder(pattern, { prologue: Uint8Array.of(1, 2) })
    const first = bob.read(alice.write(new Uint8Array(0)))
    if (pattern === 'IK') assert.equal(first, undefined)
    else assert.equal(alice.read(bob.write(new Uint8Array(0))), undefined)
  })

  test(`${pattern}: a low-order ephemeral key is refused before anything is answered`, () => {
    const bob = responder(pattern)
    const message = initiator(pattern).write(new Uint8Array(0))
    for (const low of [0, 1]) {
      const forged = new Uint8Array(message)
      forged.fill(0, 0, 32)
      forged[0] = low
      assert.equal(bob.read(forged), undefined)
    }
    assert.ok(bob.read(message))
  })

  test(`${pattern}: random bytes of any length draw no answer and no exception`, () => {
    const alice = initiator(pattern)
    alice.write(new Uint8Array(0))
    const random = fc.uint8Array({ maxLength: 300 })
    fc.assert(
      fc.property(random, (message) => {
        assert.equal(alice.read(message), undefined)
        if (pattern === 'IK') assert.equal(responder(pattern).read(message), undefined)
        else responder(pattern).read(message)
      }),
      { seed: 7, numRuns: 200 },
    )
  })
}

test('a first message can be read again by a fresh responder', () => {
  const message = initiator('IK').write(Uint8Array.of(5))
  for (let times = 0; times < 2; times++)
    assert.deepEqual(responder('IK').read(message), Uint8Array.of(5))
})

test('an IK message for another responder is refused', () => {
  const message = initiator('IK').write(Uint8Array.of(5))
  assert.equal(responder('IK', { staticKeys: keys(6) }).read(message), undefined)
})

test('what is read shares no memory with the datagram', () => {
  const message = initiator('XX').write(Uint8Array.of(5))
  const bob = responder('XX')
  const payload = bob.read(message)
  message.fill(0)
  assert.deepEqual(payload, Uint8Array.of(5))
  const alice = initiator('XX')
  alice.write(Uint8Array.of(5))
  assert.ok(alice.read(bob.write(new Uint8Array(0))))
})

test('a turn out of order, an early split and a missing key are faults of ours', () => {
  assert.throws(() => responder('IK').write(new Uint8Array(0)), /turns/)
  assert.throws(() => initiator('IK').read(new Uint8Array(96)), /turns/)
  assert.throws(() => initiator('IK').split(), /complete/)
  const options = { crypto, prologue: PROLOGUE, staticKeys: keys(1), ephemeral: keys(3) } as const
  assert.throws(() => new NoiseHandshake({ ...options, pattern: 'IK', role: 'initiator' }), /knows/)
  const [alice, bob] = [initiator('IK'), responder('IK')]
  complete('IK', alice, bob)
  assert.throws(() => alice.write(new Uint8Array(0)), /left/)
})

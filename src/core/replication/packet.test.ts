import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sodiumNative } from '../../crypto/sodium-native.ts'
import type { KeyPair } from '../crypto.ts'
import { MALFORMED } from '../errors.ts'
import { SubclusterKeys } from '../groups/subcluster-keys.ts'
import type { UnixMs } from '../io.ts'
import { SeededRandom } from '../seeded.fixture.ts'
import { ascii, concat, toHex } from '../wire/bytes.ts'
import { Writer } from '../wire/writer.ts'
import { authored, forge, nonceOf } from './forge.fixture.ts'
import {
  CLOCK_SLACK_S,
  decodePacket,
  LIFE_MINUTES_MAX,
  PACKET_BYTES_MAX,
  type PacketHeader,
  verifyPacket,
} from './packet.ts'
import { openPacket, type PacketDraft, type PacketKeys, sealPacket } from './packet-seal.ts'

const crypto = sodiumNative()
const CREATED_S = 1_780_000_000
const WALL = (CREATED_S * 1000) as UnixMs
const subcluster = new SubclusterKeys(
  crypto,
  new Uint8Array(32).fill(7),
  new Uint8Array(32).fill(9),
)
const keys = keysAt(CREATED_S)
const alice = crypto.signingKeyPair(new Uint8Array(32).fill(1))
const mallory = crypto.signingKeyPair(new Uint8Array(32).fill(2))

const DRAFT: PacketDraft = {
  createdS: CREATED_S,
  lifeMinutes: 60,
  salt: new SeededRandom(1).bytes(12),
  event: 'news',
  lamport: 300,
  parents: [new Uint8Array(16).fill(5)],
  payload: ascii('p0123456789abcdef'),
}

function keysAt(createdS: number, of = subcluster): PacketKeys {
  return of.at(createdS) ?? assert.fail('nothing was forgotten')
}

function sealed(draft: Partial<PacketDraft> = {}, author = alice): Uint8Array {
  return sealPacket(crypto, keys, author, { ...DRAFT, ...draft }).bytes
}

function decoded(bytes: Uint8Array) {
  const packet = decodePacket(bytes)
  assert.ok(packet !== MALFORMED)
  return packet
}

function plainOf(bytes: Uint8Array): Uint8Array {
  const packet = decoded(bytes)
  const nonce = nonceOf(packet.header)
  const plain = crypto.xopen(keys.sealKey, nonce, packet.ciphertext, packet.headerBytes)
  assert.ok(plain)
  return plain
}

function headerOf(header: Partial<PacketHeader> = {}): PacketHeader {
  const { createdS, lifeMinutes, salt } = DRAFT
  return { createdS, lifeMinutes, salt, tag: keys.tag.publicKey, root: undefined, ...header }
}

test('a member opens what a member sealed', () => {
  const packet = decoded(sealed())
  const opened = openPacket(crypto, keys, packet)
  const { event, lamport, parents, payload } = DRAFT
  assert.deepEqual(opened, { author: alice.publicKey, event, lamport, parents, payload })
})

test('a 16-byte text with one parent is a packet of at most 272 bytes', () => {
  assert.equal(sealed().length, 272)
  assert.equal(sealed({ payload: DRAFT.payload.slice(0, 16), lamport: 1 }).length, 272)
})

test('a packet of any payload is a multiple of 16 bytes and fits into a datagram', () => {
  const event = 'e'.repeat(255)
  const parents = Array.from({ length: 4 }, () => new Uint8Array(16))
  for (const size of [0, 1, 600, 700, 900, 1000, 5000, 20_000, 21_000, 1_000_000]) {
    const { bytes } = sealPacket(crypto, keys, alice, {
      ...DRAFT,
      event,
      parents,
      lamport: 2 ** 48,
      payload: new Uint8Array(size),
    })
    assert.equal(bytes.length <= PACKET_BYTES_MAX && bytes.length % 16 === 0, true)
    assert.equal(typeof verifyPacket(crypto, bytes, WALL), 'object')
    assert.equal(typeof openPacket(crypto, keys, decoded(bytes)), 'object')
  }
})

test('a stranger verifies a packet from its bytes alone and cannot open it', () => {
  const verified = verifyPacket(crypto, sealed(), WALL)
  assert.ok(typeof verified === 'object')
  assert.equal(verified.id.length, 32)
  const other = new SubclusterKeys(crypto, new Uint8Array(32).fill(8), new Uint8Array(32).fill(9))
  assert.equal(openPacket(crypto, keysAt(CREATED_S, other), verified.packet), 'unauthentic')
  assert.equal(openPacket(crypto, keysAt(CREATED_S + 86_400), verified.packet), 'unauthentic')
})

test('no byte of a packet can be changed', () => {
  const bytes = sealed()
  for (let i = 0; i < bytes.length; i++) {
    const altered = bytes.slice()
    altered[i] = (altered[i] ?? 0) ^ (1 << (i % 8))
    assert.equal(typeof verifyPacket(crypto, altered, WALL), 'string', `byte ${i}`)
  }
})

// Turns red when `isPacketSigned` always says yes.
test('an outsider cannot inject under a tag whose key it lacks', () => {
  const outside = { tag: mallory, sealKey: keys.sealKey }
  const plain = plainOf(sealed())
  const bytes = forge(headerOf(), plain, outside)
  assert.equal(verifyPacket(crypto, bytes, WALL), 'unauthentic')
  const ownTag = forge(headerOf({ tag: mallory.publicKey }), plain, outside)
  assert.equal(typeof verifyPacket(crypto, ownTag, WALL), 'object')
})

// Turns red when `openPacket` skips the author's signature.
test('a member cannot write as another member', () => {
  const honest = plainOf(sealed({}, mallory))
  const claimed = concat(alice.publicKey, honest.subarray(32))
  const bytes = forge(headerOf(), claimed, keys)
  assert.equal(typeof verifyPacket(crypto, bytes, WALL), 'object')
  assert.equal(openPacket(crypto, keys, decoded(bytes)), 'unauthentic')
})

// Turns red when the author's signature leaves out the header.
test('a member cannot move what another wrote to another time, life, salt, tag or tree', () => {
  const plain = plainOf(sealed())
  assert.equal(typeof openPacket(crypto, keys, decoded(forge(headerOf(), plain, keys))), 'object')
  const next = keysAt(CREATED_S + 86_400)
  const root = { payloadBytes: 10, depth: 1, hashes: new Uint8Array(32) }
  const noPayload = sealPacket(crypto, keys, alice, { ...DRAFT, payload: new Uint8Array(0) })
  const moves: readonly (readonly [PacketHeader, Uint8Array, PacketKeys])[] = [
    [headerOf({ createdS: CREATED_S + 1 }), plain, keys],
    [headerOf({ lifeMinutes: 61 }), plain, keys],
    [headerOf({ salt: new Uint8Array(12) }), plain, keys],
    [headerOf({ tag: next.tag.publicKey }), plain, next],
    [headerOf({ root }), plainOf(noPayload.bytes).subarray(0, 121), keys],
  ]
  for (const [header, moved, by] of moves) {
    const bytes = forge(header, moved, by)
    assert.equal(typeof verifyPacket(crypto, bytes, WALL), 'object')
    assert.equal(openPacket(crypto, by, decoded(bytes)), 'unauthentic')
  }
})

test('a member cannot change what another wrote', () => {
  const plain = plainOf(sealed())
  for (let i = 0; i < plain.length; i++) {
    const altered = plain.slice()
    altered[i] = (altered[i] ?? 0) ^ 1
    assert.equal(
      typeof openPacket(crypto, keys, decoded(forge(headerOf(), altered, keys))),
      'string',
    )
  }
})

// Turns red when `isTimely` leaves out either bound.
test('a packet counts from 12 hours before its creation to 12 hours after its end', () => {
  const bytes = sealed({ lifeMinutes: LIFE_MINUTES_MAX })
  const at = (s: number) => verifyPacket(crypto, bytes, (s * 1000) as UnixMs)
  const endS = CREATED_S + 7 * 86_400
  assert.equal(at(CREATED_S - CLOCK_SLACK_S - 1), 'expired')
  assert.equal(typeof at(CREATED_S - CLOCK_SLACK_S), 'object')
  assert.equal(typeof at(endS + CLOCK_SLACK_S), 'object')
  assert.equal(at(endS + CLOCK_SLACK_S + 1), 'expired')
})

// Each line turns red when its check is removed from `decodePacket`.
test('a packet of wrong length, version, kind, life or count is malformed, whoever signed it', () => {
  const good = sealed()
  const withByte = (offset: number, value: number) => {
    const bytes = good.slice()
    bytes[offset] = value
    return bytes
  }
  assert.equal(decodePacket(new Uint8Array(0)), MALFORMED)
  assert.equal(decodePacket(good.subarray(0, good.length - 1)), MALFORMED)
  assert.equal(decodePacket(concat(good, new Uint8Array(PACKET_BYTES_MAX))), MALFORMED)
  assert.equal(decodePacket(withByte(0, 0x20)), MALFORMED)
  assert.equal(decodePacket(withByte(0, 0x12)), MALFORMED)
  assert.equal(
    decodePacket(concat(good.subarray(0, 5), Uint8Array.of(0, 0), good.subarray(7))),
    MALFORMED,
  )
  assert.equal(decodePacket(withByte(5, 0xff)), MALFORMED)
  const tooShort = forge(headerOf(), new Uint8Array(20), keys)
  assert.equal(decodePacket(tooShort), MALFORMED)
})

test('a root whose counts do not follow from its payload size is malformed', () => {
  const plain = plainOf(
    sealPacket(crypto, keys, alice, { ...DRAFT, payload: new Uint8Array(0) }).bytes,
  )
  const root = (payloadBytes: number, depth: number, hashes: number) =>
    decodePacket(
      forge(
        headerOf({ root: { payloadBytes, depth, hashes: new Uint8Array(hashes) } }),
        plain,
        keys,
      ),
    )
  assert.notEqual(root(5000, 1, 5 * 32), MALFORMED)
  assert.equal(root(5000, 1, 4 * 32), MALFORMED)
  assert.equal(root(5000, 2, 5 * 32), MALFORMED)
  assert.equal(root(5000, 0, 0), MALFORMED)
  assert.equal(root(5000, 1, 5 * 32 - 1), MALFORMED)
  assert.equal(root(2 ** 52, 1, 32), MALFORMED)
  assert.equal(root(64 * 1024 * 1024 + 1, 4, 64), MALFORMED)
})

test('a member who seals nonsense gets nothing past the others', () => {
  const signed = (inner: Uint8Array, header = headerOf()) =>
    forge(header, authored(mallory, header, inner), keys)
  const open = (bytes: Uint8Array) => openPacket(crypto, keys, decoded(bytes))
  const inner = (write: (writer: Writer) => void) => {
    const writer = new Writer(1000)
    write(writer)
    return writer.done()
  }
  const parents = (count: number) =>
    inner((w) =>
      w
        .varint(1)
        .u8(count)
        .put(new Uint8Array(16 * Math.min(count, 5)))
        .u8(0)
        .u8(0),
    )
  assert.equal(typeof open(signed(parents(4))), 'object')
  assert.equal(open(signed(parents(5))), 'malformed')
  assert.equal(open(signed(parents(255))), 'malformed')
  assert.equal(
    open(
      signed(
        inner((w) =>
          w
            .varint(2 ** 48 + 1)
            .u8(0)
            .u8(0)
            .u8(0),
        ),
      ),
    ),
    'malformed',
  )
  assert.equal(
    open(
      signed(
        inner((w) =>
          w
            .u8(1)
            .u8(0)
            .varint(2 ** 50)
            .u8(0),
        ),
      ),
    ),
    'malformed',
  )
  assert.equal(open(signed(inner((w) => w.u8(1).u8(0).u8(2).u8(0xff).u8(0xff).u8(0)))), 'malformed')
  assert.equal(
    open(
      signed(
        inner((w) =>
          w
            .u8(1)
            .u8(0)
            .u8(0)
            .varint(2 ** 40),
        ),
      ),
    ),
    'malformed',
  )
  const trailing = inner((w) => w.u8(1).u8(0).u8(0).u8(0).put(new Uint8Array(40)))
  assert.equal(open(signed(trailing)), 'malformed')
  const root = { payloadBytes: 10, depth: 1, hashes: new Uint8Array(32) }
  const both = inner((w) => w.u8(1).u8(0).u8(0).block(new Uint8Array(5).fill(1)))
  assert.equal(open(signed(both, headerOf({ root }))), 'malformed')
})

test('100,000 mutated packets throw nothing and none is accepted', () => {
  const random = new SeededRandom(3)
  const sources = [sealed(), sealed({ payload: new Uint8Array(3000) })]
  const genuine = new Set(sources.map(toHex))
  for (let i = 0; i < 100_000; i++) {
    let bytes: Uint8Array = (sources[i % 2] ?? new Uint8Array(0)).slice()
    for (let k = 1 + random.below(3); k > 0; k--)
      bytes[random.below(bytes.length)] = random.below(256)
    const cut = random.below(20)
    if (cut === 0) bytes = bytes.slice(0, 16 * random.below(bytes.length / 16))
    if (cut === 1) bytes = concat(bytes, random.bytes(16))
    if (typeof verifyPacket(crypto, bytes, WALL) === 'object')
      assert.equal(genuine.has(toHex(bytes)), true)
  }
})

test('who signs is whose key it is, not who is named', () => {
  const pair: KeyPair = { publicKey: alice.publicKey, privateKey: mallory.privateKey }
  assert.equal(openPacket(crypto, keys, decoded(sealed({}, pair))), 'unauthentic')
})

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { sodiumNative } from '../../crypto/sodium-native.ts'
import { MALFORMED } from '../errors.ts'
import type { PeerId, UnixMs } from '../io.ts'
import { LeafAssembly } from '../replication/leaf-assembly.ts'
import { decodePacket, verifyPacket } from '../replication/packet.ts'
import { openBlob, openPacket, sealPacket } from '../replication/packet-seal.ts'
import { SeededRandom } from '../seeded.fixture.ts'
import { concat, fromHex, toHex, utf8 } from '../wire/bytes.ts'
import { mailKey } from './mail-key.ts'
import { decodeMail, encodeMail } from './mail-payload.ts'
import {
  decodeMemberMessage,
  decodeStreamHeader,
  encodeAccept,
  encodeAnswer,
  encodeCancel,
  encodeEmit,
  encodeJoin,
  encodeLeave,
  encodeLossy,
  encodePresence,
  encodeRequest,
  encodeStreamHeader,
} from './member-wire.ts'
import { membershipMac } from './membership.ts'
import { type EpochKeys, SubclusterKeys } from './subcluster-keys.ts'

interface GroupVectors {
  readonly sharedKey: string
  readonly clusterId: string
  readonly joinKey: string
  readonly epochs: readonly {
    readonly createdS: number
    readonly epoch: number
    readonly tagPublicKey: string
    readonly tagPrivateKey: string
    readonly sealKey: string
  }[]
  readonly exported: { readonly createdS: number; readonly key: string }
  readonly mail: {
    readonly one: { readonly seed: string; readonly publicKey: string }
    readonly two: { readonly seed: string; readonly publicKey: string }
    readonly key: string
    readonly tag: { readonly createdS: number; readonly publicKey: string }
    readonly letters: readonly { readonly name: string; readonly bytes: string }[]
  }
  readonly membership: Readonly<Record<'binding' | 'sender' | 'receiver' | 'mac', string>>
  readonly messages: readonly { readonly name: string; readonly bytes: string }[]
}

interface PacketVectors {
  readonly author: { readonly seed: string; readonly publicKey: string }
  readonly draft: {
    readonly createdS: number
    readonly lifeMinutes: number
    readonly salt: string
    readonly event: string
    readonly lamport: number
    readonly parents: readonly string[]
  }
  readonly packets: readonly {
    readonly name: string
    readonly payload?: string
    readonly payloadBytes: number
    readonly id: string
    readonly packet: string
    readonly leaves: readonly number[]
    readonly leavesHash: string
  }[]
}

const crypto = sodiumNative()
const groups: GroupVectors = load('groups.json')
const packets: PacketVectors = load('packet.json')
const keys = new SubclusterKeys(crypto, bytes(groups.sharedKey), bytes(groups.clusterId))

function load<T>(name: string): T {
  const url = new URL(`../../../docs/spec/vectors/${name}`, import.meta.url)
  return JSON.parse(readFileSync(url, 'utf8'))
}

function bytes(hex: string): Uint8Array {
  const value = fromHex(hex)
  assert.ok(value)
  return value
}

function keysAt(createdS: number): EpochKeys {
  return keys.at(createdS) ?? assert.fail('nothing was forgotten')
}

test('the keys of a subcluster are those of the vectors', () => {
  assert.equal(toHex(keys.joinKey), groups.joinKey)
  for (const { epoch, createdS, tagPublicKey, tagPrivateKey, sealKey } of groups.epochs) {
    const derived = keysAt(createdS)
    assert.equal(derived.epoch, epoch)
    assert.equal(toHex(derived.tag.publicKey), tagPublicKey)
    assert.equal(toHex(derived.tag.privateKey), tagPrivateKey)
    assert.equal(toHex(derived.sealKey), sealKey)
  }
})

test('an exported key is that of the vectors, and opens what it should', () => {
  const { createdS, key } = groups.exported
  assert.equal(toHex(keys.export(createdS) ?? new Uint8Array()), key)
  const newcomer = new SubclusterKeys(crypto, bytes(key), bytes(groups.clusterId))
  assert.deepEqual(newcomer.at(createdS), keysAt(createdS))
  assert.deepEqual(newcomer.joinKey, keys.joinKey)
})

test('the key of two members’ mail is that of the vectors, from either side', () => {
  const { one, two, key, tag } = groups.mail
  for (const [self, other] of [
    [one, two],
    [two, one],
  ] as const) {
    const identity = crypto.signingKeyPair(bytes(self.seed))
    assert.equal(toHex(identity.publicKey), self.publicKey)
    const made = mailKey(crypto, identity, other.publicKey as PeerId, keys.joinKey)
    assert.equal(toHex(made ?? new Uint8Array()), key)
  }
  const mailbox = new SubclusterKeys(crypto, bytes(key), bytes(groups.clusterId))
  const publicKey = mailbox.at(tag.createdS)?.tag.publicKey
  assert.equal(toHex(publicKey ?? new Uint8Array()), tag.publicKey)
})

test('letters are those of the vectors, and random bytes in their place throw nothing', () => {
  const value = utf8('value')
  const binding = bytes(groups.membership.binding)
  const origin = { binding, pair: { to: 5, from: 300 }, sequence: 9 }
  const letters = [encodeMail({ origin: undefined, value }), encodeMail({ origin, value })]
  assert.deepEqual(
    letters.map(toHex),
    groups.mail.letters.map((letter) => letter.bytes),
  )
  const [plain, sent] = letters
  assert.deepEqual(decodeMail(plain ?? value), { origin: undefined, value })
  const named = { ...origin, binding: binding.subarray(0, 8) }
  assert.deepEqual(decodeMail(sent ?? value), { origin: named, value })
  const random = new SeededRandom(2)
  for (let i = 0; i < 20_000; i++) decodeMail(random.bytes(random.below(24)))
})

test('a proof of membership is that of the vectors', () => {
  const { binding, sender, receiver, mac } = groups.membership
  const made = membershipMac(crypto, keys.joinKey, bytes(binding), bytes(sender), bytes(receiver))
  assert.equal(toHex(made), mac)
})

test('the messages of members are those of the vectors, byte for byte', () => {
  const mac = bytes(groups.membership.mac)
  const pair = { to: 5, from: 300 }
  const value = utf8('value')
  const made = [
    encodeJoin([
      { link: 1, mac },
      { link: 70, mac: new Uint8Array(16).fill(8) },
    ]),
    encodeAccept(5, 300, mac),
    encodeLeave(300),
    encodeEmit(pair, 9, 2, 'news', value),
    encodeLossy(pair, 'news', value),
    encodeRequest(pair, 9, 'sum', value),
    encodeAnswer(pair, 9, 1, value),
    encodeCancel(pair, 9),
    encodePresence(pair, value),
    encodePresence(pair, undefined),
    encodeStreamHeader(pair, 'file'),
  ]
  assert.deepEqual(
    made.map(toHex),
    groups.messages.map((message) => message.bytes),
  )
  for (const { name, bytes: hex } of groups.messages) {
    const isStream = name.startsWith('stream')
    const decoded = isStream ? decodeStreamHeader(bytes(hex)) : decodeMemberMessage(bytes(hex))
    assert.ok(decoded !== MALFORMED && decoded !== undefined, name)
  }
})

test('sealing gives the packets and leaves of the vectors, and opening them gives the payload', () => {
  const { createdS, lifeMinutes, event, lamport } = packets.draft
  const author = crypto.signingKeyPair(bytes(packets.author.seed))
  assert.equal(toHex(author.publicKey), packets.author.publicKey)
  const parents = packets.draft.parents.map(bytes)
  const salt = bytes(packets.draft.salt)
  for (const vector of packets.packets) {
    const pattern = Uint8Array.from({ length: vector.payloadBytes }, (_, i) => (i * 7) % 251)
    const payload = vector.payload === undefined ? pattern : bytes(vector.payload)
    const draft = { createdS, lifeMinutes, salt, event, lamport, parents, payload }
    const sealed = sealPacket(crypto, keysAt(createdS), author, draft)
    assert.equal(toHex(sealed.id), vector.id, vector.name)
    assert.equal(toHex(sealed.bytes), vector.packet)
    const leaves = sealed.levels.flat()
    assert.deepEqual(
      sealed.levels.map(({ length }) => length),
      vector.leaves,
    )
    const whole = concat(...leaves.map((leaf) => leaf.bytes))
    assert.equal(toHex(crypto.hash(32, [whole])), vector.leavesHash)

    const verified = verifyPacket(crypto, bytes(vector.packet), (createdS * 1000) as UnixMs)
    assert.ok(typeof verified === 'object')
    assert.equal(toHex(verified.id), vector.id)
    const packet = decodePacket(bytes(vector.packet))
    assert.ok(packet !== MALFORMED)
    const opened = openPacket(crypto, keysAt(createdS), packet)
    assert.ok(typeof opened === 'object')
    const { root } = packet.header
    if (root === undefined) {
      assert.deepEqual(opened.payload, payload)
      continue
    }
    const assembly = new LeafAssembly(crypto, root)
    for (const leaf of leaves.toReversed()) assembly.add(leaf.level, leaf.index, leaf.bytes)
    const blob = assembly.blob()
    assert.deepEqual(openBlob(crypto, keysAt(createdS), packet.header, blob), payload)
  }
})

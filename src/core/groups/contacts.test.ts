import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sodiumNative } from '../../crypto/sodium-native.ts'
import type { PeerId } from '../io.ts'
import { CONTACTS_MAX, CONTACTS_PREFIX, Contacts } from './contacts.ts'
import { SubclusterKeys } from './subcluster-keys.ts'

const crypto = sodiumNative()
const CLUSTER_ID = new Uint8Array(32).fill(2)

function keysOf(fill: number): SubclusterKeys {
  return new SubclusterKeys(crypto, new Uint8Array(32).fill(fill), CLUSTER_ID)
}

function peer(number: number): PeerId {
  return number.toString(16).padStart(64, '0') as PeerId
}

function book() {
  const disk = new Map<string, Uint8Array>()
  const contacts = new Contacts(crypto, (key, value) => {
    if (value === undefined) disk.delete(key)
    else disk.set(key, value)
  })
  return { disk, contacts }
}

// Turns red when the bound goes, in memory or on disk.
test('the 256 contacts heard of last are kept, in memory and on disk', () => {
  const { disk, contacts } = book()
  contacts.joined(1, keysOf(1))
  const dropped: (PeerId | undefined)[] = []
  for (let i = 0; i < CONTACTS_MAX + 3; i++) dropped.push(contacts.add(1, peer(i)))
  assert.deepEqual(
    dropped.filter((each) => each !== undefined),
    [0, 1, 2].map(peer),
  )
  assert.equal(contacts.of(1).length, CONTACTS_MAX)
  assert.equal(disk.size, CONTACTS_MAX)
  assert.equal(!contacts.has(1, peer(2)) && contacts.has(1, peer(3)), true)
  assert.equal(contacts.add(1, peer(3)), undefined)
  assert.equal(disk.size, CONTACTS_MAX)
})

test('what was stored is found again, by its subcluster alone, and what is no peer is passed over', () => {
  const { disk, contacts } = book()
  const prefix = contacts.joined(1, keysOf(1))
  contacts.add(1, peer(7))
  const records = [...disk].map(([key, value]) => ({ key, value }))
  assert.equal(prefix.startsWith(CONTACTS_PREFIX), true)
  const later = book()
  assert.equal(later.contacts.joined(5, keysOf(1)), prefix)
  assert.notEqual(later.contacts.joined(6, keysOf(2)), prefix)
  const nonsense = ['', 'x'.repeat(64), peer(1).slice(1), `${peer(1)}0`]
  const more = nonsense.map((name) => ({ key: prefix + name, value: Uint8Array.of(1) }))
  const loaded = later.contacts.loaded(prefix, [...records, ...more])
  assert.deepEqual(loaded, { subcluster: 5, peers: [peer(7)] })
  assert.equal(later.contacts.loaded('contact/none/', records), undefined)
})

test('who knows only the name of a record does not know the subcluster, and who left keeps nothing in memory', () => {
  const { disk, contacts } = book()
  const keys = keysOf(1)
  contacts.joined(1, keys)
  contacts.add(1, peer(7))
  const disked = [...disk.keys()].join()
  assert.equal(!disked.includes(Buffer.from(keys.joinKey).toString('hex').slice(0, 16)), true)
  contacts.left(1)
  assert.deepEqual(contacts.of(1), [])
  assert.equal(contacts.add(1, peer(8)), undefined)
  assert.equal(disk.size, 1)
})

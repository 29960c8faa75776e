import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { MaybePromise, Storage } from '../driver/ports.ts'

/** One place to keep records in, which can be opened again after it was closed. */
export interface StorageUnderTest {
  open(): MaybePromise<Storage>
  /** Removes the place. Called once per test, after the storage was closed. */
  remove(): MaybePromise<void>
}

/** Registers node:test tests for what a peer relies on in a `Storage`. `make` gives an empty place. */
export function storageSuite(label: string, make: () => MaybePromise<StorageUnderTest>): void {
  describe(`storage: ${label}`, () => {
    for (const [name, check] of CHECKS) {
      test(name, async () => {
        const place = await make()
        try {
          await check(place)
        } finally {
          await place.remove()
        }
      })
    }
  })
}

type Check = (place: StorageUnderTest) => Promise<void>

const CHECKS: readonly (readonly [name: string, check: Check])[] = [
  [
    'an empty store loads nothing',
    async (place) => {
      const storage = await place.open()
      assert.deepEqual(await storage.load(''), [])
      await storage.close()
    },
  ],
  [
    'what is written is loaded, by prefix, in the order of keys',
    async (place) => {
      const storage = await place.open()
      for (const key of ['b/2', 'a/1', 'b/10', 'b', 'b/', 'c/1', 'b0']) {
        await storage.write(key, bytesOf(key))
      }
      assert.deepEqual(await keysOf(storage, 'b/'), ['b/', 'b/10', 'b/2'])
      assert.deepEqual(await keysOf(storage, ''), ['a/1', 'b', 'b/', 'b/10', 'b/2', 'b0', 'c/1'])
      assert.deepEqual(await storage.load('a/'), [{ key: 'a/1', value: bytesOf('a/1') }])
      await storage.close()
    },
  ],
  [
    'keys beyond ASCII keep their prefix',
    async (place) => {
      const storage = await place.open()
      for (const key of ['p/é', 'p/\u{10ffff}', 'p/~', 'q']) await storage.write(key, bytesOf('x'))
      assert.deepEqual((await keysOf(storage, 'p/')).length, 3)
      await storage.close()
    },
  ],
  [
    'a load sees every write that was called before it, awaited or not',
    async (place) => {
      const storage = await place.open()
      const writes = [1, 2, 3].map((n) => storage.write(`k${n}`, Uint8Array.of(n)))
      assert.deepEqual(await keysOf(storage, 'k'), ['k1', 'k2', 'k3'])
      await Promise.all(writes)
      await storage.close()
    },
  ],
  [
    'of many writes to one key the last one counts',
    async (place) => {
      const storage = await place.open()
      const writes: MaybePromise<void>[] = []
      for (let n = 0; n < 500; n++) writes.push(storage.write('k', Uint8Array.of(n & 255, n >> 8)))
      writes.push(storage.write('gone', Uint8Array.of(1)), storage.write('gone', undefined))
      writes.push(storage.write('back', undefined), storage.write('back', Uint8Array.of(2)))
      await Promise.all(writes)
      assert.deepEqual(await storage.load(''), [
        { key: 'back', value: Uint8Array.of(2) },
        { key: 'k', value: Uint8Array.of(499 & 255, 499 >> 8) },
      ])
      await storage.close()
    },
  ],
  [
    'deleting what is not there is no error',
    async (place) => {
      const storage = await place.open()
      await storage.write('nothing', undefined)
      assert.deepEqual(await storage.load(''), [])
      await storage.close()
    },
  ],
  [
    'values of no bytes and of a mebibyte come back as they were',
    async (place) => {
      const storage = await place.open()
      const large = new Uint8Array(1 << 20).map((_, index) => (index * 31) >> 3)
      await storage.write('empty', new Uint8Array(0))
      await storage.write('large', large)
      const [empty, back] = await storage.load('')
      assert.deepEqual(empty?.value, new Uint8Array(0))
      assert.ok(back !== undefined && Buffer.compare(back.value, large) === 0)
      await storage.close()
    },
  ],
  [
    'closed and opened again, it has what was written last',
    async (place) => {
      const first = await place.open()
      const writes = [first.write('a', bytesOf('1')), first.write('b', bytesOf('2'))]
      writes.push(first.write('a', bytesOf('3')), first.write('b', undefined))
      await Promise.all(writes)
      await first.close()
      const second = await place.open()
      assert.deepEqual(await second.load(''), [{ key: 'a', value: bytesOf('3') }])
      await second.close()
    },
  ],
]

async function keysOf(storage: Storage, prefix: string): Promise<string[]> {
  return (await storage.load(prefix)).map((record) => record.key)
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

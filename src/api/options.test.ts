import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Encryption } from './encryption.ts'
import { checkOptions, type NetworkOptions } from './options.ts'

const clusterId = new Uint8Array(32)

function refused(options: unknown, code: string, message: RegExp): void {
  assert.throws(
    () => checkOptions(options as NetworkOptions),
    (error: Error & { code?: string }) => {
      assert.equal(error.code, code, error.message)
      assert.match(error.message, message)
      return error instanceof TypeError || error instanceof RangeError
    },
  )
}

test('the defaults need nothing but the cluster', () => {
  const checked = checkOptions({ clusterId })
  assert.deepEqual([checked.lan, checked.relay, checked.peers], [true, true, []])
  assert.equal(checked.portMapping, true)
  assert.equal(checkOptions({ clusterId, portMapping: false }).portMapping, false)
})

test('each wrong option is refused by its name', async () => {
  const keys = await Encryption.createKeyPair()
  refused(undefined, 'EBADARG', /^options: /)
  refused({}, 'EBADKEY', /^options\.clusterId: .*createClusterId.*undefined/)
  refused({ clusterId: new Uint8Array(31) }, 'EBADKEY', /31 bytes/)
  refused({ clusterId, port: 65_536 }, 'ERANGE', /^options\.port: .*65536/)
  refused({ clusterId, port: '80' }, 'EBADARG', /^options\.port: .*"80"/)
  refused({ clusterId, host: 5 }, 'EBADARG', /^options\.host/)
  refused({ clusterId, lan: 'yes' }, 'EBADARG', /^options\.lan/)
  refused({ clusterId, portMapping: 'upnp' }, 'EBADARG', /^options\.portMapping: .*"upnp"/)
  refused({ clusterId, relay: 1 }, 'EBADARG', /^options\.relay/)
  refused({ clusterId, peers: 'a:1' }, 'EBADARG', /^options\.peers/)
  refused({ clusterId, peers: ['a:1', 'b'] }, 'EBADADDRESS', /^options\.peers\[1\]: .*"b"/)
  refused({ clusterId, peers: Array(257).fill('a:1') }, 'ERANGE', /^options\.peers: .*257/)
  refused({ clusterId, storage: '' }, 'EBADARG', /^options\.storage/)
  refused({ clusterId, storage: { load() {} } }, 'EBADARG', /^options\.storage/)
  refused({ clusterId, signal: {} }, 'EBADARG', /signal/)
  refused({ clusterId, signingKeys: {} }, 'EBADKEY', /^options\.signingKeys: .*createKeyPair/)
  const mixed = { ...keys, publicKey: new Uint8Array(32) }
  refused({ clusterId, signingKeys: mixed }, 'EBADKEY', /^options\.signingKeys/)
})

test('a peerId that is not that of the keys says how to mend it', async () => {
  const signingKeys = await Encryption.createKeyPair()
  const peerId = await Encryption.createId(signingKeys.publicKey)
  assert.equal(
    checkOptions({ clusterId, signingKeys, peerId: peerId.toUpperCase() }).peerId,
    peerId,
  )
  const other = '00'.repeat(32)
  refused(
    { clusterId, signingKeys, peerId: other },
    'EBADPEERID',
    /createId\(signingKeys\.publicKey\)/,
  )
  refused({ clusterId, peerId: 'me' }, 'EBADPEERID', /64 hex digits/)
})

test('cacheBytes is a whole number of bytes between 1 MiB and 1 GiB', () => {
  assert.equal(checkOptions({ clusterId }).cacheBytes, 16 * 1024 * 1024)
  for (const cacheBytes of [1024 * 1024, 1024 * 1024 * 1024])
    assert.equal(checkOptions({ clusterId, cacheBytes }).cacheBytes, cacheBytes)
  refused({ clusterId, cacheBytes: 'all' }, 'EBADARG', /^options\.cacheBytes: .*"all"/)
  refused({ clusterId, cacheBytes: 1024 * 1024 - 1 }, 'ERANGE', /^options\.cacheBytes: .*1048575/)
  refused({ clusterId, cacheBytes: 1024 ** 3 + 1 }, 'ERANGE', /1048576–1073741824/)
  refused({ clusterId, cacheBytes: 2e6 + 0.5 }, 'ERANGE', /whole number/)
  refused({ clusterId, cacheBytes: Number.NaN }, 'ERANGE', /NaN/)
})

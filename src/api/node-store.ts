import { join } from 'node:path'
import type { Crypto, KeyPair } from '../core/crypto.ts'
import { MALFORMED } from '../core/errors.ts'
import { decodeRemembered, REMEMBERED_PREFIX } from '../core/overlay/remembered.ts'
import { ascii, fromUtf8, toHex } from '../core/wire/bytes.ts'
import { systemRandom } from '../crypto/random.ts'
import type { Storage } from '../driver/ports.ts'
import { HostError } from '../node/host-error.ts'
import { LaticaError } from './errors.ts'
import type { CheckedOptions } from './options.ts'
import { loadCrypto } from './provider.ts'
import { asPeerId, type PeerAddress } from './ticket.ts'

/** What a peer keeps on this machine beside what its core stores: the identity and the port. */
const IDENTITY_KEY = 'identity'
const PORT_KEY = 'port'
const SEED_BYTES = 32
/** Processes of one user in one cluster that each get a folder of their own. Guess. */
const FOLDERS_MAX = 64

export interface Store {
  readonly storage: Storage
  /** Something a person should know, though the peer runs. */
  readonly notice: Error | undefined
}

/** Remembers nothing. */
const NOWHERE: Storage = { load: () => [], write: () => {}, close: () => {} }

export async function openStore({ storage, clusterId }: CheckedOptions): Promise<Store> {
  if (storage === false) return { storage: NOWHERE, notice: undefined }
  if (typeof storage === 'object') return { storage, notice: undefined }
  if (typeof storage === 'string') return openFolder(storage)
  try {
    return await openDefault(clusterId)
  } catch (error) {
    // No home, or one that cannot be written: what was not asked for must not stop the peer.
    const notice = new LaticaError(
      'ESTORAGE',
      `nothing will be remembered: ${error instanceof Error ? error.message : String(error)}`,
      error,
      'Give `storage` a folder that can be written, or false.',
    )
    return { storage: NOWHERE, notice }
  }
}

async function openFolder(path: string): Promise<Store> {
  const { openStorage } = await import('../node/storage.ts')
  const storage = await openStorage(path)
  if (storage.setAside === undefined) return { storage, notice: undefined }
  const hasIdentity = (await read(storage, IDENTITY_KEY)) !== undefined
  const notice = new LaticaError(
    'ESTORAGE',
    `the storage was damaged and is set aside in ${storage.setAside}; ` +
      `${storage.recovered} of its records were whole and are kept, ` +
      (hasIdentity ? 'the identity among them' : 'but the identity is lost'),
    undefined,
    hasIdentity
      ? 'Nothing has to be done. Delete the folder that was set aside when you do not need it.'
      : 'Without `signingKeys` this peer has a new peerId: tell it to whoever knows the old one.',
  )
  return { storage, notice }
}

/** The first folder of the cluster that no other process has. */
async function openDefault(clusterId: Uint8Array): Promise<Store> {
  for (let number = 1; ; number++) {
    try {
      return await openFolder(await defaultFolder(clusterId, number))
    } catch (error) {
      const isTaken = error instanceof HostError && error.code === 'ELOCKED'
      if (!isTaken || number === FOLDERS_MAX) throw error
    }
  }
}

async function defaultFolder(clusterId: Uint8Array, number: number): Promise<string> {
  const { defaultStoragePath } = await import('../node/storage.ts')
  return join(defaultStoragePath(toHex(clusterId).slice(0, 16)), `peer-${number}`)
}

/** The identity that a peer without `signingKeys` has here, and where it is kept. */
export async function storedPeerId({
  storage: path,
  clusterId,
}: CheckedOptions): Promise<{ readonly peerId: string; readonly folder: string }> {
  const folder = typeof path === 'string' ? path : await defaultFolder(clusterId, 1)
  const { storage } = await openFolder(folder)
  try {
    const { publicKey } = await loadIdentity(storage, await loadCrypto())
    return { peerId: toHex(publicKey), folder }
  } finally {
    await storage.close()
  }
}

/** The identity kept in the storage, made and kept there when there is none. */
export async function loadIdentity(storage: Storage, crypto: Crypto): Promise<KeyPair> {
  const stored = await read(storage, IDENTITY_KEY)
  if (stored !== undefined && stored.length !== SEED_BYTES)
    throw new LaticaError(
      'ESTORAGE',
      `the identity in the storage has ${stored.length} bytes instead of ${SEED_BYTES}`,
      undefined,
      'Give `signingKeys`, or another `storage`.',
    )
  const seed = stored ?? systemRandom().bytes(SEED_BYTES)
  if (stored === undefined) await storage.write(IDENTITY_KEY, seed.slice())
  return crypto.signingKeyPair(seed)
}

/** The peers met in earlier runs, which a peer with this storage calls at its start. */
export async function rememberedPeers(storage: Storage): Promise<readonly PeerAddress[]> {
  const records = await storage.load(REMEMBERED_PREFIX)
  return records.flatMap(({ key, value }) => {
    const remembered = decodeRemembered(value)
    if (remembered === MALFORMED) return []
    const peer = asPeerId(key.slice(REMEMBERED_PREFIX.length))
    return { peer, addresses: remembered.addresses }
  })
}

/** The port of the last time: peers that remember us find us there. */
export async function loadPort(storage: Storage): Promise<number> {
  const text = fromUtf8((await read(storage, PORT_KEY)) ?? new Uint8Array(0)) ?? ''
  return /^\d{1,5}$/.test(text) && Number(text) <= 65_535 ? Number(text) : 0
}

export function keepPort(storage: Storage, port: number): Promise<void> | void {
  return storage.write(PORT_KEY, ascii(String(port)))
}

async function read(storage: Storage, key: string): Promise<Uint8Array | undefined> {
  const records = await storage.load(key)
  return records.find((record) => record.key === key)?.value
}

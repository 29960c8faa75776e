import type { KeyPair } from '../core/crypto.ts'
import { UsageError } from '../core/errors.ts'
import type { PeerId } from '../core/io.ts'
import { toHex } from '../core/wire/bytes.ts'
import type { Storage } from '../driver/ports.ts'
import { KEY_BYTES } from './encryption.ts'
import { describe, LimitError, mustBe } from './errors.ts'
import { signalOf } from './listeners.ts'
import { asPeerId, type PeerAddress, parsePeerAddress } from './ticket.ts'

export interface NetworkOptions {
  /** 32 bytes that name the app: `await Encryption.createClusterId('my-app')`. */
  readonly clusterId: Uint8Array
  /** The identity. Without, one is made and kept in `storage`. */
  readonly signingKeys?: KeyPair | undefined
  /** Checked against the keys: it never differs from theirs. */
  readonly peerId?: string | undefined
  /** UDP port. Without, the one of the last time if it is free, else any. */
  readonly port?: number | undefined
  /** The one local IP address to use; without, all of them. */
  readonly host?: string | undefined
  /** Peers to meet first: `host:port`, `[v6]:port` or tickets. None are needed on a local network. */
  readonly peers?: readonly string[] | undefined
  /** Find peers on the local network, and be found. Default true. */
  readonly lan?: boolean | undefined
  /**
   * Where the identity and the peers met are kept: a folder, a Storage, or false for nowhere. Without,
   * a folder of this user's for this cluster; several processes at a time get one each.
   */
  readonly storage?: string | Storage | false | undefined
  /** The most to keep for others, in bytes: 1 MiB to 1 GiB. Default 16 MiB. */
  readonly cacheBytes?: number | undefined
  /**
   * Ask the router to forward a port to this peer (PCP, NAT-PMP, UPnP). Default true; no effect where
   * no router grants one.
   */
  readonly portMapping?: boolean | undefined
  /** Carry datagrams for peers that cannot reach each other. Default true; false: for nobody. */
  readonly relay?: boolean | undefined
  /** Closes the socket when it aborts. */
  readonly signal?: AbortSignal | undefined
}

export interface CheckedOptions {
  readonly clusterId: Uint8Array
  readonly signingKeys: KeyPair | undefined
  readonly peerId: PeerId | undefined
  readonly port: number | undefined
  readonly host: string | undefined
  readonly peers: readonly PeerAddress[]
  readonly lan: boolean
  readonly storage: string | Storage | false | undefined
  readonly portMapping: boolean
  readonly relay: boolean
  readonly cacheBytes: number
  readonly signal: AbortSignal | undefined
}

/** DESIGN §8: what a peer keeps for others. */
const CACHE_BYTES = 16 * 1024 * 1024
/** Guess: less keeps nothing that is worth asking for, more is an archive's work. */
const CACHE_BYTES_MIN = 1024 * 1024
const CACHE_BYTES_MAX = 1024 * 1024 * 1024
const PRIVATE_KEY_BYTES = 64
/** Guess: more than anyone lists; each costs a handshake at the start. */
const PEERS_MAX = 256

/** The options with defaults filled in; throws at once for one that is wrong. */
export function checkOptions(options: NetworkOptions): CheckedOptions {
  mustBe(typeof options === 'object' && options !== null, 'options', 'an object', options)
  const { clusterId, port, host, lan = true, relay = true, peers = [], signal } = options
  const { portMapping = true } = options
  const expectedCluster = '32 bytes, as Encryption.createClusterId(name) makes them'
  mustBe(isBytes(clusterId, KEY_BYTES), 'options.clusterId', expectedCluster, clusterId, 'EBADKEY')
  const signingKeys = options.signingKeys && checkKeys(options.signingKeys)
  if (port !== undefined) {
    mustBe(typeof port === 'number', 'options.port', 'a port, 0–65535', port)
    if (!(Number.isInteger(port) && port >= 0 && port <= 65_535))
      throw new LimitError('ERANGE', 'options.port', 'a port, 0–65535', String(port))
  }
  mustBe(isOptional(host, 'string'), 'options.host', 'an IP address of this machine', host)
  mustBe(typeof lan === 'boolean', 'options.lan', 'true or false', lan)
  mustBe(typeof portMapping === 'boolean', 'options.portMapping', 'true or false', portMapping)
  mustBe(typeof relay === 'boolean', 'options.relay', 'true or false', relay)
  mustBe(Array.isArray(peers), 'options.peers', 'an array of addresses and tickets', peers)
  if (peers.length > PEERS_MAX)
    throw new LimitError('ERANGE', 'options.peers', `at most ${PEERS_MAX}`, `${peers.length}`)
  return {
    clusterId: clusterId.slice(),
    signingKeys,
    peerId: checkPeerId(options.peerId, signingKeys),
    port,
    host,
    peers: peers.map((peer, index) => parsePeerAddress(peer, `options.peers[${index}]`)),
    lan,
    storage: checkStorage(options.storage),
    portMapping,
    relay,
    cacheBytes: checkCacheBytes(options.cacheBytes),
    signal: signal === undefined ? undefined : signalOf({ signal }).signal,
  }
}

/** A peerId that does not belong to the keys says so, and how to mend it. */
export function checkPeerId(peerId: unknown, keys: KeyPair | undefined): PeerId | undefined {
  if (peerId === undefined) return undefined
  const id = asPeerId(peerId)
  mustBe(id !== undefined, 'options.peerId', '64 hex digits', peerId, 'EBADPEERID')
  if (keys === undefined) return id
  const own = toHex(keys.publicKey)
  if (id === own) return id
  throw new UsageError(
    'EBADPEERID',
    'options.peerId',
    `${own}, which belongs to the keys (leave peerId out, or make it with ` +
      'await Encryption.createId(signingKeys.publicKey))',
    id,
  )
}

function checkKeys(keys: KeyPair): KeyPair {
  const expected =
    'a pair as Encryption.createKeyPair() makes it: publicKey 32, privateKey 64 bytes'
  const isPair =
    typeof keys === 'object' &&
    isBytes(keys.publicKey, KEY_BYTES) &&
    isBytes(keys.privateKey, PRIVATE_KEY_BYTES) &&
    toHex(keys.privateKey.subarray(KEY_BYTES)) === toHex(keys.publicKey)
  mustBe(isPair, 'options.signingKeys', expected, keys, 'EBADKEY')
  return { publicKey: keys.publicKey.slice(), privateKey: keys.privateKey.slice() }
}

function checkStorage(storage: NetworkOptions['storage']): NetworkOptions['storage'] {
  const isPort =
    typeof storage === 'object' &&
    storage !== null &&
    [storage.load, storage.write, storage.close].every((each) => typeof each === 'function')
  const isFit = storage === undefined || storage === false || isPort
  const expected = 'the path of a folder, a Storage (load, write, close), or false'
  mustBe(
    isFit || (typeof storage === 'string' && storage !== ''),
    'options.storage',
    expected,
    storage,
  )
  return storage
}

function checkCacheBytes(cacheBytes: number = CACHE_BYTES): number {
  const expected = `a whole number of bytes, ${CACHE_BYTES_MIN}–${CACHE_BYTES_MAX}`
  mustBe(typeof cacheBytes === 'number', 'options.cacheBytes', expected, cacheBytes)
  const isFit = cacheBytes >= CACHE_BYTES_MIN && cacheBytes <= CACHE_BYTES_MAX
  if (!(Number.isInteger(cacheBytes) && isFit))
    throw new LimitError('ERANGE', 'options.cacheBytes', expected, describe(cacheBytes))
  return cacheBytes
}

function isBytes(value: unknown, length: number): value is Uint8Array {
  return value instanceof Uint8Array && value.length === length
}

function isOptional(value: unknown, type: string): boolean {
  return value === undefined || typeof value === type
}

import type { Crypto, KeyPair } from '../core/crypto.ts'
import { ascii, toHex, utf8 } from '../core/wire/bytes.ts'
import { systemRandom } from '../crypto/random.ts'
import { mustBe } from './errors.ts'
import { loadCrypto } from './provider.ts'

const SEED_BYTES = 32
export const KEY_BYTES = 32

/** Distinct labels: no two of these can come out equal for the same text. */
const LABEL = {
  seed: ascii('latica signing key seed'),
  clusterId: ascii('latica cluster id'),
  sharedKey: ascii('latica shared key'),
}

/** What programmes make once and keep: keys, and names that keys are derived from. */
export const Encryption = {
  /**
   * An Ed25519 key pair: a peer's identity. Random without a `seed`; the same seed gives the same
   * pair, so a seed must be as secret as the key and not guessable. 32 bytes are used as they are.
   */
  createKeyPair(seed?: Uint8Array | string): Promise<KeyPair> {
    mustBe(
      seed === undefined || isText(seed) || isBytes(seed),
      'seed',
      'a Uint8Array or a string, not empty, or nothing',
      seed,
    )
    return withCrypto((crypto) => {
      if (seed === undefined) return crypto.signingKeyPair(systemRandom().bytes(SEED_BYTES))
      const bytes = typeof seed === 'string' ? utf8(seed) : seed
      const isSeed = typeof seed !== 'string' && bytes.length === SEED_BYTES
      return crypto.signingKeyPair(isSeed ? bytes : crypto.hash(SEED_BYTES, [bytes], LABEL.seed))
    })
  },

  /** The peerId of a public key: its 64 hex digits. */
  createId(publicKey: Uint8Array): Promise<string> {
    mustBe(
      isBytes(publicKey) && publicKey.length === KEY_BYTES,
      'publicKey',
      'the 32 bytes of signingKeys.publicKey',
      publicKey,
      'EBADKEY',
    )
    return Promise.resolve(toHex(publicKey))
  },

  /** The 32 bytes that name an app. Not a secret: two apps of the same name are one cluster. */
  createClusterId(name: string | Uint8Array): Promise<Uint8Array> {
    mustBe(isText(name) || isBytes(name), 'name', 'a string or Uint8Array, not empty', name)
    return derive(name, LABEL.clusterId)
  },

  /**
   * The key of a subcluster: who has it reads and writes there. The secret is hashed, not stretched:
   * one that can be guessed can be found by trying, offline. Use 16 random bytes or six random words.
   */
  createSharedKey(secret: string | Uint8Array): Promise<Uint8Array> {
    mustBe(isText(secret) || isBytes(secret), 'secret', 'a string or Uint8Array, not empty', secret)
    return derive(secret, LABEL.sharedKey)
  },
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function isBytes(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array && value.length > 0
}

function derive(from: string | Uint8Array, label: Uint8Array): Promise<Uint8Array> {
  const bytes = typeof from === 'string' ? utf8(from) : from.slice()
  return withCrypto((crypto) => crypto.hash(KEY_BYTES, [bytes], label))
}

async function withCrypto<T>(use: (crypto: Crypto) => T): Promise<T> {
  return use(await loadCrypto())
}

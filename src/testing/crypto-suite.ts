import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import type { Crypto } from '../core/crypto.ts'
import { fromHex, toHex } from '../core/wire/bytes.ts'

/**
 * The conformance suite of the Crypto port: published vectors, and what the port promises beyond
 * them. It needs node:test and the vectors in docs/spec, nothing else.
 */
export function cryptoSuite(name: string, make: () => Crypto | Promise<Crypto>): void {
  for (const { title, run } of CRYPTO_CHECKS)
    test(`${name}: ${title}`, async () => run(await make()))
}

export interface CryptoCheck {
  readonly title: string
  /** Throws when the provider does not keep the promise of the title. */
  run(crypto: Crypto): void
}

interface Aead {
  readonly key: string
  readonly nonce: string
  readonly aad: string
  readonly plain: string
  readonly sealed: string
}

interface Vectors {
  readonly ed25519: {
    readonly vectors: readonly {
      readonly seed: string
      readonly publicKey: string
      readonly message: string
      readonly signature: string
    }[]
  }
  readonly x25519: {
    readonly products: readonly {
      readonly secret: string
      readonly publicKey: string
      readonly shared: string
    }[]
    readonly keyPairs: readonly { readonly secret: string; readonly publicKey: string }[]
    readonly iterated: readonly { readonly times: number; readonly result: string }[]
  }
  readonly chacha20Poly1305: Aead
  readonly xchacha20Poly1305: Aead
  readonly blake2b: {
    readonly abc: string
    readonly selfTest: string
    readonly key: string
    readonly keyed: readonly { readonly message: string; readonly digest: string }[]
  }
  readonly sipHash: { readonly key: string; readonly hashes: readonly string[] }
  readonly conversion: {
    readonly seed: string
    readonly agreementPublicKey: string
    readonly agreementSecret: string
  }
  readonly lowOrder: { readonly x25519: readonly string[]; readonly ed25519: readonly string[] }
}

const VECTORS: Vectors = JSON.parse(
  readFileSync(new URL('../../docs/spec/vectors/crypto.json', import.meta.url), 'utf8'),
)
const EMPTY = new Uint8Array(0)
/** Lengths that a remote may send in place of 16, 32 or 64 bytes. */
const ODD_LENGTHS = [0, 1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 1200]

export const CRYPTO_CHECKS: readonly CryptoCheck[] = [
  { title: 'Ed25519 meets RFC 8032', run: checkEd25519 },
  { title: 'a signature, key or message with any bit changed is refused', run: checkSignatureBits },
  { title: 'X25519 meets RFC 7748', run: checkX25519 },
  { title: 'low-order points are refused', run: checkLowOrder },
  { title: 'keys convert from Ed25519 to X25519 as in libsodium', run: checkConversion },
  { title: 'BLAKE2b meets RFC 7693', run: checkBlake2b },
  { title: 'the short hash is SipHash-2-4', run: checkShortHash },
  { title: 'a hash of parts is the hash of the whole', run: checkHashParts },
  {
    title: 'ChaCha20-Poly1305 meets RFC 8439',
    run: (crypto) => checkAead(crypto.seal, crypto.open, VECTORS.chacha20Poly1305),
  },
  {
    title: 'XChaCha20-Poly1305 meets its draft',
    run: (crypto) => checkAead(crypto.xseal, crypto.xopen, VECTORS.xchacha20Poly1305),
  },
  { title: 'sealAfter gives the header and what seal makes of the rest', run: checkSealAfter },
  { title: 'bytes of any length from a remote are refused, not thrown at', run: checkOddLengths },
  { title: 'sizes that only the caller can get wrong throw', run: checkCallerFaults },
  { title: 'equal tells equal bytes from others', run: checkEqual },
  { title: 'arguments stay as they are and results are fresh', run: checkOwnership },
]

function checkEd25519(crypto: Crypto): void {
  for (const vector of VECTORS.ed25519.vectors) {
    const keys = crypto.signingKeyPair(bytes(vector.seed))
    assert.equal(toHex(keys.publicKey), vector.publicKey)
    assert.equal(toHex(keys.privateKey), vector.seed + vector.publicKey)
    const signature = crypto.sign(keys.privateKey, bytes(vector.message))
    assert.equal(toHex(signature), vector.signature)
    assert.equal(crypto.verify(keys.publicKey, bytes(vector.message), signature), true)
  }
}

function checkSignatureBits(crypto: Crypto): void {
  const { publicKey, privateKey } = crypto.signingKeyPair(counting(32))
  const message = counting(9)
  const signature = crypto.sign(privateKey, message)
  assert.equal(crypto.verify(publicKey, message, signature), true)
  for (const forged of flips(signature))
    assert.equal(crypto.verify(publicKey, message, forged), false)
  for (const forged of flips(message))
    assert.equal(crypto.verify(publicKey, forged, signature), false)
  for (const forged of flips(publicKey))
    assert.equal(crypto.verify(forged, message, signature), false)
}

function checkX25519(crypto: Crypto): void {
  for (const { secret, publicKey, shared } of VECTORS.x25519.products)
    assert.equal(hex(crypto.agree(bytes(secret), bytes(publicKey))), shared)
  for (const { secret, publicKey } of VECTORS.x25519.keyPairs) {
    const keys = crypto.agreementKeyPair(bytes(secret))
    assert.equal(toHex(keys.publicKey), publicKey)
    assert.equal(toHex(keys.privateKey), secret)
  }
  for (const { times, result } of VECTORS.x25519.iterated) {
    let k = new Uint8Array(32)
    k[0] = 9
    let u = k
    for (let i = 0; i < times; i++) {
      const next = crypto.agree(k, u)
      assert.ok(next)
      u = k
      k = new Uint8Array(next)
    }
    assert.equal(toHex(k), result)
  }
}

function checkLowOrder(crypto: Crypto): void {
  const { privateKey } = crypto.signingKeyPair(counting(32))
  for (const point of VECTORS.lowOrder.x25519) {
    assert.equal(crypto.agree(counting(32), bytes(point)), undefined)
    const masked = bytes(point)
    masked[31] = (masked[31] ?? 0) | 0x80
    assert.equal(crypto.agree(counting(32), masked), undefined)
  }
  for (const point of VECTORS.lowOrder.ed25519) {
    assert.equal(crypto.agreementPublicKey(bytes(point)), undefined)
    assert.equal(crypto.verify(bytes(point), EMPTY, crypto.sign(privateKey, EMPTY)), false)
    // R of low order and S zero satisfy the cofactored equation for a low-order key: RFC 8032 §5.1.7.
    const trivial = new Uint8Array(64)
    trivial.set(bytes(point))
    assert.equal(crypto.verify(bytes(point), EMPTY, trivial), false)
  }
}

function checkConversion(crypto: Crypto): void {
  const { seed, agreementPublicKey, agreementSecret } = VECTORS.conversion
  const signing = crypto.signingKeyPair(bytes(seed))
  assert.equal(hex(crypto.agreementPublicKey(signing.publicKey)), agreementPublicKey)
  const secret = crypto.agreementSecret(signing.privateKey)
  assert.equal(toHex(secret), agreementSecret)
  assert.equal(toHex(crypto.agreementKeyPair(secret).publicKey), agreementPublicKey)
}

function checkBlake2b(crypto: Crypto): void {
  const { abc, selfTest, key, keyed } = VECTORS.blake2b
  assert.equal(toHex(crypto.hash(64, [bytes('616263')])), abc)
  for (const { message, digest } of keyed)
    assert.equal(toHex(crypto.hash(64, [bytes(message)], bytes(key))), digest)
  const digests: Uint8Array[] = []
  for (const size of [20, 32, 48, 64]) {
    for (const length of [0, 3, 128, 129, 255, 1024]) {
      const input = selfTestBytes(length)
      digests.push(crypto.hash(size, [input]))
      digests.push(crypto.hash(size, [input], selfTestBytes(size)))
    }
  }
  assert.equal(toHex(crypto.hash(32, digests)), selfTest)
}

function checkShortHash(crypto: Crypto): void {
  const { key, hashes } = VECTORS.sipHash
  for (const [length, hash] of hashes.entries())
    assert.equal(toHex(crypto.shortHash(bytes(key), counting(length))), hash)
}

/** RFC 7693 appendix E: a Fibonacci generator, seeded with the length. */
function selfTestBytes(length: number): Uint8Array {
  let a = Math.imul(0xdead4bad, length) >>> 0
  let b = 1
  return Uint8Array.from({ length }, () => {
    const sum = (a + b) >>> 0
    a = b
    b = sum
    return sum >>> 24
  })
}

function checkHashParts(crypto: Crypto): void {
  const whole = counting(300)
  for (const key of [undefined, counting(16), counting(64)]) {
    const expected = toHex(crypto.hash(32, [whole], key))
    for (const at of [0, 1, 127, 128, 129, 300]) {
      const parts = [whole.subarray(0, at), EMPTY, whole.subarray(at)]
      assert.equal(toHex(crypto.hash(32, parts, key)), expected)
    }
    assert.equal(toHex(crypto.hash(32, [], key)), toHex(crypto.hash(32, [EMPTY], key)))
  }
}

function checkAead(seal: Crypto['seal'], open: Crypto['open'], vector: Aead): void {
  const [key, nonce, aad] = [bytes(vector.key), bytes(vector.nonce), bytes(vector.aad)]
  const sealed = seal(key, nonce, bytes(vector.plain), aad)
  assert.equal(toHex(sealed), vector.sealed)
  assert.equal(hex(open(key, nonce, sealed, aad)), vector.plain)
  for (const forged of flips(sealed)) assert.equal(open(key, nonce, forged, aad), undefined)
  for (const forged of flips(aad)) assert.equal(open(key, nonce, sealed, forged), undefined)
  for (const forged of flips(nonce)) assert.equal(open(key, forged, sealed, aad), undefined)
  for (const forged of flips(key)) assert.equal(open(forged, nonce, sealed, aad), undefined)
  for (let length = 0; length < sealed.length; length++)
    assert.equal(open(key, nonce, sealed.subarray(0, length), aad), undefined)
  const empty = seal(key, nonce, EMPTY, EMPTY)
  assert.equal(empty.length, 16)
  assert.equal(hex(open(key, nonce, empty, EMPTY)), '')
}

function checkSealAfter(crypto: Crypto): void {
  const [key, nonce] = [counting(32), counting(12)]
  for (const [headerBytes, plainBytes] of [
    [0, 0],
    [9, 0],
    [6, 1],
    [5, 1171],
  ] as const) {
    const [header, plain] = [counting(headerBytes), counting(plainBytes)]
    const whole = crypto.sealAfter(key, nonce, plain, header)
    crypto.sealAfter(key, nonce, new Uint8Array(plainBytes), header)
    assert.equal(toHex(whole), toHex(header) + toHex(crypto.seal(key, nonce, plain, header)))
  }
}

function checkOddLengths(crypto: Crypto): void {
  const key = counting(32)
  const signing = crypto.signingKeyPair(key)
  const signature = crypto.sign(signing.privateKey, EMPTY)
  for (const length of ODD_LENGTHS) {
    const odd = counting(length)
    assert.equal(crypto.open(key, counting(12), odd, EMPTY), undefined)
    assert.equal(crypto.xopen(key, counting(24), odd, EMPTY), undefined)
    assert.equal(crypto.verify(signing.publicKey, EMPTY, odd), false)
    if (length === 32) continue
    assert.equal(crypto.agree(key, odd), undefined)
    assert.equal(crypto.agreementPublicKey(odd), undefined)
    assert.equal(crypto.verify(odd, EMPTY, signature), false)
  }
}

function checkCallerFaults(crypto: Crypto): void {
  const key = counting(32)
  const faults = [
    () => crypto.hash(15, []),
    () => crypto.hash(65, []),
    () => crypto.hash(32, [], counting(65)),
    () => crypto.shortHash(counting(15), EMPTY),
    () => crypto.shortHash(key, EMPTY),
    () => crypto.seal(counting(31), counting(12), EMPTY, EMPTY),
    () => crypto.seal(key, counting(24), EMPTY, EMPTY),
    () => crypto.sealAfter(counting(31), counting(12), EMPTY, EMPTY),
    () => crypto.sealAfter(key, counting(24), EMPTY, EMPTY),
    () => crypto.open(counting(31), counting(12), counting(16), EMPTY),
    () => crypto.open(key, counting(11), counting(16), EMPTY),
    () => crypto.xseal(key, counting(12), EMPTY, EMPTY),
    () => crypto.xopen(key, counting(12), counting(16), EMPTY),
    () => crypto.agree(counting(31), key),
    () => crypto.agreementKeyPair(counting(64)),
    () => crypto.signingKeyPair(counting(64)),
    () => crypto.sign(key, EMPTY),
    () => crypto.agreementSecret(key),
  ]
  for (const fault of faults) assert.throws(fault, TypeError)
}

function checkEqual(crypto: Crypto): void {
  for (const length of [0, 1, 16, 32, 64]) {
    assert.equal(crypto.equal(counting(length), counting(length)), true)
    assert.equal(crypto.equal(counting(length), counting(length + 1)), false)
    for (const other of flips(counting(length)))
      assert.equal(crypto.equal(counting(length), other), false)
  }
}

function checkOwnership(crypto: Crypto): void {
  const [key, nonce, plain, aad] = [counting(32), counting(12), counting(40), counting(5)]
  const sealed = crypto.seal(key, nonce, plain, aad)
  const before = toHex(sealed)
  const opened = crypto.open(key, nonce, sealed, aad)
  crypto.seal(
    key,
    nonce,
    plain.map((byte) => byte ^ 1),
    aad,
  )
  crypto.open(key, nonce, sealed, aad)
  assert.equal(toHex(sealed), before)
  assert.equal(hex(opened), toHex(plain))
  assert.deepEqual(
    [key, nonce, plain, aad],
    [counting(32), counting(12), counting(40), counting(5)],
  )
  const pair = crypto.agreementKeyPair(key)
  pair.privateKey.fill(0)
  assert.deepEqual(key, counting(32))
  const digest = crypto.hash(32, [plain])
  crypto.hash(32, [aad])
  assert.equal(toHex(digest), toHex(crypto.hash(32, [plain])))
  const short = crypto.shortHash(counting(16), plain)
  crypto.shortHash(counting(16), aad)
  assert.equal(toHex(short), toHex(crypto.shortHash(counting(16), plain)))
}

function bytes(text: string): Uint8Array {
  const value = fromHex(text)
  assert.ok(value)
  return value
}

function hex(value: Uint8Array | undefined): string | undefined {
  return value && toHex(value)
}

function counting(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => i & 0xff)
}

/** The bytes with each of their bits changed, one at a time. */
function* flips(value: Uint8Array): Generator<Uint8Array> {
  for (let bit = 0; bit < value.length * 8; bit++) {
    const flipped = new Uint8Array(value)
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    yield flipped
  }
}

/**
 * The cryptography the core asks for: a synchronous port, so that no await lets inputs interleave.
 * Providers live in `src/crypto`; `latica/testing` has the conformance suite every provider passes.
 * No function keeps or changes its arguments; every result is fresh unless it says otherwise.
 */
export interface KeyPair {
  /** 32 bytes. */
  readonly publicKey: Uint8Array
  /** Ed25519: 64 bytes (seed ‖ public key, as libsodium and RFC 8032 tools keep it). X25519: 32 bytes. */
  readonly privateKey: Uint8Array
}

export interface Crypto {
  /** BLAKE2b (RFC 7693) of the concatenated parts; `size` 16–64 bytes; `key` 16–64 bytes. */
  hash(size: number, parts: readonly Uint8Array[], key?: Uint8Array): Uint8Array
  /**
   * SipHash-2-4: 8 bytes, a 16-byte key. Unforeseeable to whoever lacks the key, and cheap for many
   * short inputs; too short to name anything for long.
   */
  shortHash(key: Uint8Array, input: Uint8Array): Uint8Array
  /** ChaCha20-Poly1305 (RFC 8439): 32-byte key, 12-byte nonce. Result: plain.length + 16. */
  seal(key: Uint8Array, nonce: Uint8Array, plain: Uint8Array, aad: Uint8Array): Uint8Array
  /** `header`, then `plain` sealed with the header as additional data: a datagram in one piece. */
  sealAfter(key: Uint8Array, nonce: Uint8Array, plain: Uint8Array, header: Uint8Array): Uint8Array
  /** Opens what `seal` made; undefined when it is not authentic. */
  open(
    key: Uint8Array,
    nonce: Uint8Array,
    sealed: Uint8Array,
    aad: Uint8Array,
  ): Uint8Array | undefined
  /** XChaCha20-Poly1305-IETF: 32-byte key, 24-byte nonce, for nonces drawn at random. */
  xseal(key: Uint8Array, nonce: Uint8Array, plain: Uint8Array, aad: Uint8Array): Uint8Array
  xopen(
    key: Uint8Array,
    nonce: Uint8Array,
    sealed: Uint8Array,
    aad: Uint8Array,
  ): Uint8Array | undefined
  /** X25519 key pair of a 32-byte secret (RFC 7748). */
  agreementKeyPair(secret: Uint8Array): KeyPair
  /** X25519; undefined when the result is all zero (a low-order public key). */
  agree(secret: Uint8Array, remotePublic: Uint8Array): Uint8Array | undefined
  /** Ed25519 key pair of a 32-byte seed (RFC 8032). */
  signingKeyPair(seed: Uint8Array): KeyPair
  /** 64-byte Ed25519 signature. */
  sign(privateKey: Uint8Array, message: Uint8Array): Uint8Array
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean
  /** X25519 form of an Ed25519 public key; undefined when it is not a point of the main subgroup. */
  agreementPublicKey(signingPublicKey: Uint8Array): Uint8Array | undefined
  /** X25519 secret (32 bytes) of an Ed25519 private key (64 bytes). */
  agreementSecret(signingPrivateKey: Uint8Array): Uint8Array
  /** Compares in time that depends on the lengths alone. */
  equal(a: Uint8Array, b: Uint8Array): boolean
}

/** The source of all randomness in the core. */
export interface Random {
  bytes(length: number): Uint8Array
}

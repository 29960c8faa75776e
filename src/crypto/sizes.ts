import { UsageError } from '../core/errors.ts'

/** The sizes of what a caller of the Crypto port hands in; what comes from remotes is not checked here. */
export const KEY_BYTES = 32
export const SHORT_HASH_KEY_BYTES = 16
export const SHORT_HASH_BYTES = 8
export const NONCE_BYTES = 12
export const XNONCE_BYTES = 24
export const TAG_BYTES = 16
export const SIGNATURE_BYTES = 64
export const SIGNING_PRIVATE_KEY_BYTES = 64

export function requireBytes(argument: string, bytes: Uint8Array, expected: number): void {
  if (bytes.length !== expected)
    throw new UsageError('ESIZE', argument, `${expected} bytes`, `${bytes.length} bytes`)
}

/** Digest and key sizes of BLAKE2b as libsodium offers it. */
export function requireHashSizes(size: number, key: Uint8Array | undefined): void {
  if (!Number.isInteger(size) || size < 16 || size > 64)
    throw new UsageError('ESIZE', 'size', '16 to 64', String(size))
  if (key !== undefined && (key.length < 16 || key.length > 64))
    throw new UsageError('ESIZE', 'key', '16 to 64 bytes', `${key.length} bytes`)
}
